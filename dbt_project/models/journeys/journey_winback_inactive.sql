{# Last activity + 60 d with no open order; until an activity or + 14 d. Keyed by the business date they became inactive. #}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_entries') }}
with

inactivity as (
    select
        *,
        least(
            next_activity_at,
            {{ dbt.dateadd('day', var('winback_window_days'), 'inactive_at') }}
        ) as eligible_to
    from {{ ref('int_inactivity') }}
    where {{ only_replaced('customer_id', 'int_touched_entries') }}
),

last_quotes as (
    select
        customer_id,
        max_by(category, struct_pack(at := created_at, id := quote_id)) as category,
        max_by(brand, struct_pack(at := created_at, id := quote_id)) as brand,
        max_by(model, struct_pack(at := created_at, id := quote_id)) as model,
        max_by(quoted_price, struct_pack(at := created_at, id := quote_id)) as quoted_price,
        max_by(city_raw, struct_pack(at := created_at, id := quote_id)) as city_raw
    from {{ ref('int_quotes') }}
    where {{ only_replaced('customer_id', 'int_touched_entries') }}
    group by customer_id
)

select
    'winback_inactive' as journey_key,
    inactivity.customer_id,
    cast(cast({{ local_from_utc('inactivity.inactive_at') }} as date) as varchar) as entry_key,
    inactivity.inactive_at as eligible_from,
    inactivity.eligible_to,
    case when inactivity.eligible_to = inactivity.next_activity_at then 'converted' else 'window_ended' end as end_reason,
    cast(null as timestamp) as exit_at,
    cast(null as varchar) as exit_reason,
    last_quotes.category,
    'any' as cooldown_key,
    last_quotes.quoted_price as value,
    cast(null as varchar) as conditions_met,
    last_quotes.brand,
    last_quotes.model,
    last_quotes.city_raw,
    cast(null as varchar) as order_id,
    cast(null as timestamp) as slot_start_at,
    cast(null as timestamp) as slot_end_at
from inactivity
left join last_quotes on inactivity.customer_id = last_quotes.customer_id
where inactivity.inactive_at < inactivity.eligible_to
