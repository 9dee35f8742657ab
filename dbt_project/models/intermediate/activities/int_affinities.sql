{# The categories and brands each customer likes most: what they did with them, weighted, the older the less. Everything fades
   at one pace, so who leads does not depend on when one looks: the score is as of the customer's last such act. #}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_customers') }}
with

acts as (
    select
        activities.customer_id,
        activities.occurred_at,
        activities.category,
        activities.brand,
        weights.weight,
        max(activities.occurred_at) over (partition by activities.customer_id) as scored_at
    from {{ part_of('int_activities') }} as activities
    inner join {{ ref('affinity_weights') }} as weights on activities.activity = weights.activity
),

weighted as (
    select
        *,
        -- 1/e of it is left after affinity_decay_days
        weight * exp(-{{ hours_between('occurred_at', 'scored_at') }} / 24 / {{ var('affinity_decay_days') }}) as score
    from acts
),

by_kind as (
    {% for kind in ['category', 'brand'] %}
    select
        customer_id,
        '{{ kind }}' as kind,
        {{ kind }} as liked,
        -- decimals add up to the same in any order: a sum of doubles would turn ties at every run
        cast(sum(cast(score as decimal(18, 9))) as double) as score,
        max(scored_at) as scored_at,
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
    scored_at,
    since
from ranked
where position <= {{ var('affinity_top') }}
