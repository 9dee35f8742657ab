{{ config(
    materialized='incremental',
    replaced_by='quote_id',
    replaced_units='admin_quotes',
    unit_type='bigint',
    later_by=['created_at'],
    tracks=['quote_id', 'created_at', 'phone_raw']
) }}
with

quotes as (
    {{ fit_rows('admin', 'admin_quotes', part=only_changed()) }}
),

cleaned as (
    select
        quote_id,
        user_id,
        nullif(trim(ga_client_id), '') as ga_client_id,
        phone as phone_raw,
        model_id,
        category,
        brand,
        model,
        cast(quoted_price as double) as quoted_price,
        trim(city) as city_raw,
        upper(platform) as platform,
        {{ utc_from_local_text('created_at') }} as created_at
    from quotes
    where quote_id is not null
)

select
    quote_id,
    user_id,
    ga_client_id,
    phone_raw,
    model_id,
    category,
    brand,
    model,
    quoted_price,
    city_raw,
    platform,
    created_at
from cleaned
where created_at <= {{ as_of() }}
qualify row_number() over (partition by quote_id order by created_at) = 1
