{{ config(
    materialized='incremental',
    replaced_by='user_pseudo_id',
    replaced_from='int_touched_devices',
    tracks=['customer_id'],
    cluster_by='hash(user_pseudo_id)'
) }}
with

events as (
    select * from {{ ref('stg_ga4__events') }}
    where not is_bot and {{ only_replaced('user_pseudo_id', 'int_touched_devices') }}
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
        -- one event says where the visit came from: its source, medium and campaign belong together. What decides between events of
        -- one moment is what they say: their ids are the largest column of the table
        min_by(
            struct_pack(source := utm_source, medium := utm_medium, campaign := utm_campaign),
            struct_pack(at := occurred_at, source := utm_source, medium := utm_medium, campaign := utm_campaign)
        ) filter (where coalesce(utm_source, utm_medium, utm_campaign) is not null) as came_from,
        min_by(page_location, struct_pack(at := occurred_at, page := page_location)) as landing_page,
        max_by(lower(split_part(device_language, '-', 1)), struct_pack(at := occurred_at, language := device_language)) as language,
        count(*) as events
    from events
    -- an uninstall is reported by the system, not by a visit
    group by session_key, user_pseudo_id, session_key is not null and event_name <> 'app_remove'
    -- asked of the group: of the rows it would be asked of every event there is, before the device
    having bool_and(session_key is not null and event_name <> 'app_remove')
),

attributed as (
    select
        sessions.*,
        sessions.came_from.source as utm_source,
        sessions.came_from.medium as utm_medium,
        sessions.came_from.campaign as utm_campaign
    from sessions
),

categories as (
    select * from {{ ref('source_categories') }}
),

accounts as (
    select id_value, customer_id from {{ ref('int_customer_map') }} where id_type = 'admin_user' and customer_id is not null
),

devices as (
    select id_value, customer_id from {{ ref('int_customer_map') }} where id_type = 'ga_pseudo' and customer_id is not null
)

select
    visits.session_key,
    -- on a shared device the signed-in account says who it was; without one nobody knows
    coalesce(accounts.customer_id, devices.customer_id) as customer_id,
    visits.user_pseudo_id,
    visits.started_at,
    visits.last_event_at,
    visits.user_id,
    visits.platform,
    visits.geo_city,
    visits.utm_source,
    visits.utm_medium,
    visits.utm_campaign,
    {{ channel_group(
        'visits.utm_source', 'visits.utm_medium', 'visits.utm_campaign',
        'coalesce(exact.category, labels.category)'
    ) }} as channel_group,
    visits.landing_page,
    visits.language,
    visits.events
from attributed as visits
left join categories as exact on lower(visits.utm_source) = exact.source
left join categories as labels on {{ source_label('visits.utm_source') }} = labels.source
left join accounts on visits.user_id = accounts.id_value
left join devices on visits.user_pseudo_id = devices.id_value
