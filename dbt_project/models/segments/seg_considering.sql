{# A quote or an open checkout not long ago, and nothing sold yet (dim_customers.relation). #}
with

customers as (
    select * from {{ ref('dim_customers') }} where relation = 'considering' and {{ only_members('customer_id') }}
),

stages as (
    select customer_id, stage, valid_from
    from {{ ref('int_customer_stages') }}
    where valid_to is null and {{ only_members('customer_id') }}
),

activities as (
    select customer_id, activity, occurred_at
    from {{ ref('int_segment_activities') }}
    where {{ only_members('customer_id') }}
),

orders as (
    select customer_id, placed_at
    from {{ ref('int_latest_orders') }}
),

signs as (
    select
        activities.customer_id,
        activities.occurred_at as happened_at
    from activities
    left join stages on activities.customer_id = stages.customer_id
    left join orders on activities.customer_id = orders.customer_id
    -- one case, not two conditions: DuckDB would try these on everybody's activities
    where
        case activities.activity
            when 'quote_viewed' then stages.stage = 'price_view' and activities.occurred_at >= stages.valid_from
            -- an order answers the checkouts before it
            when 'checkout_started' then coalesce(orders.placed_at < activities.occurred_at, true)
        end
),

changes as (
    {{ within_days('signs', var('considering_window_days')) }}
),

standings as (
    {{ standing_since('changes', 'level >= 1') }}
)

select
    'considering' as segment_key,
    customers.customer_id,
    standings.entered_at,
    cast(to_json(struct_pack(
        last_quote_at := customers.last_quote_at, last_open_checkout_at := customers.last_open_checkout_at
    )) as varchar) as context
from customers
inner join standings on customers.customer_id = standings.customer_id
