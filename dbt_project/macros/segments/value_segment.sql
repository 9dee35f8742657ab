{# The segment of customers whose payouts within the value window put them in a class. #}
{% macro value_segment(value_class) %}
    select
        'value_{{ value_class }}_user' as segment_key,
        customer_id,
        value_class_since as entered_at,
        cast(to_json(struct_pack(paid_value := paid_value)) as varchar) as context
    from {{ ref('int_paid_values') }}
    where value_class = '{{ value_class }}' and {{ only_members('customer_id') }}
{% endmacro %}
