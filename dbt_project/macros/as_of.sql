{# The only clock in SQL: the run's moment, a naive UTC timestamp. A row counts when it happened at or before it. #}
{% macro as_of() -%}
    {%- if execute and var('as_of') is none -%}
        {{ exceptions.raise_compiler_error("The var as_of is missing. Pass it: --vars '{as_of: \"2026-11-01 00:00:00\"}' (naive UTC).") }}
    {%- endif -%}
    cast('{{ var("as_of") if var("as_of") is not none else "1970-01-01 00:00:00" }}' as timestamp)
{%- endmacro %}

{# Where the day of a moment, of the run's unless told, began: the last day_begins_hour in the tenant's zone. What everybody decides
   for everybody is judged as of then: else an hour in which one of them did something would move all of them. #}
{% macro day_start(moment=none) -%}
    {%- set local = dbt.dateadd('hour', -var('day_begins_hour'), local_from_utc(moment or as_of())) -%}
    {{ utc_from_local('(' ~ dbt.dateadd('hour', var('day_begins_hour'), dbt.date_trunc('day', local)) ~ ')') }}
{%- endmacro %}
