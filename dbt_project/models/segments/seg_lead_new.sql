{# Known for hours, not days, and never ordered. #}
select
    'lead_new' as segment_key,
    customers.customer_id,
    customers.first_known_at as entered_at,
    cast(to_json(struct_pack(last_activity_at := customers.last_activity_at)) as varchar) as context
from {{ ref('int_customers') }} as customers
left join {{ ref('int_latest_orders') }} as orders on customers.customer_id = orders.customer_id
where
    orders.customer_id is null
    and customers.first_known_at > {{ dbt.dateadd('hour', -var('lead_new_window_hours'), as_of()) }}
    and customers.first_known_at <= {{ as_of() }}
    and {{ only_members('customers.customer_id') }}
