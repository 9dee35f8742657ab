select
    event_id,
    channel,
    event,
    provider_message_id,
    intent_key,
    address,
    occurred_at,
    received_at,
    reason,
    is_machine
from {{ source('ledger', 'ledger_inbound_events') }}
where occurred_at <= {{ as_of() }}
