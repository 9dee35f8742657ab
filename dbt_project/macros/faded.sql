{# What is left of a weight after a time: 1/e after affinity_decay_days. #}
{% macro faded(weight, since, at) -%}
    {{ weight }} * exp(-{{ hours_between(since, at) }} / 24 / {{ var('affinity_decay_days') }})
{%- endmacro %}
