{# The segment of customers with an RFM name. Scores are relative: what others do moves them too, and no fact of the person
   says when; the last of the orders the scores rest on stands for it. #}
{% macro rfm_segment(rfm_segment) %}
    select
        'rfm_{{ rfm_segment }}' as segment_key,
        customer_id,
        last_completed_at as entered_at,
        cast(to_json(struct_pack(
            recency_score := recency_score,
            frequency_score := frequency_score,
            monetary_score := monetary_score,
            orders := frequency,
            paid_value := monetary
        )) as varchar) as context
    from {{ ref('int_rfm') }}
    where rfm_segment = '{{ rfm_segment }}' and {{ only_members('customer_id') }}
{% endmacro %}
