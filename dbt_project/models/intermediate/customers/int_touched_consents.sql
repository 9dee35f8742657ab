{# Whose consent an hourly run works out again: whose accounts, contacts, addresses, statements or opt-outs differ from what the last
   complete build saw. #}
with

users as (
    select user_id
    from ({{ touched_rows('stg_admin__users', 'user_id') }}) as touched
    union
    select user_id
    from ({{ touched_rows('stg_admin__consents', 'user_id') }}) as touched
    union
    -- a flag is stated when its row changed, which may lie ahead
    select user_id
    from {{ ref('stg_admin__users') }}
    where {{ came_of_age('updated_at') }}
),

identifiers as (
    select 'admin_user' as id_type, cast(user_id as varchar) as id_value from users
    union
    select 'crm_contact', contact_id
    from ({{ touched_rows('stg_crm__contacts', 'contact_id') }}) as touched
),

-- what is said at an address is said by everyone on it
spoken_at as (
    select unit as address
    from ({{ changed_units(['ledger_consent_statements']) }}) as changes
    union
    select address
    from {{ ref('stg_ledger__consent_statements') }}
    where {{ came_of_age('stated_at') }}
),

customers as (
    select customer_id
    from ({{ touched_rows('int_customer_map', 'customer_id') }}) as touched
    union
    select customer_id
    from ({{ touched_rows('int_addresses', 'customer_id') }}) as touched
    union
    select customer_id
    from ({{ touched_rows('int_crm_messages', 'customer_id, opted_out_channel') }}) as touched
    where opted_out_channel is not null
    union
    select customer_map.customer_id
    from {{ ref('int_customer_map') }} as customer_map
    inner join identifiers
        on customer_map.id_type = identifiers.id_type and customer_map.id_value = identifiers.id_value
    union
    select addresses.customer_id
    from {{ ref('int_addresses') }} as addresses
    inner join spoken_at on addresses.address = spoken_at.address
)

select customer_id
from customers
where customer_id is not null
