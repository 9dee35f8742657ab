{# The segment of customers for whom the next sale of a category is due soon or was due lately: from so many days before the end
   of the cycle until so many days after it. #}
{% macro cycle_segment(segment_key, days_before, days_after) %}
    select
        '{{ segment_key }}' as segment_key,
        customer_id,
        {{ dbt.dateadd('day', -days_before, 'due_at') }} as entered_at,
        cast(to_json(struct_pack(
            category := category, brand := last_brand, due_at := due_at, cycle_days := cycle_days, is_own_rhythm := is_own_rhythm
        )) as varchar) as context
    from {{ ref('int_repeat_cycles') }}
    where
        {{ dbt.dateadd('day', -days_before, 'due_at') }} <= {{ as_of() }}
        and {{ dbt.dateadd('day', days_after, 'due_at') }} > {{ as_of() }}
    qualify row_number() over (partition by customer_id order by due_at, category) = 1
{% endmacro %}
