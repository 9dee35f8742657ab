{# Every eligible entry with its window, as the journey defines it. Policy is not mixed in: decisions hold that. #}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_entries') }}
with

windows as (
    select * from {{ ref('int_journey_windows') }} where {{ only_replaced('customer_id', 'int_touched_entries') }}
),

activities as (
    select * from {{ ref('int_activities') }} where {{ only_replaced('customer_id', 'int_touched_entries') }}
),

reach as (
    select * from {{ ref('int_journey_reach') }} where {{ only_replaced('customer_id', 'int_touched_entries') }}
),

arms as (
    select * from {{ ref('int_entry_arms') }} where {{ only_replaced('customer_id', 'int_touched_entries') }}
),

goals as (
    select
        windows.journey_key,
        windows.entry_key,
        windows.customer_id,
        min(activities.occurred_at) as converted_at
    from windows
    inner join {{ ref('journey_catalogue') }} as journeys on windows.journey_key = journeys.journey_key
    inner join activities
        on windows.customer_id = activities.customer_id
        and activities.occurred_at > windows.eligible_from
        and activities.occurred_at <= {{ dbt.dateadd('day', 'journeys.goal_window_days', 'windows.eligible_from') }}
        and (
            activities.activity = journeys.goal_activity
            or (journeys.goal_activity = 'any' and activities.is_activity)
        )
    group by windows.journey_key, windows.entry_key, windows.customer_id
)

select
    windows.customer_id,
    windows.journey_key,
    windows.entry_key,
    windows.eligible_from,
    case when windows.eligible_to <= {{ as_of() }} then windows.eligible_to end as eligible_to,
    windows.eligible_to as window_ends_at,
    case when reach.unreachable_reason is null then arms.arm end as arm,
    arms.is_contaminated,
    cast(null as varchar) as variant,
    reach.unreachable_reason is null as is_reachable,
    reach.channel,
    reach.unreachable_reason,
    case
        when least(windows.eligible_to, windows.exit_at) <= {{ as_of() }}
            then least(windows.eligible_to, windows.exit_at)
    end as exited_at,
    case
        when windows.exit_at <= {{ as_of() }} and windows.exit_at < windows.eligible_to then windows.exit_reason
        when windows.eligible_to <= {{ as_of() }} then windows.end_reason
    end as exit_reason,
    goals.converted_at
from windows
inner join reach
    on windows.journey_key || '|' || windows.entry_key || '|' || windows.customer_id = reach.moment_key
inner join arms
    on windows.journey_key = arms.journey_key
    and windows.entry_key = arms.entry_key
    and windows.customer_id = arms.customer_id
left join goals
    on windows.journey_key = goals.journey_key
    and windows.entry_key = goals.entry_key
    and windows.customer_id = goals.customer_id
