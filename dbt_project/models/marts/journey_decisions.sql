{# One row an intent, one outcome, one reason. What the ledger recorded (this run's sends included) stands; steps whose moment
   passed before anyone had to decide are settled by facts alone and need no ledger row. A view: all of it stands elsewhere. #}
{{ config(materialized='view', tags=['after_send']) }}

with

redirects as (
    {{ former_customers() }}
),

recorded as (
    select
        intents.intent_key,
        coalesce(redirects.customer_id, intents.customer_id) as customer_id,
        intents.journey_key,
        intents.entry_key,
        intents.step_key,
        intents.due_at,
        intents.latest_useful_at,
        intents.channel,
        intents.outcome,
        intents.reason,
        intents.lost_to,
        intents.decided_at,
        intents.run_as_of
    from {{ ref('stg_ledger__intents') }} as intents
    left join redirects on intents.customer_id = redirects.former_id
    where intents.run_as_of <= {{ as_of() }}
),

decided_now as (
    select * from {{ ref('int_decisions') }}
),

settled_by_facts as (
    select
        *,
        case when standing in ('expired', 'held_too_long') then latest_useful_at else greatest(ended_at, due_at) end as settled_at
    from {{ ref('int_step_candidates') }}
    where standing in ('converted', 'exited', 'expired', 'held_too_long')
)

select
    intent_key, customer_id, journey_key, entry_key, step_key, due_at, latest_useful_at, channel, outcome, reason, lost_to, decided_at
from recorded
union all
select
    intent_key, customer_id, journey_key, entry_key, step_key, due_at, latest_useful_at, channel, outcome, reason, lost_to, decided_at
from decided_now
where intent_key not in (select intent_key from recorded)
union all
select
    intent_key, customer_id, journey_key, entry_key, step_key, due_at, latest_useful_at,
    cast(null as varchar) as channel, 'skipped' as outcome, standing as reason, cast(null as varchar) as lost_to, settled_at as decided_at
from settled_by_facts
where
    -- what the ledger held before this run is recorded, and only this run's rows are few enough to look through
    ledger_outcome is null
    and intent_key not in (select intent_key from recorded where run_as_of = {{ as_of() }})
    and intent_key not in (select intent_key from decided_now)
