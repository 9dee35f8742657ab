{{ config(
    materialized='incremental',
    replaced_by='order_id',
    replaced_units='admin_order_status_history',
    later_by=['changed_at'],
    tracks=['order_id']
) }}
with

history as (
    {{ fit_rows('admin', 'admin_order_status_history', part=only_changed()) }}
),

cleaned as (
    select
        id as status_change_id,
        order_id,
        lower(trim(status)) as status,
        {{ utc_from_local_text('changed_at') }} as changed_at,
        changed_by
    from history
    where order_id is not null
)

select
    status_change_id,
    order_id,
    status,
    changed_at,
    changed_by
from cleaned
where changed_at <= {{ as_of() }}
qualify row_number() over (partition by order_id, status, changed_at order by status_change_id) = 1
