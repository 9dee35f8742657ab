{# Recency, frequency and monetary value of the completed orders in the value window, scored among the real people. #}
{{ config(tracks=['customer_id']) }}
with

-- test users and deleted people move nobody's rank
people as (
    select customer_id
    from {{ ref('int_customers') }}
    where not is_test and deleted_at is null
),

customers as (
    select
        orders.customer_id,
        max(orders.completed_at) as last_completed_at,
        {{ hours_between('max(orders.completed_at)', as_of()) }} / 24 as recency_days,
        count(*) as frequency,
        sum(coalesce(orders.payout_amount, orders.final_price)) as monetary
    from {{ ref('int_orders') }} as orders
    inner join people on orders.customer_id = people.customer_id
    where orders.completed_at > {{ dbt.dateadd('day', -var('value_window_days'), as_of()) }}
        and orders.returned_at is null
    group by orders.customer_id
),

scored as (
    {{ rfm_segments('customers', ref('rfm_ranges'), cut=var('rfm_cut')) }}
)

select
    customer_id,
    last_completed_at,
    frequency,
    monetary,
    recency_score,
    frequency_score,
    monetary_score,
    rfm_segment
from scored
