{# Visits of whom an hourly run does again, found once for all who read them by own_visits(). A run that builds everything reads
   int_ga4_sessions itself. #}
select
    session_key,
    customer_id,
    started_at,
    platform,
    geo_city,
    utm_source,
    utm_medium,
    utm_campaign,
    channel_group,
    language
from {{ ref('int_ga4_sessions') }}
where
    -- by the device they are found: of two sieves none is tried
    customer_id in (select customer_id from {{ ref('int_touched_customers') }})
    and {{ is_listed('user_pseudo_id', 'int_touched_visits', 'user_pseudo_id') }}
