{# What an hourly run judges again: identifiers in rows and evidence that differ from what the last complete build saw, and
   those beside an account or a contact that does: its name says whether they are shared. #}
with

evidence as (
    {{ touched_rows('int_identity_evidence', 'left_type, left_value, right_type, right_value') }}
),

quotes as (
    {{ touched_rows('int_quotes_seen', 'ga_client_id, phone_e164') }}
),

named as (
    select 'admin_user' as id_type, cast(user_id as varchar) as id_value
    from ({{ touched_rows('stg_admin__users', 'user_id', apart=false) }}) as touched
    union all
    select 'crm_contact', contact_id
    from ({{ touched_rows('stg_crm__contacts', 'contact_id', apart=false) }}) as touched
),

identifiers as (
    select id_type, id_value
    from named
    union
    select 'ga_pseudo', user_pseudo_id
    from ({{ touched_rows('int_ga4_devices', 'user_pseudo_id') }}) as touched
    union
    select 'ga_pseudo', ga_client_id
    from quotes
    union
    select 'phone', phone_e164
    from quotes
    union
    select left_type, left_value
    from evidence
    union
    select right_type, right_value
    from evidence
    union
    select beside.right_type, beside.right_value
    from {{ ref('int_identity_evidence') }} as beside
    inner join named on beside.left_type = named.id_type and beside.left_value = named.id_value
    union
    select beside.left_type, beside.left_value
    from {{ ref('int_identity_evidence') }} as beside
    inner join named on beside.right_type = named.id_type and beside.right_value = named.id_value
)

select id_type, id_value
from identifiers
where id_value is not null
