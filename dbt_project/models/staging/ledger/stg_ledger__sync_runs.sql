select
    sync_run_id,
    destination,
    kind,
    run_as_of,
    started_at,
    finished_at,
    status,
    cast(planned as integer) as planned,
    cast(accepted as integer) as accepted,
    cast(rejected as integer) as rejected,
    cast(unknown as integer) as unknown,
    cast(retried as integer) as retried,
    cast(skipped as integer) as skipped,
    cast(added as integer) as added,
    cast(updated as integer) as updated,
    cast(removed as integer) as removed,
    detail
from {{ source('ledger', 'ledger_sync_runs') }}
