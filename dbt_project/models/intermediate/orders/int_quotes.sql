{# Whose quote it is: the account, else the device, else the phone they gave. #}
{{ config(
    materialized='incremental',
    replaced_by='quote_id',
    replaced_from='int_touched_deals',
    tracks=['customer_id', 'ga_client_id']
) }}
with

quotes as (
    select * from {{ ref('int_quotes_seen') }} where {{ only_replaced('quote_id', 'int_touched_deals') }}
),

-- the part of the map that is asked for: a left join keeps its right side in memory
identifiers as (
    select 'admin_user' as id_type, cast(user_id as varchar) as id_value from quotes
    union all
    select 'ga_pseudo', ga_client_id from quotes
    union all
    select 'phone', phone_e164 from quotes
),

customer_map as (
    select * from {{ ref('int_customer_map') }}
    where customer_id is not null and (id_type, id_value) in (select id_type, id_value from identifiers)
)

select
    quotes.quote_id,
    coalesce(by_account.customer_id, by_device.customer_id, by_phone.customer_id) as customer_id,
    quotes.user_id,
    quotes.ga_client_id,
    quotes.ga4_event_id,
    quotes.session_key,
    quotes.phone_e164,
    quotes.model_id,
    quotes.category,
    quotes.brand,
    quotes.model,
    quotes.quoted_price,
    quotes.city_raw,
    quotes.platform,
    quotes.created_at
from quotes
left join customer_map as by_account
    on by_account.id_type = 'admin_user' and cast(quotes.user_id as varchar) = by_account.id_value
left join customer_map as by_device
    on by_device.id_type = 'ga_pseudo' and quotes.ga_client_id = by_device.id_value
left join customer_map as by_phone
    on by_phone.id_type = 'phone' and quotes.phone_e164 = by_phone.id_value
