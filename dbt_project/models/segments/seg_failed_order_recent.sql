{# The latest order failed (cancelled, expired, failed or returned) not long ago: a newer order would be the latest. #}
select
    'failed_order_recent' as segment_key,
    customer_id,
    group_since as entered_at,
    cast(to_json(struct_pack(
        order_id := order_id,
        sub_status := status,
        reason := coalesce(cancel_reason, status),
        category := category,
        brand := brand,
        quoted_price := quoted_price
    )) as varchar) as context
from {{ ref('int_latest_orders') }}
where
    status_group = 'failed'
    and group_since > {{ dbt.dateadd('day', -var('failed_order_window_days'), as_of()) }}
    and {{ only_members('customer_id') }}
