{# The segment of customers whose latest order's latest pickup failed with a reason that `condition` accepts. #}
{% macro pickup_failed_segment(segment_key, condition) %}
    select
        '{{ segment_key }}' as segment_key,
        pickups.customer_id,
        pickups.result_at as entered_at,
        cast(to_json(struct_pack(
            order_id := pickups.order_id,
            order_status := orders.status,
            pickup_id := pickups.pickup_id,
            attempt_no := pickups.attempt_no,
            failure_reason := pickups.failure_reason
        )) as varchar) as context
    from {{ ref('int_pickups') }} as pickups
    -- a newer order answers what came before it
    inner join {{ ref('int_latest_orders') }} as orders on pickups.order_id = orders.order_id
    where pickups.is_latest and pickups.status = 'failed' and {{ condition }} and {{ only_members('pickups.customer_id') }}
{% endmacro %}
