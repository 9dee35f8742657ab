{# The order each customer placed last, and since when it has been in its status group. #}
with

latest as (
    select *
    from {{ ref('int_orders') }}
    where customer_id is not null
    qualify row_number() over (partition by customer_id order by placed_at desc, order_id desc) = 1
),

groups as (
    select
        order_id,
        {{ order_status_group('status') }} as status_group,
        min(reached_at) as reached_at
    from {{ ref('int_order_statuses') }}
    group by order_id, {{ order_status_group('status') }}
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
