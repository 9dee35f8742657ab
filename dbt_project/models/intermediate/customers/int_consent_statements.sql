{# Everything anyone said about being written to, from wherever it was said, append-only. Latest wins, per person and channel.
   A flag has no time of its own. An opt-in flag is taken to be as old as the person's first address, so any dated opt-out
   beats it; an opt-out flag is stated again whenever its row changed, so no older opt-in outlives it. #}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_consents', cluster_by='hash(customer_id)') }}
with

customer_map as (
    select *
    from {{ ref('int_customer_map') }}
    where customer_id is not null and {{ only_replaced('customer_id', 'int_touched_consents') }}
),

known as (
    select customer_id, min(given_at) as address_at
    from {{ ref('int_addresses') }}
    where address_kind in ('phone', 'email') and {{ only_replaced('customer_id', 'int_touched_consents') }}
    group by customer_id
),

users as (
    select
        users.*,
        accounts.customer_id,
        least(users.created_at, known.address_at) as known_at
    from {{ ref('stg_admin__users') }} as users
    inner join customer_map as accounts
        on accounts.id_type = 'admin_user' and cast(users.user_id as varchar) = accounts.id_value
    left join known on accounts.customer_id = known.customer_id
),

contacts as (
    select
        contacts.*,
        contact_ids.customer_id,
        least(contacts.created_at, known.address_at) as known_at
    from {{ ref('stg_crm__contacts') }} as contacts
    inner join customer_map as contact_ids
        on contact_ids.id_type = 'crm_contact' and contacts.contact_id = contact_ids.id_value
    left join known on contact_ids.customer_id = known.customer_id
),

stated as (
    {% for channel in ['whatsapp', 'sms', 'email', 'push'] %}
    select
        customer_id,
        cast(null as varchar) as address,
        '{{ channel }}' as channel,
        'all' as purpose,
        case {{ channel }}_opt_in when 1 then 'opt_in' else 'opt_out' end as status,
        known_at as stated_at,
        'account_flag' as consent_source
    from users
    where {{ channel }}_opt_in is not null
    union all
    select
        customer_id,
        null,
        '{{ channel }}',
        'all',
        'opt_out',
        updated_at,
        'account_flag'
    from users
    where {{ channel }}_opt_in = 0 and updated_at > created_at and updated_at <= {{ as_of() }}
    union all
    select
        customer_id,
        null,
        '{{ channel }}',
        'all',
        {{ channel }}_consent,
        known_at,
        'crm_flag'
    from contacts
    where {{ channel }}_consent in ('opt_in', 'opt_out')
    union all
    {% endfor %}
    select
        users.customer_id,
        null,
        consents.channel,
        'all',
        consents.status,
        consents.changed_at,
        consents.consent_source
    from {{ ref('stg_admin__consents') }} as consents
    inner join users on consents.user_id = users.user_id
    union all
    select
        customer_id,
        null,
        opted_out_channel,
        'all',
        'opt_out',
        opted_out_at,
        'channel_event'
    from {{ ref('int_crm_messages') }}
    where opted_out_channel is not null and customer_id is not null and {{ only_replaced('customer_id', 'int_touched_consents') }}
    union all
    select
        null,
        statements.address,
        statements.channel,
        statements.purpose,
        statements.status,
        statements.stated_at,
        statements.consent_source
    from {{ ref('stg_ledger__consent_statements') }} as statements
),

-- a statement made at an address is made by everyone on it
by_customer as (
    select *
    from stated
    where customer_id is not null
    union all
    select
        addresses.customer_id,
        stated.address,
        stated.channel,
        stated.purpose,
        stated.status,
        stated.stated_at,
        stated.consent_source
    from stated
    inner join {{ ref('int_addresses') }} as addresses on stated.address = addresses.address
    where stated.customer_id is null and {{ only_replaced('addresses.customer_id', 'int_touched_consents') }}
),

by_purpose as (
    select by_customer.*, purposes.purpose as for_purpose
    from by_customer
    inner join (
        select 'promotional' as purpose
        union all
        select 'service' as purpose
    ) as purposes
        on by_customer.purpose in ('all', purposes.purpose)
)

select
    customer_id,
    channel,
    for_purpose as purpose,
    status,
    stated_at,
    consent_source,
    address
from by_purpose
