select
    cast(id as bigint) as statement_id,
    address,
    channel,
    purpose,
    status,
    source as consent_source,
    stated_at,
    received_at
from {{ source('ledger', 'ledger_consent_statements') }}
where stated_at <= {{ as_of() }}
