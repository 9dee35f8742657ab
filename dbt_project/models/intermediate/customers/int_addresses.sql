{# Every address a customer gave, from when on, and which comes first. Shared numbers stay addresses; placeholders never are. #}
{{ config(
    materialized='incremental',
    replaced_by='customer_id',
    replaced_from='int_touched_customers',
    tracks=['customer_id', 'address']
) }}
with

customer_map as (
    select * from {{ ref('int_customer_map') }} where customer_id is not null and {{ only_touched('customer_id') }}
),

users as (
    select users.*, accounts.customer_id
    from {{ ref('stg_admin__users') }} as users
    inner join customer_map as accounts
        on accounts.id_type = 'admin_user' and cast(users.user_id as varchar) = accounts.id_value
),

contacts as (
    select contacts.*, contact_ids.customer_id
    from {{ ref('stg_crm__contacts') }} as contacts
    inner join customer_map as contact_ids on contact_ids.id_type = 'crm_contact' and contacts.contact_id = contact_ids.id_value
),

quotes as (
    select * from {{ ref('int_quotes') }} where customer_id is not null and {{ only_touched('customer_id') }}
),

typed_phones as (
    select customer_id, phone_raw, created_at as given_at, 1 as preference
    from users
    union all
    select customer_id, phone_raw, created_at, 3
    from contacts
),

read_phones as (
    select customer_id, contact_phone as phone_e164, placed_at as given_at, 2 as preference
    from {{ ref('int_orders') }}
    where customer_id is not null and {{ only_touched('customer_id') }}
    union all
    select customer_id, phone_e164, created_at, 4
    from quotes
),

given as (
    select typed.customer_id, 'phone' as address_kind, phones.phone_e164 as address, typed.given_at, typed.preference
    from typed_phones as typed
    inner join {{ ref('int_phones') }} as phones on typed.phone_raw = phones.phone_raw
    where phones.is_mobile and not phones.is_placeholder
    union all
    select customer_id, 'phone', phone_e164, given_at, preference
    from read_phones
    where phone_e164 in (select phone_e164 from {{ ref('int_phones') }} where is_mobile and not is_placeholder)
    union all
    select customer_id, 'email', email, created_at, 1
    from users
    where email is not null
    union all
    -- the CRM row shows today's value: an e-mail equal to the linked account's came with the account, not with the lead form
    select
        contacts.customer_id,
        'email',
        contacts.email,
        case when users.email_key = contacts.email_key then users.created_at else contacts.created_at end,
        3
    from contacts
    left join {{ ref('stg_admin__users') }} as users on contacts.user_id = users.user_id
    where contacts.email is not null
    union all
    select customer_id, 'push', customer_id as own_address, min(started_at), 5
    from {{ own_visits() }}
    where customer_id is not null and platform in ('ANDROID', 'IOS')
    group by customer_id
    union all
    select customer_id, 'push', customer_id as own_address, min(created_at), 5
    from quotes
    where platform in ('ANDROID', 'IOS')
    group by customer_id
),

push_tokens as (
    select accounts.customer_id, 'push' as address_kind, tokens.token as address, tokens.updated_at as given_at, 1 as preference
    from {{ ref('stg_admin__push_tokens') }} as tokens
    inner join customer_map as accounts
        on accounts.id_type = 'admin_user' and cast(tokens.user_id as varchar) = accounts.id_value
),

all_addresses as (
    -- where the shop keeps a token table, only a token is a push address
    select * from given
    where address_kind <> 'push' or not exists (select 1 from {{ ref('stg_admin__push_tokens') }})
    union all
    select * from push_tokens
)

select
    customer_id,
    address_kind,
    address,
    min(given_at) as given_at,
    min(preference) as preference
from all_addresses
group by customer_id, address_kind, address
