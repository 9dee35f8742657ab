{# The segment of customers with an attention (catalogue §3). #}
{% macro attention_segment(attention) %}
    select
        '{{ attention }}' as segment_key,
        customer_id,
        attention_since as entered_at,
        cast(to_json(struct_pack(
            reason := unreachable_reason,
            last_engaged_at := last_engaged_at,
            delivered_in_window := delivered_in_window
        )) as varchar) as context
    from {{ ref('int_attention') }}
    where attention = '{{ attention }}' and {{ only_members('customer_id') }}
{% endmacro %}
