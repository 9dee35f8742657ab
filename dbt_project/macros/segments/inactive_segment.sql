{# The segment of customers whose last activity is so many days ago, or more. #}
{% macro inactive_segment(segment_key, days) %}
    select
        '{{ segment_key }}' as segment_key,
        customer_id,
        {{ dbt.dateadd('day', days, 'last_activity_at') }} as entered_at,
        cast(to_json(struct_pack(last_activity_at := last_activity_at)) as varchar) as context
    from {{ ref('int_customers') }}
    where {{ dbt.dateadd('day', days, 'last_activity_at') }} <= {{ as_of() }} and {{ only_members('customer_id') }}
{% endmacro %}
