{{ config(materialized='view') }}

select
    orders.order_id,
    orders.customer_id,
    orders.quote_id,
    orders.status,
    orders.status_group,
    orders.status_since,
    orders.cancel_reason,
    orders.category,
    orders.brand,
    orders.quoted_price,
    orders.final_price,
    orders.payout_amount,
    coalesce(cities.city, orders.city_raw) as city,
    orders.order_source,
    orders.placed_at,
    orders.confirmed_at,
    orders.picked_up_at,
    orders.completed_at,
    orders.returned_at,
    orders.closed_at,
    coalesce(customers.is_test, false) as is_test
from {{ ref('int_orders') }} as orders
left join {{ ref('int_customers') }} as customers on orders.customer_id = customers.customer_id
left join {{ ref('city_clusters') }} as cities on lower(orders.city_raw) = cities.spelling
