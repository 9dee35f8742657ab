{# An id that was merged away leads to a customer that exists, and is none itself. #}
select
    redirects.former_customer_id,
    redirects.customer_id
from {{ ref('customer_redirects') }} as redirects
left join {{ ref('dim_customers') }} as targets on redirects.customer_id = targets.customer_id
left join {{ ref('dim_customers') }} as living on redirects.former_customer_id = living.customer_id
where targets.customer_id is null or living.customer_id is not null
