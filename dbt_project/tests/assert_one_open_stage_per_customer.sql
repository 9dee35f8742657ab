{# Whoever has a stage at all has exactly one that has not ended. #}
select
    customer_id,
    sum(case when valid_to is null then 1 else 0 end) as open_stages
from {{ ref('customer_stages') }}
group by customer_id
having sum(case when valid_to is null then 1 else 0 end) <> 1
