{# Every fact that sets a lifecycle stage, with the stage it sets. Order at one instant: plain activity, then the event that
   moves, then inactivity. #}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_customers', cluster_by='hash(customer_id)') }}
with

activities as (
    select * from {{ part_of('int_activities') }}
),

inactivity as (
    select * from {{ ref('int_inactivity') }} where {{ only_touched('customer_id') }}
),

open_orders as (
    select * from {{ ref('int_order_intervals') }}
),

plain as (
    select
        activity_id,
        customer_id,
        occurred_at,
        row_number() over (partition by customer_id order by occurred_at, activity_id) as nth
    from activities
    where is_activity
),

first_or_back as (
    select
        plain.activity_id,
        plain.customer_id,
        plain.occurred_at,
        'lead' as stage,
        0 as step
    from plain
    left join inactivity on plain.customer_id = inactivity.customer_id and plain.occurred_at = inactivity.next_activity_at
    where plain.nth = 1 or inactivity.customer_id is not null
    qualify row_number() over (partition by plain.customer_id, plain.occurred_at order by plain.activity_id) = 1
),

quotes as (
    select
        activities.activity_id,
        activities.customer_id,
        activities.occurred_at,
        'price_view' as stage,
        1 as step
    from activities
    where activities.activity = 'quote_viewed'
        and not exists (
            select 1
            from open_orders
            where open_orders.customer_id = activities.customer_id
                and open_orders.placed_at <= activities.occurred_at
                and coalesce(open_orders.closed_at, {{ far_future() }}) > activities.occurred_at
        )
),

placed as (
    select activity_id, customer_id, occurred_at, 'order' as stage, 2 as step
    from activities
    where activity = 'order_placed'
),

pickups as (
    select
        activities.activity_id,
        activities.customer_id,
        activities.occurred_at,
        'pickup' as stage,
        3 as step
    from activities
    inner join open_orders
        on activities.detail = open_orders.order_id
        and coalesce(open_orders.closed_at, {{ far_future() }}) > activities.occurred_at
    where activities.activity in ('pickup_scheduled', 'pickup_rescheduled')
),

completions as (
    select
        completed.activity_id,
        completed.customer_id,
        completed.occurred_at,
        -- net of what had been returned by then
        case when count(earlier.order_id) = 0 then 'completion' else 'repeat' end as stage,
        4 as step
    from activities as completed
    left join {{ ref('int_orders') }} as earlier
        on completed.customer_id = earlier.customer_id
        and completed.entity_id <> earlier.order_id
        and row(earlier.completed_at, earlier.order_id) < row(completed.occurred_at, completed.entity_id)
        and coalesce(earlier.returned_at, {{ far_future() }}) > completed.occurred_at
    where completed.activity = 'order_completed'
    group by completed.activity_id, completed.customer_id, completed.occurred_at
),

ended as (
    select activity_id, customer_id, occurred_at, 'cancelled' as stage, 5 as step
    from activities
    where activity in ('order_cancelled', 'order_expired', 'order_failed', 'order_returned')
),

became_inactive as (
    select
        'inactive:' || customer_id || ':' || cast(inactive_at as varchar) as activity_id,
        customer_id,
        inactive_at as occurred_at,
        'inactive' as stage,
        7 as step
    from inactivity
),

moves as (
    select * from first_or_back
    union all
    select * from quotes
    union all
    select * from placed
    union all
    select * from pickups
    union all
    select * from completions
    union all
    select * from ended
    union all
    select * from became_inactive
),

feedback as (
    select
        activities.activity_id,
        activities.customer_id,
        activities.occurred_at,
        'feedback' as stage,
        6 as step
    from activities
    where activities.activity = 'feedback_given'
),

with_stage_before as (
    select
        feedback.*,
        moves.stage as stage_before
    from feedback
    left join moves
        on feedback.customer_id = moves.customer_id
        and row(moves.occurred_at, moves.step) < row(feedback.occurred_at, feedback.step)
    qualify
        row_number() over (
            partition by feedback.activity_id order by moves.occurred_at desc, moves.step desc, moves.activity_id desc
        ) = 1
),

all_moves as (
    select activity_id, customer_id, occurred_at, stage, step
    from moves
    union all
    select activity_id, customer_id, occurred_at, stage, step
    from with_stage_before
    -- feedback counts only while in completion; a second rating finds the first one's stage and changes nothing
    where stage_before = 'completion'
)

select
    activity_id,
    customer_id,
    occurred_at,
    stage,
    step
from all_moves
