{# One event parameter, whichever typed field the export put it in. `kind`: text or number. #}
{% macro ga4_param(name, kind='text') -%}{{ return(adapter.dispatch('ga4_param')(name, kind)) }}{%- endmacro %}
{% macro default__ga4_param(name, kind) -%}
    {%- set value = "list_filter(event_params, lambda param: param.key = '" ~ name ~ "')[1].value" -%}
    {%- if kind == 'number' -%}
    coalesce(cast({{ value }}.int_value as double), {{ value }}.double_value, {{ value }}.float_value, try_cast({{ value }}.string_value as double))
    {%- elif kind == 'integer' -%}
    coalesce({{ value }}.int_value, try_cast({{ value }}.string_value as bigint))
    {%- else -%}
    nullif(coalesce({{ value }}.string_value, cast({{ value }}.int_value as varchar)), '(not set)')
    {%- endif -%}
{%- endmacro %}
