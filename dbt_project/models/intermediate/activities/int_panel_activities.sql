{# What the admin panel and the CRM tell of each customer, as activities. #}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_owners', cluster_by='hash(customer_id)') }}
with

quotes as (
    select * from {{ ref('int_quotes') }} where customer_id is not null and {{ only_replaced('customer_id', 'int_touched_owners') }}
),

orders as (
    select * from {{ ref('int_orders') }} where customer_id is not null and {{ only_replaced('customer_id', 'int_touched_owners') }}
),

statuses as (
    select * from {{ ref('int_order_statuses') }}
),

pickups as (
    select * from {{ ref('int_pickups') }} where customer_id is not null and {{ only_replaced('customer_id', 'int_touched_owners') }}
),

customer_map as (
    select * from {{ ref('int_customer_map') }}
    where customer_id is not null and {{ only_replaced('customer_id', 'int_touched_owners') }}
),

users as (
    select
        users.user_id,
        users.created_at,
        users.city_raw,
        accounts.customer_id
    from {{ ref('stg_admin__users') }} as users
    inner join customer_map as accounts
        on accounts.id_type = 'admin_user' and cast(users.user_id as varchar) = accounts.id_value
),

contacts as (
    select
        contacts.contact_id,
        contacts.created_at,
        contacts.contact_source,
        crm_contacts.customer_id
    from {{ ref('stg_crm__contacts') }} as contacts
    inner join customer_map as crm_contacts
        on crm_contacts.id_type = 'crm_contact' and contacts.contact_id = crm_contacts.id_value
),

stream as (
    select
        'quote:' || cast(quote_id as varchar) as activity_id, customer_id, 'quote_viewed' as activity,
        created_at as occurred_at, 'admin' as source, cast(quote_id as varchar) as entity_id, category, brand, model,
        quoted_price as value, city_raw as city, platform, cast(null as varchar) as campaign, cast(null as varchar) as detail
    from quotes
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
    detail
from stream
where customer_id is not null and occurred_at <= {{ as_of() }}
