{# The segment of customers who showed a liking for categories or brands, the top ones in the context, scored as of their last
   such act: all of a person's fade at one pace, and a context that moves with the clock is written anew every hour. #}
{% macro affinity_segment(kind) %}
    select
        'affinity_{{ kind }}' as segment_key,
        customer_id,
        min_by(since, position) as entered_at,
        cast(to_json(list(
            struct_pack({{ kind }} := liked, score := round(score, 3)) order by position
        )) as varchar) as context
    from {{ ref('int_affinities') }}
    where kind = '{{ kind }}' and {{ only_members('customer_id') }}
    group by customer_id
{% endmacro %}
