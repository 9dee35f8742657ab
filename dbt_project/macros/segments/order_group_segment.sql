{# The segment of customers whose latest order is in a status group. #}
{% macro order_group_segment(status_group) %}
    select
        'order_{{ status_group }}' as segment_key,
        customer_id,
        group_since as entered_at,
        cast(to_json(struct_pack(
            order_id := order_id, sub_status := status, category := category, brand := brand
        )) as varchar) as context
    from {{ ref('int_latest_orders') }}
    where status_group = '{{ status_group }}' and {{ only_members('customer_id') }}
{% endmacro %}
