{{ config(
    materialized='incremental',
    replaced_by='user_id',
    replaced_units='admin_push_tokens',
    unit_type='bigint',
    later_by=['updated_at'],
    tracks=['user_id']
) }}
with

push_tokens as (
    {{ fit_rows('admin', 'admin_push_tokens', part=only_changed()) }}
),

cleaned as (
    select
        user_id,
        token,
        upper(platform) as platform,
        {{ utc_from_local_text('updated_at') }} as updated_at
    from push_tokens
    where user_id is not null and token is not null
)

select
    {{ key_of(['user_id', 'token']) }} as push_token_id,
    user_id,
    token,
    platform,
    updated_at
from cleaned
where updated_at <= {{ as_of() }}
qualify row_number() over (partition by user_id, token order by updated_at desc) = 1
