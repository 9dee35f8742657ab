{# When a person's next sale of a category would be due: by their own rhythm when they have one, else by the category's. #}
with

completed as (
    select
        customer_id,
        category,
        brand,
        completed_at,
        order_id,
        {{ hours_between(
            'lag(completed_at) over (partition by customer_id, category order by completed_at, order_id)', 'completed_at'
        ) }} / 24 as days_since
    from {{ ref('int_orders') }}
    where status_group = 'completed' and customer_id is not null and category is not null
),

people as (
    select
        customer_id,
        category,
        max(completed_at) as last_completed_at,
        max_by(brand, struct_pack(at := completed_at, id := order_id)) as last_brand,
        count(days_since) as cycles,
        median(days_since) as own_median_days
    from completed
    group by customer_id, category
),

rhythms as (
    select
        people.*,
        case
            when people.cycles >= {{ var('own_cycle_least') }} then cast(round(people.own_median_days) as integer)
            else cycles.median_days
        end as cycle_days
    from people
    left join {{ ref('int_category_cycles') }} as cycles on people.category = cycles.category
)

select
    customer_id,
    category,
    last_brand,
    last_completed_at,
    cast(cycles as integer) as cycles,
    cycles >= {{ var('own_cycle_least') }} as is_own_rhythm,
    cycle_days,
    {{ dbt.dateadd('day', 'cycle_days', 'last_completed_at') }} as due_at
from rhythms
where cycle_days > 0
