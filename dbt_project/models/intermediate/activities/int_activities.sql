{# The one stream, without our own messages (int_message_activities has those: they exist only after a send).
   A fact that GA4 and the admin panel both tell is one row, the admin panel's. #}
with

sessions as (
    select * from {{ ref('int_ga4_sessions') }} where customer_id is not null
),

ga4_events as (
    select
        events.*,
        sessions.customer_id
    from {{ ref('stg_ga4__events') }} as events
    inner join sessions on events.session_key = sessions.session_key
    where not events.is_bot
),

uninstalls as (
    select
        events.event_id,
        devices.customer_id,
        events.occurred_at,
        events.platform
    from {{ ref('stg_ga4__events') }} as events
    inner join {{ ref('int_customer_map') }} as devices
        on devices.id_type = 'ga_pseudo' and events.user_pseudo_id = devices.id_value
    where events.event_name = 'app_remove' and devices.customer_id is not null and not events.is_bot
),

quotes as (
    select * from {{ ref('int_quotes') }} where customer_id is not null
),

orders as (
    select * from {{ ref('int_orders') }} where customer_id is not null
),

statuses as (
    select * from {{ ref('int_order_statuses') }}
),

pickups as (
    select * from {{ ref('int_pickups') }} where customer_id is not null
),

users as (
    select
        users.user_id,
        users.created_at,
        users.city_raw,
        accounts.customer_id
    from {{ ref('stg_admin__users') }} as users
    inner join {{ ref('int_customer_map') }} as accounts
        on accounts.id_type = 'admin_user' and cast(users.user_id as varchar) = accounts.id_value
),

contacts as (
    select
        contacts.contact_id,
        contacts.created_at,
        contacts.contact_source,
        crm_contacts.customer_id
    from {{ ref('stg_crm__contacts') }} as contacts
    inner join {{ ref('int_customer_map') }} as crm_contacts
        on crm_contacts.id_type = 'crm_contact' and contacts.contact_id = crm_contacts.id_value
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
            order by ga4_events.occurred_at
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
        'uninstall:' || event_id, customer_id, 'app_uninstalled', occurred_at, 'ga4', null,
        null, null, null, null, null, platform, null, null
    from uninstalls
    union all
    select
        'quote:' || cast(quote_id as varchar), customer_id, 'quote_viewed', created_at, 'admin', cast(quote_id as varchar),
        category, brand, model, quoted_price, city_raw, platform, null, null
    from quotes
    union all
    select
        'ga4quote:' || event_id, customer_id, 'quote_viewed', occurred_at, 'ga4', null,
        category, brand, device_model, quote_value, geo_city, platform, utm_campaign, null
    from ga4_only_quotes
    union all
    select
        'order:' || orders.order_id || ':' || statuses.status, orders.customer_id,
        case statuses.status
            when 'placed' then 'order_placed'
            when 'confirmed' then 'order_confirmed'
            when 'picked_up' then 'device_picked_up'
            when 'completed' then 'order_completed'
            when 'cancelled' then 'order_cancelled'
            when 'expired' then 'order_expired'
            when 'failed' then 'order_failed'
            when 'returned' then 'order_returned'
        end,
        statuses.reached_at, 'admin', orders.order_id, orders.category, orders.brand, null,
        coalesce(orders.final_price, orders.quoted_price), orders.city_raw, orders.order_source, null, orders.cancel_reason
    from orders
    inner join statuses on orders.order_id = statuses.order_id
    where statuses.status in ('placed', 'confirmed', 'picked_up', 'completed', 'cancelled', 'expired', 'failed', 'returned')
    union all
    select
        'pickup:' || cast(pickup_id as varchar), customer_id,
        case when attempt_no > 1 then 'pickup_rescheduled' else 'pickup_scheduled' end,
        created_at, 'admin', cast(pickup_id as varchar), category, brand, null, quoted_price, city_raw, null, null, order_id
    from pickups
    union all
    select
        'pickup:' || cast(pickup_id as varchar) || ':failed', customer_id, 'pickup_failed',
        result_at, 'admin', cast(pickup_id as varchar), category, brand, null, quoted_price, city_raw, null, null, failure_reason
    from pickups
    where status = 'failed'
    union all
    select
        'document:' || documents.document_id, orders.customer_id, 'document_uploaded', documents.uploaded_at, 'admin',
        orders.order_id, orders.category, orders.brand, null, null, orders.city_raw, null, null, documents.doc_type
    from {{ ref('stg_admin__documents') }} as documents
    inner join orders on documents.order_id = orders.order_id
    union all
    select
        'payout:' || cast(payouts.payout_id as varchar), orders.customer_id, 'payout_paid', payouts.paid_at, 'admin',
        orders.order_id, orders.category, orders.brand, null, payouts.amount, orders.city_raw, null, null, payouts.kind
    from {{ ref('stg_admin__payouts') }} as payouts
    inner join orders on payouts.order_id = orders.order_id
    union all
    select
        'feedback:' || feedback.feedback_id, orders.customer_id, 'feedback_given', feedback.created_at, 'admin',
        orders.order_id, orders.category, orders.brand, null, cast(feedback.rating as double), orders.city_raw, null, null, null
    from {{ ref('stg_admin__feedback') }} as feedback
    inner join orders on feedback.order_id = orders.order_id
    union all
    select
        'signup:' || cast(user_id as varchar), customer_id, 'signed_up', created_at, 'admin', cast(user_id as varchar),
        null, null, null, null, city_raw, null, null, null
    from users
    union all
    select
        'contact:' || contact_id, customer_id, 'lead_created', created_at, 'crm', contact_id,
        null, null, null, null, null, null, null, contact_source
    from contacts
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
