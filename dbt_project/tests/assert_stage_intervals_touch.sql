{# No gap, no overlap, no empty interval, and a change is a change. #}
with

neighbours as (
    select
        customer_id,
        stage,
        valid_from,
        valid_to,
        lead(valid_from) over (partition by customer_id order by valid_from) as next_valid_from,
        lead(stage) over (partition by customer_id order by valid_from) as next_stage
    from {{ ref('customer_stages') }}
    where {{ only_checked('customer_id', 'int_touched_customers') }}
)

select
    customer_id,
    stage,
    valid_from,
    valid_to,
    next_valid_from,
    next_stage
from neighbours
where
    valid_to is distinct from next_valid_from
    or valid_to <= valid_from
    or stage = next_stage
