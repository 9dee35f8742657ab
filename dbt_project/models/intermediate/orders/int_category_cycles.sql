{# How long people who come back take until the next sale of a category: the Kaplan-Meier median. The wait that is still going
   on counts as longer than so far; leaving it out would call everybody quicker than they are. #}
with

completed as (
    select
        customer_id,
        category,
        completed_at,
        lead(completed_at) over (partition by customer_id, category order by completed_at, order_id) as next_at,
        count(*) over (partition by customer_id, category) as orders
    from {{ ref('int_orders') }}
    where status_group = 'completed' and customer_id is not null and category is not null
),

-- whole days: two sales of one visit are one sale
waits as (
    select
        category,
        cast(floor({{ hours_between('completed_at', 'coalesce(next_at, ' ~ as_of() ~ ')') }} / 24) as integer) as days,
        next_at is not null as has_ended
    from completed
    where orders >= 2
),

ended_by_day as (
    select
        category,
        days,
        count(case when has_ended then 1 end) as ended,
        sum(count(*)) over (partition by category order by days desc) as still_waiting
    from waits
    where days > 0
    group by category, days
),

surviving as (
    select
        category,
        days,
        exp(
            sum(ln(greatest(1 - ended / cast(still_waiting as double), 1e-12)))
                over (partition by category order by days)
        ) as share_waiting
    from ended_by_day
)

select
    category,
    -- a half is a half, whatever the logarithms lost
    cast(min(case when share_waiting <= 0.5 + 1e-9 then days end) as integer) as median_days
from surviving
group by category
