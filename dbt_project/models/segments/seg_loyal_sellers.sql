{# Enough orders completed within the value window, net of returns. #}
with

completed as (
    select
        customer_id,
        completed_at,
        returned_at,
        {{ dbt.dateadd('day', var('value_window_days'), 'completed_at') }} as too_old_at
    from {{ ref('int_orders') }}
    where customer_id is not null and completed_at is not null and {{ only_members('customer_id') }}
),

changes as (
    select customer_id, completed_at as happened_at, 1 as change
    from completed
    union all
    select customer_id, least(returned_at, too_old_at) as happened_at, -1 as change
    from completed
),

standings as (
    {{ standing_since('changes', 'level >= ' ~ var('loyal_completed_orders')) }}
)

select
    'loyal_sellers' as segment_key,
    customer_id,
    entered_at,
    cast(to_json(struct_pack(completed_orders_in_window := cast(level as integer))) as varchar) as context
from standings
where standing
