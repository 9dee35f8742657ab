{# A table, built aside and swapped in within one transaction: readers see the old one or the new one.

   dbt-duckdb's own does the same in ten statements and reads the catalog between them; dbt's own work for each
   statement is most of an hourly run of eighty small models. Left out is what this project does not use: indexes,
   foreign keys, grants, partitions, comments. #}
{% materialization table, adapter='duckdb', supported_languages=['sql', 'python'] %}
    {%- set target = this.incorporate(type='table') -%}
    {%- set aside = make_intermediate_relation(target) -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- set swap -%}
        drop {{ existing.type if existing else 'table' }} if exists {{ target }};
        alter table {{ aside }} rename to {{ target.identifier }};
    {%- endset -%}

    {{ run_hooks(pre_hooks) }}

    {% if model['language'] == 'python' %}
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

    {{ run_hooks(post_hooks) }}
    {{ adapter.commit() }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}
