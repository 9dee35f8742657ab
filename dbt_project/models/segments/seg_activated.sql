{# Completed a first order soon after being first seen. #}
select
    'activated' as segment_key,
    customer_id,
    first_completed_at as entered_at,
    cast(to_json(struct_pack(first_seen_at := first_seen_at)) as varchar) as context
from {{ ref('dim_customers') }}
where is_activated and {{ only_members('customer_id') }}
