select
    attempt_id,
    intent_key,
    attempt_no,
    channel,
    run_as_of,
    claimed_at,
    finished_at,
    status,
    provider_message_id,
    error_class,
    error_code
from {{ source('ledger', 'ledger_attempts') }}
