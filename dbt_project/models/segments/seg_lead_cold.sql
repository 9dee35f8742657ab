{# Never ordered, silent for a while, not yet for long. #}
select
    'lead_cold' as segment_key,
    customers.customer_id,
    {{ dbt.dateadd('day', var('lead_cold_after_days'), 'customers.last_activity_at') }} as entered_at,
    cast(to_json(struct_pack(last_activity_at := customers.last_activity_at)) as varchar) as context
from {{ ref('int_customers') }} as customers
left join {{ ref('int_latest_orders') }} as orders on customers.customer_id = orders.customer_id
where
    orders.customer_id is null
    and {{ dbt.dateadd('day', var('lead_cold_after_days'), 'customers.last_activity_at') }} <= {{ as_of() }}
    and {{ dbt.dateadd('day', var('lead_cold_until_days'), 'customers.last_activity_at') }} > {{ as_of() }}
    and {{ only_members('customers.customer_id') }}
