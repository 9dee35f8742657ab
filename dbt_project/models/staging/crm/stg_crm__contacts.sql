{{ config(
    materialized='incremental',
    replaced_by='contact_id',
    replaced_units='crm_contacts',
    later_by=['created_at'],
    tracks=['contact_id', 'phone_raw'],
    tracks_apart=['whatsapp_consent', 'sms_consent', 'email_consent', 'push_consent']
) }}
with

contacts as (
    {{ fit_rows('crm', 'crm_contacts', part=only_changed()) }}
),

cleaned as (
    select
        contact_id,
        nullif(trim(external_id), '') as external_id_raw,
        try_cast(regexp_replace(upper(trim(external_id)), '^CK-', '') as bigint) as user_id,
        {{ clean_name('first_name') }} as first_name,
        phone as phone_raw,
        {{ clean_email('email') }} as email,
        lower(whatsapp_consent) as whatsapp_consent,
        lower(sms_consent) as sms_consent,
        lower(email_consent) as email_consent,
        lower(push_consent) as push_consent,
        source as contact_source,
        {{ utc_from_iso_text('created_at') }} as created_at,
        coalesce(purged, false) as is_purged
    from contacts
    where contact_id is not null
)

select
    contact_id,
    external_id_raw,
    user_id,
    first_name,
    phone_raw,
    email,
    {{ folded_email('email') }} as email_key,
    whatsapp_consent,
    sms_consent,
    email_consent,
    push_consent,
    contact_source,
    created_at,
    is_purged
from cleaned
where created_at <= {{ as_of() }}
qualify row_number() over (partition by contact_id order by created_at) = 1
