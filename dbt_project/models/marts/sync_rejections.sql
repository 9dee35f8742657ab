{{ config(tags=['after_send']) }}

select
    rejections.rejection_id,
    rejections.sync_run_id,
    rejections.destination,
    rejections.row_key,
    rejections.error_class,
    rejections.error_code,
    rejections.detail,
    rejections.occurred_at
from {{ ref('stg_ledger__sync_rejections') }} as rejections
inner join {{ ref('stg_ledger__sync_runs') }} as runs on rejections.sync_run_id = runs.sync_run_id
where runs.run_as_of <= {{ as_of() }}
