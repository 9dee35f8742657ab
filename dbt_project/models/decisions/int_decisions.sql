{# The verdict of this run on every open step: one outcome, one reason. Reads like the list of checks, first failure wins. #}
with

steps as (
    select * from {{ ref('int_open_steps') }}
),

caps as (
    select
        max(case when cap_key = 'cap_day' then max_messages end) as promotional_day,
        max(case when cap_key = 'cap_week' then max_messages end) as promotional_week,
        max(case when cap_key = 'cap_journey_day' then max_messages end) as journey_day,
        max(case when cap_key = 'cap_promotional_gap' then window_hours end) as promotional_gap_hours,
        max(case when cap_key = 'cap_service_day' then max_messages end) as service_day,
        max(case when cap_key = 'cap_day_all_classes' then max_messages end) as all_day,
        max(case when cap_key = 'cap_gap' then window_hours end) as gap_hours
    from {{ ref('caps') }}
),

checked as (
    select
        steps.*,
        case
            when steps.condition is not null and coalesce(steps.conditions_met, '') not like '%' || steps.condition || '%'
                then 'condition_not_met'
            when steps.unreachable_reason is not null then steps.unreachable_reason
            when steps.channel is null then 'no_sender'
            when steps.is_cooling then 'cooldown'
            when steps.preempted_by is not null then 'preempted'
            when
                {{ hours_between('steps.template_last_sent_at', as_of()) }} < {{ var('same_template_hours') }}
                then 'duplicate_template'
        end as skip_reason,
        case
            when steps.is_killed then 'kill_switch'
            when steps.journey_status <> 'live' then 'paused'
            when steps.purpose = 'promotional' and steps.is_data_stale then 'data_stale'
            when steps.purpose = 'promotional' and steps.is_oversized then 'identity_quarantine'
            when steps.has_open_order then 'open_order'
            when steps.is_quiet then 'quiet_hours'
            when steps.purpose = 'transactional' then null
            when steps.purpose = 'promotional' and steps.promotional_today >= caps.promotional_day then 'cap_day'
            when steps.purpose = 'promotional' and steps.promotional_7_days >= caps.promotional_week then 'cap_week'
            when
                steps.purpose = 'promotional' and steps.channel_promotional_7_days >= steps.channel_cap_7_days
                then 'cap_channel_week'
            when steps.purpose = 'promotional' and steps.journey_today >= caps.journey_day then 'cap_journey_day'
            when
                steps.purpose = 'promotional'
                and {{ hours_between('steps.last_promotional_at', as_of()) }} < caps.promotional_gap_hours
                then 'cap_promotional_gap'
            when steps.purpose = 'service' and steps.service_today >= caps.service_day then 'cap_service_day'
            when steps.any_today >= caps.all_day then 'cap_day_all_classes'
            when {{ hours_between('steps.last_any_at', as_of()) }} < caps.gap_hours then 'cap_gap'
        end as hold_reason,
        case steps.arm
            when 'control' then 'holdout_control'
            when 'global_holdout' then 'holdout_global'
        end as ghost_reason
    from steps
    cross join caps
),

queued as (
    select
        *,
        row_number() over (
            partition by customer_id
            order by priority desc, value desc nulls last, due_at, journey_key, step_number, intent_key
        ) as place
    from checked
    where skip_reason is null and hold_reason is null and purpose <> 'transactional'
),

winners as (
    -- one message a person and run: the gap between two is longer than a run. A ghost is not sent, so it stops nobody.
    select
        customer_id,
        min(place) as winning_place,
        min_by(intent_key, place) as winning_intent
    from queued
    where ghost_reason is null
    group by customer_id
),

judged as (
    select
        checked.*,
        winners.winning_intent,
        coalesce(queued.place > winners.winning_place, false) as is_outranked
    from checked
    left join queued on checked.intent_key = queued.intent_key
    left join winners on checked.customer_id = winners.customer_id
),

outcomes as (
    select
        *,
        case
            when skip_reason is not null then 'skipped'
            when hold_reason is not null then 'held'
            when is_outranked then 'held'
            when ghost_reason is not null then 'ghost'
            else 'planned'
        end as outcome,
        case
            when skip_reason is not null then skip_reason
            when hold_reason is not null then hold_reason
            when is_outranked then 'lower_priority'
            when ghost_reason is not null then ghost_reason
            else 'planned'
        end as reason,
        case
            when skip_reason = 'preempted' then preempted_by
            when skip_reason is null and hold_reason is null and is_outranked then winning_intent
        end as lost_to
    from judged
),

-- a step the ledger holds open whose moment passed or whose person left is closed there too
closed as (
    select *
    from {{ ref('int_step_candidates') }}
    where ledger_outcome in ('held', 'planned') and standing in ('converted', 'exited', 'expired', 'held_too_long')
),

closed_arms as (
    select * from {{ ref('int_entry_arms') }} where customer_id in (select customer_id from closed)
),

-- a step the ledger holds open whose entry is no more (its facts changed, or two people proved to be one) has left as well
waiting as (
    select *
    from {{ ref('stg_ledger__intents') }}
    where outcome in ('held', 'planned') and coalesce(state, 'none') <> 'claimed' and run_as_of < {{ as_of() }}
),

upheld as (
    select intent_key
    from {{ ref('int_step_candidates') }}
    where intent_key in (select intent_key from waiting)
),

orphaned as (
    select waiting.*
    from waiting
    left join upheld on waiting.intent_key = upheld.intent_key
    where upheld.intent_key is null
)

select
    intent_key,
    journey_key,
    entry_key,
    step_key,
    customer_id,
    arm,
    cast(null as varchar) as variant,
    channel,
    address,
    purpose,
    template_id,
    'en' as language,
    category,
    brand,
    model,
    city_raw,
    value,
    order_id,
    slot_start_at,
    slot_end_at,
    priority,
    due_at,
    latest_useful_at,
    outcome,
    reason,
    lost_to,
    {{ as_of() }} as decided_at
from outcomes
union all
select
    closed.intent_key,
    closed.journey_key,
    closed.entry_key,
    closed.step_key,
    closed.customer_id,
    arms.arm,
    null,
    null,
    null,
    closed.purpose,
    closed.template_id,
    'en',
    closed.category,
    closed.brand,
    closed.model,
    closed.city_raw,
    closed.value,
    closed.order_id,
    closed.slot_start_at,
    closed.slot_end_at,
    closed.priority,
    closed.due_at,
    closed.latest_useful_at,
    'skipped',
    closed.standing,
    null,
    {{ as_of() }}
from closed
left join closed_arms as arms
    on closed.journey_key = arms.journey_key
    and closed.entry_key = arms.entry_key
    and closed.customer_id = arms.customer_id
union all
select
    intent_key,
    journey_key,
    entry_key,
    step_key,
    customer_id,
    arm,
    variant,
    channel,
    address,
    purpose,
    template_id,
    'en',
    null,
    null,
    null,
    null,
    null,
    null,
    null,
    null,
    priority,
    due_at,
    latest_useful_at,
    'skipped',
    'exited',
    null,
    {{ as_of() }}
from orphaned
