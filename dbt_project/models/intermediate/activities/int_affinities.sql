{# The categories and brands each customer likes most: what they did with them, weighted, the older the less. #}
with

weighted as (
    select
        activities.customer_id,
        activities.occurred_at,
        activities.category,
        activities.brand,
        weights.weight
        * exp(-{{ hours_between('activities.occurred_at', as_of()) }} / 24 / {{ var('affinity_decay_days') }}) as score
    from {{ ref('int_activities') }} as activities
    inner join {{ ref('affinity_weights') }} as weights on activities.activity = weights.activity
),

by_kind as (
    {% for kind in ['category', 'brand'] %}
    select
        customer_id,
        '{{ kind }}' as kind,
        {{ kind }} as liked,
        -- decimals add up to the same in any order: a sum of doubles would turn ties at every run
        cast(sum(cast(score as decimal(18, 9))) as double) as score,
        min(occurred_at) as since
    from weighted
    where {{ kind }} is not null
    group by customer_id, {{ kind }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

ranked as (
    select
        *,
        row_number() over (partition by customer_id, kind order by score desc, liked) as position
    from by_kind
)

select
    customer_id,
    kind,
    liked,
    position,
    score,
    since
from ranked
where position <= {{ var('affinity_top') }}
