{# The one stream, without our own messages (int_message_activities has those: they exist only after a send).
   A fact that GA4 and the admin panel both tell is one row, the admin panel's. #}
{{ config(
    materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_customers', keeps_part=true,
    cluster_by='hash(customer_id)'
) }}
with

panel as (
    select * from {{ ref('int_panel_activities') }} where {{ only_touched('customer_id') }}
),

sessions as (
    select * from {{ own_visits() }} where customer_id is not null
),

-- an uninstall is reported by the system and belongs to no visit: whose the device is says who it was
owners as (
    select * from {{ ref('int_customer_map') }}
    where id_type = 'ga_pseudo' and customer_id is not null and {{ only_touched('customer_id') }}
),

-- searched once, uninstalls included
ga4_events as (
    select
        events.*,
        sessions.customer_id,
        owners.customer_id as owner_id
    from {{ ref('stg_ga4__events') }} as events
    left join sessions on events.session_key = sessions.session_key
    left join owners on case when events.event_name = 'app_remove' then events.user_pseudo_id end = owners.id_value
    where not events.is_bot and {{ only_visits('events.user_pseudo_id') }}
),

-- all of them: a quote may be matched to an event on somebody else's device
quotes as (
    select * from {{ ref('int_quotes') }} where customer_id is not null
),

ga4_only_quotes as (
    select ga4_events.*
    from ga4_events
    left join quotes on ga4_events.event_id = quotes.ga4_event_id
    left join quotes as near_quotes
        on ga4_events.customer_id = near_quotes.customer_id
        and ga4_events.quote_value = near_quotes.quoted_price
        and near_quotes.created_at >= {{ dbt.dateadd('second', -var('ga4_same_quote_seconds'), 'ga4_events.occurred_at') }}
        and near_quotes.created_at <= {{ dbt.dateadd('second', var('ga4_same_quote_seconds'), 'ga4_events.occurred_at') }}
    where ga4_events.event_name = 'quote_viewed' and quotes.quote_id is null and near_quotes.quote_id is null
    -- a doubled tag tells the same view twice within seconds
    qualify
        row_number() over (
            partition by
                ga4_events.session_key,
                ga4_events.quote_value,
                ga4_events.device_model,
                {{ dbt.date_trunc('minute', 'ga4_events.occurred_at') }}
            order by ga4_events.occurred_at, ga4_events.event_id
        ) = 1
),

stream as (
    select
        'session:' || session_key as activity_id, customer_id, 'session_started' as activity,
        started_at as occurred_at, 'ga4' as source, session_key as entity_id,
        cast(null as varchar) as category, cast(null as varchar) as brand, cast(null as varchar) as model,
        cast(null as double) as value, geo_city as city, platform, utm_campaign as campaign, cast(null as varchar) as detail
    from sessions
    union all
    select
        'ga4:' || event_id, customer_id,
        case event_name
            when 'search' then 'searched'
            when 'view_search_results' then 'searched'
            when 'view_item_list' then 'category_viewed'
            when 'view_item' then 'product_viewed'
            when 'add_to_wishlist' then 'wishlist_added'
            when 'add_to_cart' then 'cart_updated'
            when 'begin_checkout' then 'checkout_started'
            when 'purchase' then 'purchase_completed'
            when 'first_open' then 'app_installed'
        end,
        occurred_at, 'ga4', session_key, category, brand, device_model, quote_value, geo_city, platform, utm_campaign, null
    from ga4_events
    where
        event_name in (
            'search', 'view_search_results', 'view_item_list', 'view_item', 'add_to_wishlist', 'add_to_cart',
            'begin_checkout', 'purchase', 'first_open'
        )
    union all
    select
        'uninstall:' || event_id, owner_id, 'app_uninstalled', occurred_at, 'ga4', null,
        null, null, null, null, null, platform, null, null
    from ga4_events
    where event_name = 'app_remove'
    union all
    select
        'ga4quote:' || event_id, customer_id, 'quote_viewed', occurred_at, 'ga4', null,
        category, brand, device_model, quote_value, geo_city, platform, utm_campaign, null
    from ga4_only_quotes
    union all
    select
        activity_id, customer_id, activity, occurred_at, source, entity_id,
        category, brand, model, value, city, platform, campaign, detail
    from panel
)

select
    activity_id,
    customer_id,
    activity,
    occurred_at,
    source,
    entity_id,
    category,
    brand,
    model,
    value,
    city,
    platform,
    campaign,
    detail,
    activity in (
        'session_started', 'quote_viewed', 'order_placed', 'document_uploaded', 'device_picked_up',
        'pickup_rescheduled', 'feedback_given'
    ) as is_activity
from stream
where customer_id is not null and occurred_at <= {{ as_of() }}
