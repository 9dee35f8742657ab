{# A table, built aside and swapped in within one transaction: readers see the old one or the new one.

   A model's `unique_key` is proven before the swap: a table that repeats its key, or has none in some row, is never seen,
   and dbt has a node less to run than with a test for each. dbt-duckdb's own does the same in ten statements and reads the
   catalog between them; dbt's own work for each statement is most of an hourly run of eighty small models. Left out is what
   this project does not use: indexes, foreign keys, grants, partitions, comments. #}
{% materialization table, adapter='duckdb', supported_languages=['sql', 'python'] %}
    {%- set target = this.incorporate(type='table') -%}
    {%- set aside = make_intermediate_relation(target) -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- set swap -%}
        {{ prove_key(aside, config.get('unique_key')) }}
        {% if existing and existing.type == 'table' and not should_full_refresh() -%}
            {{ note_touched(target, aside) }}
        {%- else -%}
            {{ keep_touched(aside, clear=true) }}
        {%- endif %}
        {{ swap_in(aside, target, existing) }}
    {%- endset -%}

    {{ run_hooks(pre_hooks) }}

    {% if model['language'] == 'python' %}
        {# what Python made is committed at once: one that failed or was killed before the swap left its table aside #}
        {% call statement('clear') %}drop table if exists {{ aside }}{% endcall %}
        {{ adapter.commit() }}
        {% call statement('main', language='python') %}
            {{- create_table_as(False, aside, compiled_code, 'python') }}
        {% endcall %}
        {% call statement('swap') %}{{ swap }}{% endcall %}
    {% else %}
        {% call statement('main') %}
            {{- create_table_as(False, aside, compiled_code) }};
            {{ swap }}
        {% endcall %}
    {% endif %}
    {{ keep_sieves(target) }}

    {{ run_hooks(post_hooks) }}
    {{ adapter.commit() }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}

{# One column, or several, as SQL lists them. #}
{% macro listed(columns) -%}
    {{ return(columns if columns is string else columns | join(', ')) }}
{%- endmacro %}

{% macro swap_in(aside, target, existing) %}
    drop {{ existing.type if existing else 'table' }} if exists {{ target }};
    alter table {{ aside }} rename to {{ target.identifier }};
{% endmacro %}

{# A statement that fails, naming the model and the key but no value (some keys are phones), unless the key is one. #}
{% macro prove_key(relation, key) %}
    {%- if key %}
        {%- set columns = listed(key) %}
        select error(
            '{{ this.schema }}.{{ this.identifier }}: ' || count(*) || ' keys ({{ columns }}) are NULL or on several rows.'
            || ' Next step: group the compiled SQL by {{ columns }} and look at what repeats; the table of before stays'
        )
        from (
            select {{ columns }}
            from {{ relation }}
            group by {{ columns }}
            having count(*) > 1 or {{ columns | replace(', ', ' is null or ') }} is null
        ) as broken
        having count(*) > 0;
    {%- endif %}
{% endmacro %}
