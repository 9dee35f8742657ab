{# The segment of customers who showed a liking for categories or brands, the top ones in the context. #}
{% macro affinity_segment(kind) %}
    select
        'affinity_{{ kind }}' as segment_key,
        customer_id,
        min_by(since, position) as entered_at,
        cast(to_json(list(
            struct_pack({{ kind }} := liked, score := round({{ faded('score', 'scored_at', as_of()) }}, 3)) order by position
        )) as varchar) as context
    from {{ ref('int_affinities') }}
    where kind = '{{ kind }}'
    group by customer_id
{% endmacro %}
