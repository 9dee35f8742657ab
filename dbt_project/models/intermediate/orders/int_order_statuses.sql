{# One row an order and status: the first time it was reached. History rows come doubled, early and out of order, so the
   order's own clock wins where it has one: created_at for placed, completed_at for completed, updated_at for the last one. #}
{{ config(materialized='incremental', replaced_by='order_id', replaced_from='int_touched_deals') }}
with

orders as (
    select * from {{ ref('stg_admin__orders') }} where {{ only_replaced('order_id', 'int_touched_deals') }}
),

history as (
    select
        order_id,
        status,
        min(changed_at) as first_changed_at,
        max(changed_at) as last_changed_at
    from {{ ref('stg_admin__order_status_history') }}
    where {{ only_replaced('order_id', 'int_touched_deals') }}
    group by order_id, status
),

known as (
    select order_id, status from history
    union
    select order_id, 'placed' from orders
    union
    select order_id, 'completed' from orders where completed_at <= {{ as_of() }}
),

timed as (
    select
        known.order_id,
        known.status,
        case
            when known.status = 'placed' then orders.placed_at
            when known.status = 'completed' then coalesce(orders.completed_at, history.first_changed_at)
            when
                known.status = orders.latest_status
                and abs(epoch_us(orders.updated_at) - epoch_us(history.first_changed_at))
                <= {{ var('history_skew_minutes') }} * 60000000
                then orders.updated_at
            else history.first_changed_at
        end as reached_at,
        coalesce(history.last_changed_at, orders.placed_at) as last_reached_at
    from known
    inner join orders on known.order_id = orders.order_id
    left join history on known.order_id = history.order_id and known.status = history.status
)

select
    order_id,
    status,
    reached_at,
    last_reached_at,
    case status
        when 'placed' then 1
        when 'confirmed' then 2
        when 'pickup_scheduled' then 3
        when 'pickup_failed' then 4
        when 'picked_up' then 5
        when 'completed' then 6
        when 'returned' then 7
        else 8
    end as status_rank
from timed
where reached_at <= {{ as_of() }}
