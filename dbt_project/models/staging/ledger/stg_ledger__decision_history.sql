select
    cast(id as bigint) as decision_id,
    intent_key,
    run_as_of,
    outcome,
    reason,
    lost_to,
    decided_at
from {{ source('ledger', 'ledger_decision_history') }}
