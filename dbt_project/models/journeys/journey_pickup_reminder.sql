{# The later of slot - 24 h and creation + 30 min, if that is before slot - 2 h; until slot - 2 h. A new slot is a new key. #}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_entries') }}
with

pickups as (
    select
        *,
        lead(created_at) over (partition by order_id order by created_at, pickup_id) as next_pickup_at
    from {{ ref('int_pickups') }}
    where customer_id is not null and {{ only_replaced('customer_id', 'int_touched_entries') }}
),

windows as (
    select
        *,
        greatest(
            {{ dbt.dateadd('hour', -var('pickup_reminder_lead_hours'), 'slot_start_at') }},
            {{ dbt.dateadd('minute', var('pickup_reminder_after_creation_minutes'), 'created_at') }}
        ) as eligible_from,
        {{ dbt.dateadd('hour', -var('pickup_reminder_last_hours'), 'slot_start_at') }} as eligible_to,
        -- the definition ends two hours before the slot; nobody wants a reminder of a pickup that is off
        least(order_closed_at, next_pickup_at, result_at) as exit_at
    from pickups
)

select
    'pickup_reminder' as journey_key,
    customer_id,
    cast(pickup_id as varchar) as entry_key,
    eligible_from,
    eligible_to,
    'window_ended' as end_reason,
    exit_at,
    case
        when exit_at = result_at then 'pickup_has_result'
        when exit_at = order_closed_at then 'order_closed'
        when exit_at = next_pickup_at then 'rescheduled'
    end as exit_reason,
    category,
    cast(pickup_id as varchar) as cooldown_key,
    quoted_price as value,
    cast(null as varchar) as conditions_met,
    brand,
    cast(null as varchar) as model,
    city_raw,
    order_id,
    slot_start_at,
    slot_end_at
from windows
where eligible_from < eligible_to
