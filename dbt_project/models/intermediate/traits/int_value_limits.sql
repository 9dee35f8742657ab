{{ config(materialized='view') }}
{% set changes = touched_rows('int_order_history', 'customer_id') %}
{% set is_kept = execute and held_relation('int_customer_value') is not none and not flags.FULL_REFRESH %}

select
    {{ var('value_horizon_days') }} as horizon_days,
    {{ var('value_least_repeat_customers') }} as least_repeat_customers,
    {{ var('value_sample_customers') }} as sample_customers,
    {% if is_kept %}not exists ({{ changes }}){% else %}false{% endif %} as is_settled
