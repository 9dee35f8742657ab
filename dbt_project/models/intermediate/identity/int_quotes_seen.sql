{# GA4 and the admin panel both tell a quote. The admin panel decides; the GA4 event adds the device it was seen on.
   Matched by platform, price and second (and by device id where the admin row kept one): nothing else is shared. #}
{{ config(
    materialized='incremental',
    replaced_by='quoted_on',
    replaced_from='int_changed_quote_days',
    tracks=['quote_id', 'user_id', 'ga_client_id', 'phone_e164']
) }}
with

quotes as (
    select
        *,
        cast(created_at as date) as quoted_on
    from {{ ref('stg_admin__quotes') }}
    where {{ only_replaced('cast(created_at as date)', 'int_changed_quote_days') }}
),

ga4_quotes as (
    select
        event_id,
        user_pseudo_id,
        session_key,
        occurred_at,
        platform,
        quote_value,
        device_model
    from {{ ref('stg_ga4__events') }}
    where
        event_name = 'quote_viewed'
        and user_pseudo_id is not null
        and not is_bot
        and {{ only_replaced('cast(occurred_at as date)', 'int_changed_quote_days') }}
        -- a date of the export is of the property's zone
        and {{ only_since('event_date', 'int_changed_quote_days', 'quoted_on', days_earlier=1) }}
),

candidates as (
    select
        quotes.quote_id,
        ga4_quotes.event_id,
        ga4_quotes.user_pseudo_id,
        ga4_quotes.session_key,
        ga4_quotes.occurred_at,
        abs(epoch_us(ga4_quotes.occurred_at) - epoch_us(quotes.created_at)) as distance_us,
        coalesce(ga4_quotes.user_pseudo_id = quotes.ga_client_id, false) as is_same_device
    from quotes
    inner join ga4_quotes
        on quotes.platform = ga4_quotes.platform
        and cast(floor(epoch(quotes.created_at)) as bigint) = cast(floor(epoch(ga4_quotes.occurred_at)) as bigint)
        and quotes.quoted_price = ga4_quotes.quote_value
    where
        quotes.ga_client_id is null
        or quotes.ga_client_id = ga4_quotes.user_pseudo_id
),

unambiguous as (
    select
        *,
        count(distinct user_pseudo_id) over (partition by quote_id) as devices_of_quote,
        count(distinct quote_id) over (partition by event_id) as quotes_of_event
    from candidates
),

matched as (
    select *
    from unambiguous
    where is_same_device or (devices_of_quote = 1 and quotes_of_event = 1)
    qualify row_number() over (partition by quote_id order by is_same_device desc, distance_us, event_id) = 1
)

select
    quotes.quote_id,
    quotes.user_id,
    coalesce(quotes.ga_client_id, matched.user_pseudo_id) as ga_client_id,
    matched.event_id as ga4_event_id,
    matched.session_key,
    phones.phone_e164,
    coalesce(phones.is_mobile, false) as is_mobile,
    quotes.model_id,
    quotes.category,
    quotes.brand,
    quotes.model,
    quotes.quoted_price,
    quotes.city_raw,
    quotes.platform,
    quotes.created_at,
    quotes.quoted_on
from quotes
left join matched on quotes.quote_id = matched.quote_id
left join {{ ref('int_phones') }} as phones on quotes.phone_raw = phones.phone_raw
