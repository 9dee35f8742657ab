{# Orders that stood, as the projection wants them: how often again, when first and last, worth what. Test users are left out. #}
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
    where orders.status_group = 'completed' and not customers.is_test
)

select
    customer_id,
    cast(count(*) - 1 as integer) as repeats,
    epoch(max(completed_at)) - epoch(min(completed_at)) as recency_seconds,
    epoch({{ as_of() }}) - epoch(min(completed_at)) as age_seconds,
    coalesce(avg(case when nth > 1 then final_price end), 0) as mean_repeat_value
from completed
group by customer_id
