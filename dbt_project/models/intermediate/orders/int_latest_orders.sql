{# The order each customer placed last, and since when it has been in its status group. #}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_owners') }}
with

latest as (
    select *
    from {{ ref('int_orders') }}
    where customer_id is not null and {{ only_replaced('customer_id', 'int_touched_owners') }}
    qualify row_number() over (partition by customer_id order by placed_at desc, order_id desc) = 1
),

groups as (
    select
        latest.order_id,
        {{ order_status_group('statuses.status') }} as status_group,
        min(statuses.reached_at) as reached_at
    from latest
    inner join {{ ref('int_order_statuses') }} as statuses on latest.order_id = statuses.order_id
    group by latest.order_id, {{ order_status_group('statuses.status') }}
)

select
    latest.customer_id,
    latest.order_id,
    latest.category,
    latest.brand,
    latest.quoted_price,
    latest.final_price,
    latest.status,
    latest.status_group,
    latest.cancel_reason,
    latest.placed_at,
    latest.closed_at,
    -- the history's clock may run a little before the order's own
    greatest(latest.placed_at, groups.reached_at) as group_since
from latest
left join groups on latest.order_id = groups.order_id and latest.status_group = groups.status_group
