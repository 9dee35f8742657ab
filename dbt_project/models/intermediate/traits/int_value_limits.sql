{{ config(materialized='view') }}

select
    {{ var('value_horizon_days') }} as horizon_days,
    {{ var('value_least_repeat_customers') }} as least_repeat_customers,
    {{ var('value_sample_customers') }} as sample_customers
