{# Two orders completed, or more, net of returns. A return takes its order away again. #}
with

changes as (
    select customer_id, completed_at as happened_at, 1 as change
    from {{ ref('int_orders') }}
    where customer_id is not null and completed_at is not null and {{ only_members('customer_id') }}
    union all
    select customer_id, returned_at as happened_at, -1 as change
    from {{ ref('int_orders') }}
    where customer_id is not null and completed_at is not null and returned_at is not null and {{ only_members('customer_id') }}
),

standings as (
    {{ standing_since('changes', 'level >= ' ~ var('repeat_completed_orders')) }}
)

select
    'repeat_sellers' as segment_key,
    customer_id,
    entered_at,
    cast(to_json(struct_pack(completed_orders := cast(level as integer))) as varchar) as context
from standings
where standing
