{# The latest order is still pending hours after it was placed. #}
select
    'order_not_completed' as segment_key,
    customer_id,
    {{ dbt.dateadd('hour', var('order_not_completed_after_hours'), 'placed_at') }} as entered_at,
    cast(to_json(struct_pack(order_id := order_id, sub_status := status, category := category, brand := brand)) as varchar) as context
from {{ ref('int_latest_orders') }}
where
    status_group = 'pending'
    and {{ dbt.dateadd('hour', var('order_not_completed_after_hours'), 'placed_at') }} <= {{ as_of() }}
    and {{ only_members('customer_id') }}
