{# Likes a category whose people click most at an hour we know. #}
select
    'category_best_hour' as segment_key,
    liked.customer_id,
    liked.since as entered_at,
    cast(to_json(struct_pack(
        category := liked.liked, best_hour := hours.best_hour
    )) as varchar) as context
from {{ ref('int_affinities') }} as liked
inner join {{ ref('int_common_hours') }} as hours on hours.kind = 'category' and liked.liked = hours.whose
where liked.kind = 'category' and liked.position = 1 and {{ only_members('liked.customer_id') }}
