{# Guardrails: an identifier that more people use than one may join nobody. It stays an address.
   Two accounts of the same full name on one phone are one person's; of different names, a family's. So is a phone whose accounts and
   contacts have different first names, which is all a contact tells. #}
{{ config(materialized='incremental', replaced_by=['id_type', 'id_value'], replaced_from='int_touched_identifiers') }}
with

-- the type is a column: `id_type = 'phone'` beside it in a left join compares every pair of rows
placeholders as (
    select distinct 'phone' as id_type, phone_e164 from {{ ref('int_phones') }} where is_placeholder
),

-- a contact that tells its account is that account's, whatever it is called; a deleted account is called nothing
names as (
    select
        'admin_user' as id_type,
        cast(user_id as varchar) as id_value,
        coalesce(name_key, cast(user_id as varchar)) as name_key,
        case when deleted_at is null then name end as called
    from {{ ref('stg_admin__users') }}
    union all
    select 'crm_contact', contact_id, null, first_name
    from {{ ref('stg_crm__contacts') }}
    where user_id is null
),

alone as (
    select 'admin_user' as id_type, cast(user_id as varchar) as id_value, created_at as first_seen_at
    from {{ ref('stg_admin__users') }}
    where {{ only_replaced("'admin_user', cast(user_id as varchar)", 'int_touched_identifiers') }}
    union all
    select 'crm_contact', contact_id, created_at
    from {{ ref('stg_crm__contacts') }}
    where {{ only_replaced("'crm_contact', contact_id", 'int_touched_identifiers') }}
    union all
    select 'ga_pseudo', user_pseudo_id, min(first_seen_at)
    from {{ ref('int_ga4_devices') }}
    where {{ only_replaced("'ga_pseudo', user_pseudo_id", 'int_touched_identifiers') }}
    group by user_pseudo_id
    union all
    select 'ga_pseudo', ga_client_id, min(created_at)
    from {{ ref('int_quotes_seen') }}
    where ga_client_id is not null and {{ only_replaced("'ga_pseudo', ga_client_id", 'int_touched_identifiers') }}
    group by ga_client_id
    union all
    select 'phone', phone_e164, min(created_at)
    from {{ ref('int_quotes_seen') }}
    where phone_e164 is not null and {{ only_replaced("'phone', phone_e164", 'int_touched_identifiers') }}
    group by phone_e164
),

sides as (
    select id_type, id_value, cast(null as varchar) as other_type, cast(null as varchar) as other_value, first_seen_at
    from alone
    union all
    select left_type, left_value, right_type, right_value, first_seen_at
    from {{ ref('int_identity_evidence') }}
    where {{ only_replaced("left_type, left_value", 'int_touched_identifiers') }}
    union all
    select right_type, right_value, left_type, left_value, first_seen_at
    from {{ ref('int_identity_evidence') }}
    where {{ only_replaced("right_type, right_value", 'int_touched_identifiers') }}
),

degrees as (
    select
        sides.id_type,
        sides.id_value,
        min(sides.first_seen_at) as first_seen_at,
        count(distinct case when sides.other_type = 'admin_user' then sides.other_value end) as accounts,
        count(distinct names.name_key) as account_names,
        count(distinct lower(nfc_normalize({{ clean_name("split_part(names.called, ' ', 1)") }}))) as first_names,
        count(distinct case when sides.other_type = 'ga_pseudo' then sides.other_value end) as devices
    from sides
    left join names on sides.other_type = names.id_type and sides.other_value = names.id_value
    group by sides.id_type, sides.id_value
)

select
    degrees.id_type,
    degrees.id_value,
    degrees.first_seen_at,
    degrees.accounts,
    degrees.account_names,
    degrees.first_names,
    degrees.devices,
    case
        when degrees.id_type = 'phone' and placeholders.phone_e164 is not null then 'placeholder'
        when degrees.id_type = 'phone' and degrees.account_names > {{ var('max_names_per_phone') }} then 'shared_by_accounts'
        when degrees.id_type = 'phone' and degrees.first_names > {{ var('max_first_names_per_phone') }} then 'shared_by_names'
        when degrees.id_type = 'phone' and degrees.devices > {{ var('max_devices_per_phone') }} then 'shared_by_devices'
        when degrees.id_type = 'email' and degrees.account_names > {{ var('max_names_per_email') }} then 'shared_by_accounts'
        when degrees.id_type = 'ga_pseudo' and degrees.account_names > {{ var('max_names_per_device') }} then 'shared_by_accounts'
    end as blocked_reason
from degrees
left join placeholders on degrees.id_type = placeholders.id_type and degrees.id_value = placeholders.phone_e164
