{{ config(
    materialized='incremental',
    replaced_by='pickup_id',
    replaced_units='admin_pickups',
    unit_type='bigint',
    later_by=['created_at', 'updated_at'],
    tracks=['order_id']
) }}
with

pickups as (
    {{ fit_rows('admin', 'admin_pickups', part=only_changed()) }}
),

cleaned as (
    select
        pickup_id,
        order_id,
        attempt_no,
        trim(city) as city_raw,
        {{ utc_from_local_text('slot_start') }} as slot_start_at,
        {{ utc_from_local_text('slot_end') }} as slot_end_at,
        lower(trim(status)) as latest_status,
        failure_reason,
        {{ utc_from_local_text('created_at') }} as created_at,
        {{ utc_from_local_text('updated_at') }} as updated_at
    from pickups
    where pickup_id is not null
)

select
    pickup_id,
    order_id,
    attempt_no,
    city_raw,
    slot_start_at,
    slot_end_at,
    -- the result is known from its own time on, so an earlier moment still sees the pickup as scheduled
    case when updated_at <= {{ as_of() }} then latest_status else 'scheduled' end as status,
    case when updated_at <= {{ as_of() }} then failure_reason end as failure_reason,
    case when updated_at <= {{ as_of() }} and latest_status in ('completed', 'failed') then updated_at end as result_at,
    created_at
from cleaned
where created_at <= {{ as_of() }}
qualify row_number() over (partition by pickup_id order by updated_at desc nulls last) = 1
