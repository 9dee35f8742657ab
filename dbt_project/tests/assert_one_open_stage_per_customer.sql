{# Whoever has a stage at all has exactly one that has not ended. #}
select
    customer_id,
    sum(case when valid_to is null then 1 else 0 end) as open_stages
from {{ ref('customer_stages') }}
where {{ only_checked('customer_id', 'int_touched_customers') }}
group by customer_id
having sum(case when valid_to is null then 1 else 0 end) <> 1
