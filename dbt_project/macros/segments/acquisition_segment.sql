{# The segment of customers whose first visit came from a group of channels (seed acquisition_groups). #}
{% macro acquisition_segment(acquisition) %}
    select
        'acquisition_{{ acquisition }}' as segment_key,
        customer_id,
        first_touch_at as entered_at,
        cast(to_json(struct_pack(
            channel_group := first_channel_group,
            source := first_source,
            medium := first_medium,
            campaign := first_campaign
        )) as varchar) as context
    from {{ ref('int_customer_acquisition') }}
    where acquisition = '{{ acquisition }}' and {{ only_members('customer_id') }}
{% endmacro %}
