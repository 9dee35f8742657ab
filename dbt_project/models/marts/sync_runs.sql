{{ config(tags=['after_send']) }}

select
    sync_run_id,
    destination,
    kind,
    run_as_of,
    started_at,
    finished_at,
    status,
    planned,
    accepted,
    rejected,
    unknown,
    retried,
    skipped,
    added,
    updated,
    removed,
    detail
from {{ ref('stg_ledger__sync_runs') }}
where run_as_of <= {{ as_of() }}
