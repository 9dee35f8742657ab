{# Gave the best rating once. #}
select
    'advocates' as segment_key,
    customer_id,
    min(occurred_at) as entered_at,
    cast(to_json(struct_pack(
        best_ratings := count(*), order_id := max_by(entity_id, struct_pack(at := occurred_at, id := entity_id))
    )) as varchar) as context
from {{ ref('int_segment_activities') }}
where
    activity = 'feedback_given'
    and value >= {{ var('advocate_min_rating') }}
    and {{ only_members('customer_id') }}
group by customer_id
