with

events as (
    select * from {{ ref('stg_ga4__events') }}
    where session_key is not null and not is_bot
),

sessions as (
    select
        session_key,
        user_pseudo_id,
        min(occurred_at) as started_at,
        max(occurred_at) as last_event_at,
        max(user_id) as user_id,
        min(platform) as platform,
        min(geo_city) as geo_city,
        max(utm_source) as utm_source,
        max(utm_medium) as utm_medium,
        max(utm_campaign) as utm_campaign,
        min(page_location) as landing_page,
        count(*) as events
    from events
    -- an uninstall is reported by the system, not by a visit
    where event_name <> 'app_remove'
    group by session_key, user_pseudo_id
),

accounts as (
    select id_value, customer_id from {{ ref('int_customer_map') }} where id_type = 'admin_user' and customer_id is not null
),

devices as (
    select id_value, customer_id from {{ ref('int_customer_map') }} where id_type = 'ga_pseudo' and customer_id is not null
)

select
    sessions.session_key,
    -- on a shared device the signed-in account says who it was; without one nobody knows
    coalesce(accounts.customer_id, devices.customer_id) as customer_id,
    sessions.user_pseudo_id,
    sessions.started_at,
    sessions.last_event_at,
    sessions.user_id,
    sessions.platform,
    sessions.geo_city,
    sessions.utm_source,
    sessions.utm_medium,
    sessions.utm_campaign,
    sessions.landing_page,
    sessions.events
from sessions
left join accounts on sessions.user_id = accounts.id_value
left join devices on sessions.user_pseudo_id = devices.id_value
