{# Orders that stood when the day began, as the projection wants them: how often again, when first and last, worth what. Test users are
   left out. #}
{{ config(tracks=['customer_id']) }}
with

completed as (
    select
        orders.customer_id,
        orders.completed_at,
        orders.final_price,
        row_number() over (
            partition by orders.customer_id order by orders.completed_at, orders.order_id
        ) as nth
    from {{ ref('int_orders') }} as orders
    inner join {{ ref('int_customers') }} as customers on orders.customer_id = customers.customer_id
    where
        orders.completed_at <= {{ day_start() }}
        and coalesce(
            least(orders.returned_at, orders.cancelled_at, orders.expired_at, orders.failed_at) > {{ day_start() }}, true
        )
        and not customers.is_test
),

spans as (
    select
        *,
        min(cast(completed_at as date)) over (partition by customer_id) as first_date,
        max(cast(completed_at as date)) over (partition by customer_id) as last_date,
        cast({{ day_start() }} as date) as today
    from completed
)

select
    customer_id,
    cast(count(*) - 1 as integer) as repeats,
    {{ dbt.datediff('first_date', 'last_date', 'day') }} as recency_days,
    {{ dbt.datediff('first_date', 'today', 'day') }} as age_days,
    coalesce(avg(case when nth > 1 then final_price end), 0) as mean_repeat_value,
    -- who stands in for the others where a model cannot look at all: by hash, so that it is the same people every hour
    row_number() over (order by md5(customer_id)) as sample_rank
from spans
group by customer_id, first_date, last_date, today
