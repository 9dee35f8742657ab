{# Whose facts an hourly run reads again in the panel and the CRM: whose orders, quotes, accounts, contacts, push tokens or
   identifiers differ from what the last complete build saw. #}
with

users as (
    {{ touched_rows('stg_admin__users', 'user_id', apart=false) }}
),

tokens as (
    {{ touched_rows('stg_admin__push_tokens', 'user_id') }}
),

orders as (
    select order_id
    from {{ ref('int_touched_deals') }}
    union
    {{ touched_rows('stg_admin__documents', 'order_id') }}
    union
    {{ touched_rows('stg_admin__feedback', 'order_id') }}
),

identifiers as (
    select 'admin_user' as id_type, cast(user_id as varchar) as id_value
    from users
    union
    select 'admin_user', cast(user_id as varchar)
    from tokens
    union
    select 'crm_contact', contact_id
    from ({{ touched_rows('stg_crm__contacts', 'contact_id', apart=false) }}) as touched
    union
    -- an address that a contact has from an account is as old as the account, whoever has that
    select 'crm_contact', contacts.contact_id
    from {{ ref('stg_crm__contacts') }} as contacts
    inner join users on contacts.user_id = users.user_id
),

customers as (
    {{ touched_rows('int_customer_map', 'customer_id') }}
    union
    {{ touched_rows('int_orders', 'customer_id') }}
    union
    {{ touched_rows('int_quotes', 'customer_id') }}
    union
    select customer_orders.customer_id
    from {{ ref('int_orders') }} as customer_orders
    inner join orders on customer_orders.order_id = orders.order_id
    union
    select customer_map.customer_id
    from {{ ref('int_customer_map') }} as customer_map
    inner join identifiers
        on customer_map.id_type = identifiers.id_type and customer_map.id_value = identifiers.id_value
    union
    -- with the last push token everybody's apps are push addresses again
    select customer_id
    from {{ ref('int_customer_map') }}
    where
        exists (select 1 from tokens)
        and not exists (select 1 from {{ ref('stg_admin__push_tokens') }})
    {%- if execute and held_relation('int_addresses') is not none %}
    union
    -- and with the first one they are none
    select customer_id
    from {{ held_relation('int_addresses') }}
    where
        address_kind = 'push' and preference = 5
        and exists (select 1 from {{ ref('stg_admin__push_tokens') }})
    {%- endif %}
)

select customer_id
from customers
where customer_id is not null
