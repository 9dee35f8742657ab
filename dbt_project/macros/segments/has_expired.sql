{# Whether a last day is over in the business zone; never for NULL. #}
{% macro has_expired(last_day) -%}
    coalesce({{ last_day }} < cast({{ local_from_utc(as_of()) }} as date), false)
{%- endmacro %}
