{# A table of which a run rebuilds a part, in one transaction: the rows whose `replaced_by` column is in the model
   `replaced_from`, or, without one, the rows whose key the run brings again. The model says only_replaced(column) where it
   reads, so that it brings the rows of that part and no others.

   Whether a run may go on from the last one is not decided here (orchestration/lib/builds.py): a full refresh rebuilds all. #}
{% materialization incremental, adapter='duckdb', supported_languages=['sql'] %}
    {%- set target = this.incorporate(type='table') -%}
    {%- set aside = make_intermediate_relation(target) -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- set is_whole = existing is none or existing.type != 'table' or should_full_refresh() -%}
    {%- set key = config.get('unique_key') -%}
    {%- set by = config.get('replaced_by') -%}
    {%- set part -%}
        {%- if by -%}
            {{ by }} in (select {{ by }} from {{ ref(config.require('replaced_from')) }})
        {%- else -%}
            {%- set columns = ([key] if key is string else key) | join(', ') -%}
            ({{ columns }}) in (select ({{ columns }}) from {{ aside }})
        {%- endif -%}
    {%- endset -%}

    {{ run_hooks(pre_hooks) }}

    {% call statement('main') %}
        {{- create_table_as(False, aside, compiled_code) }};
        {{ prove_key(aside, key) }}
        {% if is_whole %}
            {{ keep_touched(aside, clear=true) }}
            {{ swap_in(aside, target, existing) }}
        {% else %}
            {{ note_touched('(select * from ' ~ target ~ ' where ' ~ part ~ ')', aside) }}
            delete from {{ target }} where {{ part }};
            insert into {{ target }} by name select * from {{ aside }};
            drop table {{ aside }};
        {% endif %}
    {% endcall %}

    {{ run_hooks(post_hooks) }}
    {{ adapter.commit() }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}
