{# One row a customer: who they are, when first seen and known, whether they are a test user or deleted. #}
{{ config(
    materialized='incremental',
    replaced_by='customer_id',
    replaced_from='int_touched_customers',
    tracks=['customer_id']
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
    inner join customer_map as contact_ids
        on contact_ids.id_type = 'crm_contact' and contacts.contact_id = contact_ids.id_value
),

accounts as (
    select
        customer_id,
        min(created_at) as account_at,
        -- the person is gone only when every account of theirs is
        case when count(*) = count(deleted_at) then max(deleted_at) end as deleted_at,
        bool_or(is_test_flag) as has_test_flag,
        max_by(name, struct_pack(at := created_at, id := user_id)) filter (where name is not null) as name,
        max_by(city_raw, struct_pack(at := created_at, id := user_id)) filter (where city_raw is not null) as city_raw
    from users
    group by customer_id
),

leads as (
    select
        customer_id,
        min(created_at) as contact_at,
        max_by(first_name, struct_pack(at := created_at, id := contact_id)) filter (where first_name is not null) as first_name
    from contacts
    group by customer_id
),

addresses as (
    select
        customer_id,
        min(given_at) filter (where address_kind in ('phone', 'email')) as address_at,
        bool_or(
            address_kind = 'phone'
            and address between '{{ var("test_phone_range")[0] }}' and '{{ var("test_phone_range")[1] }}'
        ) as has_test_phone,
        bool_or(
            address_kind = 'email'
            and split_part(address, '@', 2) in ('{{ var("test_email_domains") | join("', '") }}')
        ) as has_test_email
    from {{ ref('int_addresses') }}
    where {{ only_touched('customer_id') }}
    group by customer_id
),

activities as (
    select
        customer_id,
        min(occurred_at) as first_activity_at,
        max(occurred_at) filter (where is_activity) as last_activity_at,
        max(occurred_at) filter (where activity = 'checkout_started') as last_checkout_at,
        max(occurred_at) filter (where platform in ('ANDROID', 'IOS') and activity <> 'app_uninstalled') as last_app_use_at
    from {{ part_of('int_activities') }}
    group by customer_id
),

seen as (
    select
        customer_id,
        min(first_seen_at) as first_identifier_at,
        count(*) as identifiers,
        count(case when id_type = 'admin_user' then 1 end) as accounts
    from customer_map
    where id_type <> 'former_customer'
    group by customer_id
)

select
    seen.customer_id,
    coalesce(accounts.name, leads.first_name) as display_name,
    accounts.city_raw,
    least(seen.first_identifier_at, activities.first_activity_at) as first_seen_at,
    least(accounts.account_at, leads.contact_at, addresses.address_at) as first_known_at,
    accounts.account_at,
    accounts.deleted_at,
    coalesce(accounts.has_test_flag, false)
    or coalesce(addresses.has_test_phone, false)
    or coalesce(addresses.has_test_email, false) as is_test,
    activities.last_activity_at,
    activities.last_checkout_at,
    activities.last_app_use_at,
    -- hardly one person: nothing promotional until somebody looked
    seen.accounts > {{ var('max_accounts_per_customer') }}
    or seen.identifiers > {{ var('max_identifiers_per_customer') }} as is_oversized
from seen
left join accounts on seen.customer_id = accounts.customer_id
left join leads on seen.customer_id = leads.customer_id
left join addresses on seen.customer_id = addresses.customer_id
left join activities on seen.customer_id = activities.customer_id
