{# Where each customer lives, since when, and what that means to us: the cluster and the priority of the zone.
   What the account says is the truth; the city of the last quote stands in for it where no account says one. #}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_customers') }}
with

told as (
    select
        customer_id,
        activity,
        occurred_at as happened_at,
        city as place
    from {{ part_of('int_activities') }}
    -- GA4 guesses a city from the network address: that is where a provider has its exchange
    where activity in ('signed_up', 'quote_viewed') and source = 'admin' and city <> ''
),

believed as (
    select
        customer_id,
        happened_at,
        place
    from told
    qualify activity = 'signed_up' or not bool_or(activity = 'signed_up') over (partition by customer_id)
),

cities as (
    select * from {{ ref('city_clusters') }}
),

named as (
    select
        believed.customer_id,
        believed.happened_at,
        coalesce(cities.city, believed.place) as city
    from believed
    left join cities on lower(believed.place) = cities.spelling
),

runs as (
    {{ latest_run('named', 'city') }}
),

clusters as (
    select distinct city, city_cluster from cities
)

select
    runs.customer_id,
    runs.city,
    clusters.city_cluster,
    zones.zone,
    coalesce(zones.priority, 'normal') as zone_priority,
    runs.since
from runs
left join clusters on runs.city = clusters.city
left join {{ ref('zone_priorities') }} as zones on lower(runs.city) = zones.place
