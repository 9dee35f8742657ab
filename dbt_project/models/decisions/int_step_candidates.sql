{# Every step of every entry that has come due, with what facts alone already settle: left, too late, or still open. #}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_entries') }}
{% set step_due_at = dbt.dateadd('minute', 'steps.delay_minutes', 'windows.eligible_from') %}

with

windows as (
    select
        *,
        least(eligible_to, exit_at) as ended_at,
        case
            when exit_at < eligible_to then exit_reason
            else end_reason
        end as ended_reason
    from {{ ref('int_journey_windows') }}
    where {{ only_replaced('customer_id', 'int_touched_entries') }}
),

steps as (
    select * from {{ ref('journey_step_catalogue') }}
),

journeys as (
    select * from {{ ref('journey_catalogue') }}
),

redirects as (
    {{ former_customers() }}
),

ledger as (
    select
        intents.*,
        coalesce(redirects.customer_id, intents.customer_id) as current_customer_id
    from {{ ref('stg_ledger__intents') }} as intents
    left join redirects on intents.customer_id = redirects.former_id
    where
        intents.run_as_of < {{ as_of() }}
        and {{ only_replaced('coalesce(redirects.customer_id, intents.customer_id)', 'int_touched_entries') }}
    -- two merged customers may both have had this step: the one that went further speaks
    qualify
        row_number() over (
            partition by intents.journey_key, intents.entry_key, intents.step_key, coalesce(redirects.customer_id, intents.customer_id)
            order by case intents.outcome when 'sent' then 0 when 'ghost' then 1 when 'skipped' then 2 else 3 end, intents.intent_key
        ) = 1
),

due as (
    select
        windows.*,
        steps.step_key,
        steps.step_number,
        steps.channel_order,
        steps.is_urgent,
        steps.template_id,
        steps.condition,
        journeys.purpose,
        journeys.priority,
        journeys.exclusivity_group,
        journeys.reentry,
        journeys.cooldown_days,
        journeys.status as journey_status,
        {{ step_due_at }} as due_at,
        -- a step is of no use beyond its own window either
        least(windows.eligible_to, case
            when steps.useful_until = 'eligible_to' then windows.eligible_to
            when steps.delay_minutes < 1440
                then {{ dbt.dateadd('hour', var('useful_hours_early'), step_due_at) }}
            else {{ dbt.dateadd('hour', var('useful_hours_late'), step_due_at) }}
        end) as latest_useful_at
    from windows
    inner join steps on windows.journey_key = steps.journey_key
    inner join journeys on windows.journey_key = journeys.journey_key
)

select
    coalesce(
        ledger.intent_key,
        {{ key_of(['due.journey_key', 'due.entry_key', 'due.step_key', 'due.customer_id']) }}
    ) as intent_key,
    due.journey_key,
    due.entry_key,
    due.step_key,
    due.step_number,
    due.customer_id,
    due.eligible_from,
    due.ended_at,
    due.ended_reason,
    due.due_at,
    due.latest_useful_at,
    due.channel_order,
    due.is_urgent,
    due.template_id,
    due.condition,
    due.conditions_met,
    due.purpose,
    due.priority,
    due.exclusivity_group,
    due.reentry,
    due.cooldown_days,
    due.cooldown_key,
    due.journey_status,
    due.category,
    due.brand,
    due.model,
    due.city_raw,
    due.value,
    due.order_id,
    due.slot_start_at,
    due.slot_end_at,
    ledger.outcome as ledger_outcome,
    ledger.reason as ledger_reason,
    ledger.state as ledger_state,
    case
        when ledger.outcome in ('sent', 'ghost', 'skipped') then 'final'
        when due.ended_at <= {{ as_of() }} and due.ended_at <= due.latest_useful_at
            then case due.ended_reason when 'converted' then 'converted' when 'window_ended' then 'expired' else 'exited' end
        when {{ as_of() }} > due.latest_useful_at
            then case when ledger.outcome = 'held' then 'held_too_long' else 'expired' end
        else 'open'
    end as standing
from due
left join ledger
    on due.journey_key = ledger.journey_key
    and due.entry_key = ledger.entry_key
    and due.step_key = ledger.step_key
    and due.customer_id = ledger.current_customer_id
where due.due_at <= {{ as_of() }}
