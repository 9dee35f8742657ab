{# The only clock in SQL: the run's moment, a naive UTC timestamp. A row counts when it happened at or before it. #}
{% macro as_of() -%}
    {%- if execute and var('as_of') is none -%}
        {{ exceptions.raise_compiler_error("The var as_of is missing. Pass it: --vars '{as_of: \"2026-11-01 00:00:00\"}' (naive UTC).") }}
    {%- endif -%}
    cast('{{ var("as_of") if var("as_of") is not none else "1970-01-01 00:00:00" }}' as timestamp)
{%- endmacro %}
