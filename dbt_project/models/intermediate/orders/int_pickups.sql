{{ config(materialized='incremental', replaced_by='order_id', replaced_from='int_touched_deals') }}
select
    pickups.pickup_id,
    pickups.order_id,
    orders.customer_id,
    pickups.attempt_no,
    pickups.city_raw,
    pickups.slot_start_at,
    pickups.slot_end_at,
    pickups.status,
    pickups.failure_reason,
    pickups.result_at,
    pickups.created_at,
    orders.placed_at as order_placed_at,
    orders.closed_at as order_closed_at,
    orders.category,
    orders.brand,
    orders.model_id,
    orders.quoted_price,
    row_number() over (
        partition by pickups.order_id order by pickups.attempt_no desc, pickups.created_at desc, pickups.pickup_id desc
    ) = 1 as is_latest
from {{ ref('stg_admin__pickups') }} as pickups
inner join {{ ref('int_orders') }} as orders on pickups.order_id = orders.order_id
where {{ only_replaced('pickups.order_id', 'int_touched_deals') }}
