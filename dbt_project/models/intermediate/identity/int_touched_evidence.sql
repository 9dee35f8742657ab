{# Whose evidence an hourly run gathers again: the left sides of what rows say that differ from what the last complete build saw. #}
with

users as (
    {{ touched_rows('stg_admin__users', 'user_id', apart=false) }}
),

ordering as (
    {{ touched_rows('stg_admin__orders', 'user_id') }}
),

quotes as (
    {{ touched_rows('int_quotes_seen', 'quote_id, user_id, ga_client_id') }}
),

devices as (
    {{ touched_rows('int_ga4_devices', 'user_id, order_id') }}
),

contacts as (
    {{ touched_rows('stg_crm__contacts', 'contact_id', apart=false) }}
),

orders as (
    select * from {{ ref('stg_admin__orders') }}
),

accounts as (
    select cast(user_id as varchar) as user_id from users
    union
    select cast(user_id as varchar) from ordering
    union
    select cast(user_id as varchar) from quotes
    union
    select user_id from devices
    union
    -- an order speaks of the quote it was made from, and of the device that told it
    select cast(orders.user_id as varchar)
    from orders
    inner join quotes on orders.quote_id = quotes.quote_id
    union
    select cast(orders.user_id as varchar)
    from orders
    inner join devices on orders.order_id = devices.order_id
)

select 'admin_user' as left_type, user_id as left_value
from accounts
where user_id is not null
union
select 'ga_pseudo', ga_client_id
from quotes
where ga_client_id is not null
union
select 'crm_contact', contact_id
from contacts
union
-- a contact speaks of an account where there is one
select 'crm_contact', contacts.contact_id
from {{ ref('stg_crm__contacts') }} as contacts
inner join users on contacts.user_id = users.user_id
