{# What each customer was paid in the value window, and since when that has been high or low.
   High is the top share of the people who were paid, or the threshold, whichever is easier. #}
{{ config(tracks=['customer_id']) }}
with

payouts as (
    select
        orders.customer_id,
        payouts.paid_at as happened_at,
        -- exact: what is added when paid is taken off to the paisa when it is too old
        cast(payouts.amount as decimal(18, 2)) as amount
    from {{ ref('stg_admin__payouts') }} as payouts
    inner join {{ ref('int_orders') }} as orders on payouts.order_id = orders.order_id
    where orders.customer_id is not null
),

-- test users and deleted people move nobody's rank
paid_people as (
    select
        payouts.customer_id,
        sum(payouts.amount) as paid_value
    from payouts
    inner join {{ ref('int_customers') }} as customers on payouts.customer_id = customers.customer_id
    where payouts.happened_at > {{ dbt.dateadd('day', -var('value_window_days'), as_of()) }}
        and not customers.is_test
        and customers.deleted_at is null
    group by payouts.customer_id
    having sum(payouts.amount) > 0
),

ranked as (
    select
        paid_value,
        row_number() over (order by paid_value desc) as position,
        count(*) over () as people
    from paid_people
),

bar as (
    select
        least(
            min(paid_value) filter (where position <= ceil(people * {{ var('high_value_top_share') }})),
            {{ var('high_value_payout') }}
        ) as high_from
    from ranked
),

changes as (
    {{ within_days('payouts', var('value_window_days'), change='amount') }}
),

standings as (
    {{ standing_since(
        'changes',
        "case when level <= 0 then 'none' when level >= (select high_from from bar) then 'high' else 'low' end"
    ) }}
)

select
    customer_id,
    cast(level as double) as paid_value,
    standing as value_class,
    entered_at as value_class_since
from standings
where standing <> 'none'
