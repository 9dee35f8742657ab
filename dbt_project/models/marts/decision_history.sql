{{ config(tags=['after_send']) }}

select
    history.decision_id,
    history.intent_key,
    intents.customer_id,
    intents.journey_key,
    intents.entry_key,
    intents.step_key,
    history.outcome,
    history.reason,
    history.lost_to,
    history.decided_at
from {{ ref('stg_ledger__decision_history') }} as history
inner join {{ ref('stg_ledger__intents') }} as intents on history.intent_key = intents.intent_key
where history.run_as_of <= {{ as_of() }}
