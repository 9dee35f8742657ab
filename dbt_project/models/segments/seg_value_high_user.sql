{# Paid much within the value window: among the top share of those paid, or above the threshold. #}
select
    'value_high_user' as segment_key,
    customer_id,
    value_class_since as entered_at,
    cast(to_json(struct_pack(paid_value := paid_value)) as varchar) as context
from {{ ref('int_paid_values') }}
where value_class = 'high'
