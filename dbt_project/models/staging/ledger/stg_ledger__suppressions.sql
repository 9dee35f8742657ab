select
    address,
    channel,
    scope,
    reason,
    since,
    until
from {{ source('ledger', 'ledger_suppressions') }}
where since <= {{ as_of() }}
