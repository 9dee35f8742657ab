{# The category each customer looked at or sold last, and since when it has been that one. #}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_customers') }}
with

devices as (
    select
        customer_id,
        occurred_at as happened_at,
        category,
        brand
    from {{ part_of('int_activities') }}
    where activity in ('quote_viewed', 'order_completed') and category is not null
),

runs as (
    {{ latest_run('devices', 'category') }}
),

brands as (
    select
        customer_id,
        category,
        max_by(brand, struct_pack(at := happened_at, brand := brand)) as brand
    from devices
    group by customer_id, category
)

select
    runs.customer_id,
    runs.category,
    brands.brand,
    runs.since,
    runs.last_at
from runs
inner join brands on runs.customer_id = brands.customer_id and runs.category = brands.category
