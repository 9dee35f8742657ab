{# The segment of customers whose last quote or sold device is of a category. #}
{% macro device_segment(category) %}
    select
        'device_{{ category }}' as segment_key,
        customer_id,
        since as entered_at,
        cast(to_json(struct_pack(brand := brand, last_at := last_at)) as varchar) as context
    from {{ ref('int_last_devices') }}
    where category = '{{ category }}' and {{ only_members('customer_id') }}
{% endmacro %}
