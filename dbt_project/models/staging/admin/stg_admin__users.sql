{{ config(
    materialized='incremental',
    replaced_by='user_id',
    replaced_units='admin_users',
    unit_type='bigint',
    later_by=['created_at', 'deleted_at'],
    tracks=['user_id', 'phone_raw'],
    tracks_apart=['whatsapp_opt_in', 'sms_opt_in', 'email_opt_in', 'push_opt_in', 'updated_at']
) }}
with

users as (
    {{ fit_rows('admin', 'admin_users', part=only_changed()) }}
),

cleaned as (
    select
        user_id,
        {{ clean_name('name') }} as name,
        phone as phone_raw,
        {{ clean_email('email') }} as email,
        trim(city) as city_raw,
        {{ utc_from_local_text('created_at') }} as created_at,
        {{ utc_from_local_text('updated_at') }} as updated_at,
        {{ utc_from_local_text('deleted_at') }} as deleted_at,
        coalesce(is_test, 0) = 1 as is_test_flag,
        whatsapp_opt_in,
        sms_opt_in,
        email_opt_in,
        push_opt_in
    from users
    where user_id is not null
)

select
    user_id,
    name,
    -- a single word is too common to tell anybody by, and so is a family's name after a first one that is not known
    case
        when name like '% %' and {{ clean_name("split_part(name, ' ', 1)") }} is not null
            then lower(nfc_normalize(regexp_replace(name, '\s+', ' ', 'g')))
    end as name_key,
    phone_raw,
    email,
    {{ folded_email('email') }} as email_key,
    city_raw,
    created_at,
    updated_at,
    case when deleted_at <= {{ as_of() }} then deleted_at end as deleted_at,
    is_test_flag,
    whatsapp_opt_in,
    sms_opt_in,
    email_opt_in,
    push_opt_in
from cleaned
where created_at <= {{ as_of() }}
qualify row_number() over (partition by user_id order by updated_at desc nulls last) = 1
