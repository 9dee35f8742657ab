{# A raw table, or with `part`, a condition, the rows of it that a run reads, without the rows its contract set apart. The key is
   that of data_contracts.quarantine.row_key_sql: every column as length and text, in the contract's order, which is the table's
   own unless `key_columns` says otherwise. With nothing in quarantine nothing is hashed. #}
{% macro fit_rows(source_name, table_name, key_columns=none, part='true') -%}
    {%- set relation = source(source_name, table_name) -%}
    select *
    from
        {#- the part first: a hash of every row there ever was costs far more than the part #}
        (select * from {{ relation }} where {{ part }}) as part
    {%- if execute and has_quarantined_rows(table_name) %}
        {%- set columns = key_columns or (adapter.get_columns_in_relation(relation) | map(attribute='name') | list) %}
    where md5(
        {%- for column in columns %}
        coalesce(cast(length(cast("{{ column }}" as varchar)) as varchar) || ':' || cast("{{ column }}" as varchar), '~')
        {%- if not loop.last %} ||{% endif %}
        {%- endfor %}
    ) not in (select row_key from quarantine.{{ table_name }})
    {%- endif -%}
{%- endmacro %}

{% macro has_quarantined_rows(table_name) -%}
    {%- set known = run_query(
        "select count(*) from information_schema.tables where table_schema = 'quarantine' and table_name = '" ~ table_name ~ "'"
    ) -%}
    {%- if known.columns[0].values()[0] == 0 -%}
        {{ return(false) }}
    {%- endif -%}
    {{ return(run_query("select count(*) from quarantine." ~ table_name).columns[0].values()[0] > 0) }}
{%- endmacro %}
