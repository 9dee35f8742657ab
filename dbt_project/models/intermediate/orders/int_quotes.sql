{# Whose quote it is: the account, else the device, else the phone they gave. #}
{{ config(tracks=['session_key', 'customer_id']) }}
with

quotes as (
    select * from {{ ref('int_quotes_seen') }}
),

customer_map as (
    select * from {{ ref('int_customer_map') }} where customer_id is not null
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
