{# Every segment's members, one list. A new segment is added to this list and nowhere else in SQL.
   Test users are in no segment: a segment is what a marketer counts. #}
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
] %}

with

members as (
    {% for segment in segments %}
    select
        segment_key,
        customer_id,
        entered_at,
        context
    from {{ ref('seg_' ~ segment) }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
)

select
    members.segment_key,
    members.customer_id,
    members.entered_at,
    members.context
from members
inner join {{ ref('int_customers') }} as customers on members.customer_id = customers.customer_id
where not customers.is_test and customers.deleted_at is null
