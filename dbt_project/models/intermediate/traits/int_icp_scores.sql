{# How well each customer fits the people we want most: points for the zone they live in, the device they have and what we
   quoted for it (seed icp_weights). #}
with

weights as (
    select * from {{ ref('icp_weights') }}
),

traits as (
    select customer_id, 'zone_priority' as kind, zone_priority as trait, since
    from {{ ref('int_customer_cities') }}
    where {{ only_members('customer_id') }}
    union all
    select customer_id, 'device', category, since
    from {{ ref('int_last_devices') }}
    where {{ only_members('customer_id') }}
),

quotes as (
    select customer_id, quoted_price, created_at
    from {{ ref('int_quotes') }}
    where
        customer_id is not null
        and created_at > {{ dbt.dateadd('day', -var('value_window_days'), as_of()) }}
        and {{ only_members('customer_id') }}
),

parts as (
    select
        traits.customer_id,
        traits.kind,
        traits.since,
        weights.points
    from traits
    inner join weights on traits.kind = weights.kind and traits.trait = weights.fits
    union all
    select
        quotes.customer_id,
        weights.kind,
        min(quotes.created_at) as since,
        weights.points
    from quotes
    inner join weights
        on weights.kind = 'value'
        and quotes.quoted_price >= weights.value_from
        and (weights.value_below is null or quotes.quoted_price < weights.value_below)
    group by quotes.customer_id, weights.kind, weights.points
),

-- of several ranges of value the best one counts
best_parts as (
    select *
    from parts
    qualify row_number() over (partition by customer_id, kind order by points desc, since) = 1
),

added_up as (
    select
        *,
        sum(points) over (partition by customer_id order by since, kind) as points_so_far
    from best_parts
)

select
    customer_id,
    cast(sum(points) as integer) as icp_score,
    cast(coalesce(sum(points) filter (where kind = 'zone_priority'), 0) as integer) as zone_points,
    cast(coalesce(sum(points) filter (where kind = 'device'), 0) as integer) as device_points,
    cast(coalesce(sum(points) filter (where kind = 'value'), 0) as integer) as value_points,
    -- since when what counts for them now has been enough; NULL when it is not
    min(since) filter (where points_so_far >= {{ var('icp_fit_points') }}) as icp_fit_since
from added_up
group by customer_id
