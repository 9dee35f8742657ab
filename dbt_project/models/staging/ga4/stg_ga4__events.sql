{# Late rows, re-exports and the intraday/daily overlap are settled here: the daily table of a date replaces its intraday one.
   A day of the export stands alone: nothing here looks beyond it, so a changed day is all there is to do again. #}
{{ config(
    materialized='incremental',
    replaced_by='event_date',
    replaced_from='stg_ga4__changed_dates',
    tracks=['user_pseudo_id'],
    cluster_by=['event_date >= cast({{ as_of() }} as date) - 3', 'hash(user_pseudo_id)']
) }}
with

events as (
    {{ fit_rows('ga4', 'ga4_events', [
        '_table', '_table_date', 'event_timestamp', 'event_name', 'event_server_timestamp_offset', 'user_pseudo_id',
        'event_bundle_sequence_id',
    ], part=only_replaced('_table_date', 'stg_ga4__changed_dates')) }}
),

daily_dates as (
    select distinct _table_date
    from {{ source('ga4', 'ga4_events') }}
    where not _is_intraday and {{ only_replaced('_table_date', 'stg_ga4__changed_dates') }}
),

current_tables as (
    select events.*
    from events
    left join daily_dates on events._table_date = daily_dates._table_date
    where not events._is_intraday or daily_dates._table_date is null
),

flattened as (
    -- device.category is a field of a nested column, not of a table
    -- noqa: disable=RF03,AL09
    select
        _table_date as event_date,
        {{ utc_from_epoch_micros('event_timestamp + coalesce(event_server_timestamp_offset, 0)') }} as occurred_at,
        event_timestamp,
        event_name,
        nullif(user_id, '') as user_id,
        nullif(user_pseudo_id, '') as user_pseudo_id,
        {{ ga4_param('ga_session_id', 'integer') }} as ga_session_id,
        {{ ga4_param('ga_session_number', 'integer') }} as ga_session_number,
        platform,
        stream_id,
        device.category as device_category,
        device.operating_system as operating_system,
        device.language as device_language,
        coalesce(device.web_info.browser, device.browser) as browser,
        geo.city as geo_city,
        geo.country as geo_country,
        {{ ga4_param('page_location') }} as page_location,
        {{ ga4_param('quote_value', 'number') }} as quote_value,
        {{ ga4_param('device_model') }} as device_model,
        {{ ga4_param('category') }} as category,
        {{ ga4_param('brand') }} as brand,
        coalesce({{ ga4_param('order_id') }}, nullif(ecommerce.transaction_id, '(not set)')) as order_id,
        coalesce({{ ga4_param('source') }}, collected_traffic_source.manual_source) as utm_source,
        coalesce({{ ga4_param('medium') }}, collected_traffic_source.manual_medium) as utm_medium,
        coalesce({{ ga4_param('campaign') }}, collected_traffic_source.manual_campaign_name) as utm_campaign,
        coalesce(privacy_info.analytics_storage, 'Yes') = 'No' as is_consent_denied,
        md5(cast(event_params as varchar)) as params_hash
    from current_tables
    where event_timestamp is not null and event_name is not null
    -- noqa: enable=RF03,AL09
),

deduplicated as (
    select
        *,
        count(*) over (
            partition by event_date, event_name, event_timestamp, user_pseudo_id, ga_session_id, params_hash, stream_id
        ) as copies
    from flattened
    qualify
        row_number() over (
            partition by event_date, event_name, event_timestamp, user_pseudo_id, ga_session_id, params_hash, stream_id
            order by user_id nulls last
        ) = 1
),

counted as (
    select
        *,
        count(*) filter (where event_name = 'page_view') over (
            partition by user_pseudo_id, event_date
        ) as page_views_of_day
    from deduplicated
)

select
    {{ key_of([
        'event_date', 'event_name', 'event_timestamp', 'user_pseudo_id', 'ga_session_id', 'params_hash', 'stream_id'
    ]) }} as event_id,
    event_date,
    occurred_at,
    event_name,
    case when not is_consent_denied then user_id end as user_id,
    case when not is_consent_denied then user_pseudo_id end as user_pseudo_id,
    case
        when not is_consent_denied and user_pseudo_id is not null and ga_session_id is not null
            then user_pseudo_id || '.' || cast(ga_session_id as varchar)
    end as session_key,
    ga_session_number,
    platform,
    stream_id,
    device_category,
    operating_system,
    device_language,
    geo_city,
    geo_country,
    page_location,
    quote_value,
    device_model,
    category,
    brand,
    order_id,
    coalesce(utm_source, nullif(regexp_extract(page_location, '[?&]utm_source=([^&#]*)', 1), '')) as utm_source,
    coalesce(utm_medium, nullif(regexp_extract(page_location, '[?&]utm_medium=([^&#]*)', 1), '')) as utm_medium,
    coalesce(utm_campaign, nullif(regexp_extract(page_location, '[?&]utm_campaign=([^&#]*)', 1), '')) as utm_campaign,
    is_consent_denied,
    copies,
    (
        page_views_of_day > {{ var('ga4_bot_page_views_per_day') }} and user_pseudo_id is not null
    ) or regexp_matches(coalesce(browser, ''), '(?i)headless|bot|crawler|spider') as is_bot
from counted
where occurred_at <= {{ as_of() }}
