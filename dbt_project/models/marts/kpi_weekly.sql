{# Weeks start on Monday in the tenant's zone. Test users are in no number. A metric is added as one more branch of `metrics`. #}
with

orders as (
    select
        *,
        cast(date_trunc('week', {{ local_from_utc('placed_at') }}) as date) as placed_week,
        cast(date_trunc('week', {{ local_from_utc('completed_at') }}) as date) as completed_week
    from {{ ref('fct_orders') }}
    where not is_test
),

quotes as (
    select distinct
        quotes.customer_id,
        cast(date_trunc('week', {{ local_from_utc('quotes.created_at') }}) as date) as quoted_week
    from {{ ref('int_quotes') }} as quotes
    where quotes.customer_id not in (select customer_id from {{ ref('int_customers') }} where is_test)
),

metrics as (
    select placed_week as week_start, 'orders_placed' as metric, count(*) as value
    from orders
    group by placed_week
    union all
    select completed_week, 'orders_completed', count(*)
    from orders
    where completed_week is not null
    group by completed_week
    union all
    -- what completed orders were worth when they completed; a later return takes nothing back from the week
    select completed_week, 'payout_value', sum(final_price)
    from orders
    where completed_week is not null
    group by completed_week
    union all
    select quoted_week, 'quoting_people', count(*)
    from quotes
    group by quoted_week
)

select
    week_start,
    metric,
    '{}' as dimensions,
    cast(value as double) as value,
    cast(value as double) as numerator,
    cast(null as double) as denominator,
    {{ utc_from_local('cast(week_start + interval 7 day as timestamp)') }} <= {{ as_of() }} as is_closed
from metrics
