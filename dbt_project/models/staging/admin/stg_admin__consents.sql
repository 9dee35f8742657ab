{{ config(
    materialized='incremental',
    replaced_by='user_id',
    replaced_units='admin_consents',
    unit_type='bigint',
    later_by=['changed_at'],
    tracks=['user_id']
) }}
with

consents as (
    {{ fit_rows('admin', 'admin_consents', part=only_changed()) }}
),

cleaned as (
    select distinct
        user_id,
        lower(trim(channel)) as channel,
        lower(trim(status)) as status,
        source as consent_source,
        {{ utc_from_local_text('changed_at') }} as changed_at
    from consents
    where user_id is not null
)

select
    {{ key_of(['user_id', 'channel', 'status', 'changed_at']) }} as consent_id,
    user_id,
    channel,
    status,
    consent_source,
    changed_at
from cleaned
where changed_at <= {{ as_of() }} and status in ('opt_in', 'opt_out')
qualify row_number() over (partition by user_id, channel, status, changed_at order by consent_source) = 1
