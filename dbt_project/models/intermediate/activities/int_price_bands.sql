{# The prices each customer looks at in the category they like most: the middle half of them. #}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_customers') }}
with

top_categories as (
    select
        customer_id,
        liked as category
    from {{ ref('int_affinities') }}
    where kind = 'category' and position = 1
),

looks as (
    select
        activities.customer_id,
        activities.category,
        activities.occurred_at,
        activities.value
    from {{ part_of('int_activities') }} as activities
    inner join {{ ref('affinity_weights') }} as weights on activities.activity = weights.activity
    where weights.is_look and activities.value > 0
)

select
    looks.customer_id,
    looks.category,
    quantile_cont(looks.value, {{ var('price_band_quantiles')[0] }}) as price_from,
    quantile_cont(looks.value, {{ var('price_band_quantiles')[1] }}) as price_to,
    count(*) as looks,
    min(looks.occurred_at) as since
from looks
inner join top_categories on looks.customer_id = top_categories.customer_id and looks.category = top_categories.category
group by looks.customer_id, looks.category
