{# The high-value action, so many orders completed soon after the first, is not done and still possible. #}
select
    'hva_due' as segment_key,
    customer_id,
    first_completed_at as entered_at,
    cast(to_json(struct_pack(
        completed_orders := completed_orders,
        possible_until := {{ dbt.dateadd('day', var('hva_window_days'), 'first_completed_at') }}
    )) as varchar) as context
from {{ ref('dim_customers') }}
where
    completed_orders >= 1
    and completed_orders < {{ var('hva_completed_orders') }}
    and first_completed_at > {{ dbt.dateadd('day', -var('hva_window_days'), as_of()) }}
    and {{ only_members('customer_id') }}
