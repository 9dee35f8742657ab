{# A table of which a run rebuilds a part, in one transaction: the rows whose `replaced_by` columns are in the model,
   or models, `replaced_from`, or, without them, the rows whose key the run brings again. The model says only_replaced(columns) where it
   reads, so that it brings the rows of that part and no others. A staging model replaces units of its raw table,
   `replaced_units`, and says only_changed(). With `keeps_part` what a run brought stands beside the table until the next one, for models
   that rebuild the same part: they say part_of(model) and need not look for it in all of the table. With `cluster_by`, expressions, the rows
   of a build lie in their order.

   Whether a run may go on from the last one is not decided here (orchestration/lib/builds.py): a full refresh rebuilds all. #}
{% materialization incremental, adapter='duckdb', supported_languages=['sql', 'python'] %}
    {%- set target = this.incorporate(type='table') -%}
    {%- set aside = make_intermediate_relation(target) -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- set is_whole = existing is none or existing.type != 'table' or should_full_refresh() -%}
    {%- set by = listed(config.get('replaced_by') or config.get('unique_key')) -%}
    {%- set part -%}
        {%- if config.get('replaced_units') %}
        {{ by }} in ({{ replaced_units() }})
        {%- elif config.get('replaced_by') %}
        {{ is_listed(by, config.require('replaced_from'), by) }}
        {%- else %}
        ({{ by }}) in (select {{ by }} from {{ aside }})
        {%- endif %}
    {%- endset -%}
    {#- what a model brings beyond its part would stand twice; a model may end in a comment -#}
    {%- set query = compiled_code -%}
    {%- if config.get('replaced_from') and not is_whole -%}
        {%- set query = 'select * from (' ~ query ~ '\n) as brought where ' ~ part -%}
    {%- endif -%}
    {%- set put -%}
        {{ prove_key(aside, config.get('unique_key')) }}
        {% if is_whole %}
            {{ keep_touched(aside, clear=true) }}
            {{ swap_in(aside, target, existing) }}
        {% else %}
            {{ note_touched('(select * from ' ~ target ~ ' where ' ~ part ~ ')', aside) }}
            delete from {{ target }} where {{ part }};
            insert into {{ target }} by name select * from {{ aside }};
            {{ keep_part(aside) }}
        {% endif %}
    {%- endset -%}

    {{ run_hooks(pre_hooks) }}

    {# dbt runs Python from a materialization alone: this cannot be a macro shared with `table` #}
    {% if model['language'] == 'python' %}
        {% call statement('clear') %}drop table if exists {{ aside }}{% endcall %}
        {{ adapter.commit() }}
        {% call statement('main', language='python') %}
            {{- create_table_as(False, aside, compiled_code, 'python') }}
        {% endcall %}
        {% call statement('put') %}{{ put }}{% endcall %}
    {% else %}
        {%- if config.get('cluster_by') %}
            {%- set scattered = '(' ~ query ~ '\n) as scattered' -%}
            {%- if is_whole %}
                {#- a query lets go of what its joins hold only when it ends, and to put everything in order takes all the memory #}
                {%- set scattered = 'temp.' ~ this.identifier ~ '__scattered' -%}
                {% call statement('scatter') %}create or replace temp table {{ scattered }} as {{ query }}{% endcall %}
            {%- endif %}
            {%- set query = 'select * from ' ~ scattered ~ ' order by ' ~ render(listed(config.get('cluster_by'))) -%}
        {%- endif %}
        {% call statement('main') %}
            {{- create_table_as(False, aside, query) }};
            {{ 'drop table ' ~ scattered ~ ';' if config.get('cluster_by') and is_whole }}
            {{ put }}
        {% endcall %}
    {% endif %}

    {{ run_hooks(post_hooks) }}
    {{ adapter.commit() }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}
