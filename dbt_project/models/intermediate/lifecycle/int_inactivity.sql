{# Every moment a customer became inactive: the last activity + N days with no open order then, and no activity before it. #}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_customers') }}
with

activities as (
    select
        customer_id,
        occurred_at,
        lead(occurred_at) over (partition by customer_id order by occurred_at) as next_activity_at
    from {{ part_of('int_activities') }}
    where is_activity
),

gaps as (
    select
        customer_id,
        occurred_at as last_activity_at,
        next_activity_at,
        {{ dbt.dateadd('day', var('inactive_after_days'), 'occurred_at') }} as silent_at
    from activities
    where
        {{ dbt.dateadd('day', var('inactive_after_days'), 'occurred_at') }} <= {{ as_of() }}
        and (
            next_activity_at is null
            or next_activity_at > {{ dbt.dateadd('day', var('inactive_after_days'), 'occurred_at') }}
        )
),

with_open_orders as (
    select
        gaps.customer_id,
        gaps.last_activity_at,
        gaps.next_activity_at,
        gaps.silent_at,
        -- an order open at that moment puts inactivity off until it closes
        max(case
            when orders.order_id is null then gaps.silent_at
            else coalesce(orders.closed_at, cast('9999-12-31' as timestamp))
        end) as inactive_at
    from gaps
    left join {{ ref('int_order_intervals') }} as orders
        on gaps.customer_id = orders.customer_id
        and orders.placed_at <= gaps.silent_at
        and coalesce(orders.closed_at, {{ far_future() }}) > gaps.silent_at
    group by gaps.customer_id, gaps.last_activity_at, gaps.next_activity_at, gaps.silent_at
)

select
    customer_id,
    last_activity_at,
    inactive_at,
    next_activity_at
from with_open_orders
where inactive_at <= {{ as_of() }} and (next_activity_at is null or next_activity_at > inactive_at)
