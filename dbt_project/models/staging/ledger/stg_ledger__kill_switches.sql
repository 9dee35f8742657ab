select
    scope,
    since,
    reason
from {{ source('ledger', 'ledger_kill_switches') }}
where since <= {{ as_of() }}
