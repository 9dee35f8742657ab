{# Last activity + 60 d with no open order; until an activity or + 14 d. Keyed by the business date they became inactive. #}
with

inactivity as (
    select
        *,
        least(
            next_activity_at,
            {{ dbt.dateadd('day', var('winback_window_days'), 'inactive_at') }}
        ) as eligible_to
    from {{ ref('int_inactivity') }}
),

last_quotes as (
    select
        customer_id,
        max_by(category, created_at) as category,
        max_by(brand, created_at) as brand,
        max_by(model, created_at) as model,
        max_by(quoted_price, created_at) as quoted_price,
        max_by(city_raw, created_at) as city_raw
    from {{ ref('int_quotes') }}
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
