{# A bad rating, or a deep price cut at the pickup, not long ago. #}
with

bad_ratings as (
    select
        customer_id,
        occurred_at as happened_at,
        entity_id as order_id,
        'bad_rating' as reason
    from {{ ref('int_segment_activities') }}
    where
        activity = 'feedback_given'
        and value <= {{ var('bad_rating_max') }}
        and {{ only_members('customer_id') }}
),

price_cuts as (
    select
        customer_id,
        completed_at as happened_at,
        order_id,
        'price_cut' as reason
    from {{ ref('int_orders') }}
    where
        customer_id is not null
        and quoted_price > 0
        and final_price <= quoted_price * (1 - {{ var('bad_price_cut') }})
        and {{ only_members('customer_id') }}
),

experiences as (
    select * from bad_ratings
    union all
    select * from price_cuts
),

changes as (
    {{ within_days('experiences', var('bad_experience_window_days')) }}
),

standings as (
    {{ standing_since('changes', 'level >= 1') }}
),

latest as (
    select
        customer_id,
        max_by(order_id, struct_pack(at := happened_at, id := order_id, reason := reason)) as order_id,
        max_by(reason, struct_pack(at := happened_at, id := order_id, reason := reason)) as reason
    from experiences
    group by customer_id
)

select
    'bad_experience' as segment_key,
    standings.customer_id,
    standings.entered_at,
    cast(to_json(struct_pack(
        reason := latest.reason, order_id := latest.order_id, experiences := cast(standings.level as integer)
    )) as varchar) as context
from standings
inner join latest on standings.customer_id = latest.customer_id
where standings.standing
