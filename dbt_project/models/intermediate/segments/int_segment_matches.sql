{# Who fits each segment, one list, save the segments that look at this list. A new segment is added to this list and nowhere
   else in SQL. #}
{% set segments = [
    'order_not_completed',
    'inactive_60',
    'lead_hot',
    'lead_new',
    'lead_cold',
    'order_pending',
    'order_in_progress',
    'order_completed',
    'order_failed',
    'failed_order_recent',
    'pickup_failed_no_docs',
    'pickup_failed_no_answer',
    'pickup_failed_other',
    'inactive_90',
    'inactive_180',
    'repeat_sellers',
    'loyal_sellers',
    'value_high_user',
    'value_high_order',
    'value_low_user',
    'device_phone',
    'device_mac',
    'device_laptop',
    'device_tablet',
    'device_smartwatch',
    'bad_experience',
    'advocates',
    'listening',
    'ignoring',
    'unreachable',
    'considering',
    'activated',
    'hva_due',
    'vip',
    'consent_gap',
    'uninstalled',
    'vernacular',
] %}

{% for segment in segments %}
select
    segment_key,
    customer_id,
    entered_at,
    context
from {{ ref('seg_' ~ segment) }}
{% if not loop.last %}union all{% endif %}
{% endfor %}
