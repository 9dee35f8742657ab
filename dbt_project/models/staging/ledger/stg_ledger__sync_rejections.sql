select
    cast(id as bigint) as rejection_id,
    sync_run_id,
    destination,
    row_key,
    error_class,
    error_code,
    detail,
    occurred_at
from {{ source('ledger', 'ledger_sync_rejections') }}
