{# Every statement that two identifiers belong together, with where it was made and when. Rows are evidence, never a verdict:
   placeholders and shared identifiers are still here, and int_identity_edges says what may be believed. #}
{{ config(
    materialized='incremental',
    replaced_by=['left_type', 'left_value'],
    replaced_from='int_touched_evidence',
    tracks=['left_type', 'left_value', 'right_type', 'right_value']
) }}
{% set of_touched_account = only_replaced("'admin_user', cast(user_id as varchar)", 'int_touched_evidence') %}
{% set of_touched_contact = only_replaced("'crm_contact', contact_id", 'int_touched_evidence') %}
{% set of_touched_device = only_replaced("'ga_pseudo', ga_client_id", 'int_touched_evidence') %}
with

-- the touched ones first: else everybody's numbers are joined and most of them left out afterwards
users as (
    select
        users.*,
        phones.phone_e164
    from (select * from {{ ref('stg_admin__users') }} where {{ of_touched_account }}) as users
    left join {{ ref('int_phones') }} as phones on users.phone_raw = phones.phone_raw
),

orders as (
    select
        orders.*,
        phones.phone_e164
    from (select * from {{ ref('stg_admin__orders') }} where {{ of_touched_account }}) as orders
    left join {{ ref('int_phones') }} as phones on orders.contact_phone_raw = phones.phone_raw
),

contacts as (
    select
        contacts.*,
        phones.phone_e164
    from (select * from {{ ref('stg_crm__contacts') }} where {{ of_touched_contact }}) as contacts
    left join {{ ref('int_phones') }} as phones on contacts.phone_raw = phones.phone_raw
),

accounts as (
    select user_id from {{ ref('stg_admin__users') }}
),

quotes as (
    select * from {{ ref('int_quotes_seen') }}
),

devices as (
    select * from {{ ref('int_ga4_devices') }}
),

single_statements as (
    select
        'admin_user' as left_type,
        cast(user_id as varchar) as left_value,
        'phone' as right_type,
        phone_e164 as right_value,
        'admin.users' as evidence_source,
        created_at as seen_at
    from users
    union all
    select 'admin_user', cast(user_id as varchar), 'email', email_key, 'admin.users', created_at
    from users
    union all
    select 'admin_user', cast(user_id as varchar), 'phone', phone_e164, 'admin.orders', placed_at
    from orders
    union all
    select 'admin_user', cast(user_id as varchar), 'phone', phone_e164, 'admin.quotes', created_at
    from {{ ref('int_quotes_seen') }}
    where {{ of_touched_account }}
    union all
    select 'admin_user', cast(user_id as varchar), 'ga_pseudo', ga_client_id, 'admin.quotes', created_at
    from {{ ref('int_quotes_seen') }}
    where {{ of_touched_account }}
    union all
    select 'ga_pseudo', ga_client_id, 'phone', phone_e164, 'admin.quotes', created_at
    from {{ ref('int_quotes_seen') }}
    where {{ of_touched_device }}
    union all
    select 'admin_user', cast(orders.user_id as varchar), 'ga_pseudo', quotes.ga_client_id, 'admin.orders', orders.placed_at
    from orders
    inner join quotes on orders.quote_id = quotes.quote_id
    union all
    select 'admin_user', cast(orders.user_id as varchar), 'admin_user', cast(quotes.user_id as varchar), 'admin.orders', orders.placed_at
    from orders
    inner join quotes on orders.quote_id = quotes.quote_id and orders.user_id <> quotes.user_id
    union all
    select 'crm_contact', contact_id, 'admin_user', cast(contacts.user_id as varchar), 'crm.contacts', contacts.created_at
    from contacts
    inner join accounts on contacts.user_id = accounts.user_id
    union all
    select 'crm_contact', contact_id, 'phone', phone_e164, 'crm.contacts', created_at
    from contacts
    union all
    select 'crm_contact', contact_id, 'email', email_key, 'crm.contacts', created_at
    from contacts
),

statements as (
    select
        left_type,
        left_value,
        right_type,
        right_value,
        evidence_source,
        seen_at as first_seen_at,
        seen_at as last_seen_at,
        1 as statements
    from single_statements
    union all
    select
        'admin_user', devices.user_id, 'ga_pseudo', devices.user_pseudo_id, 'ga4.user_id',
        devices.first_seen_at, devices.last_seen_at, devices.events
    from devices
    inner join users on devices.user_id = cast(users.user_id as varchar)
    union all
    select
        'admin_user', cast(orders.user_id as varchar), 'ga_pseudo', devices.user_pseudo_id, 'ga4.order_id',
        devices.first_seen_at, devices.last_seen_at, devices.events
    from devices
    inner join orders on devices.order_id = orders.order_id
)

select
    {{ key_of(['left_type', 'left_value', 'right_type', 'right_value', 'evidence_source']) }} as evidence_id,
    left_type,
    left_value,
    right_type,
    right_value,
    evidence_source,
    min(first_seen_at) as first_seen_at,
    max(last_seen_at) as last_seen_at,
    cast(sum(statements) as bigint) as statements
from statements
where left_value is not null and right_value is not null
group by left_type, left_value, right_type, right_value, evidence_source
