{# Who Meta should know: members of the audience's segment who consented to marketing somewhere, hashed as Meta asks.
   The audience leaves out customers with an open order: they need no ad. #}
with

members as (
    select * from {{ ref('int_segment_members') }} where segment_key = 'lead_hot'
),

customers as (
    select * from {{ ref('dim_customers') }}
    where
        not is_test
        and deleted_at is null
        and open_orders = 0
        and (
            consent_whatsapp_promotional = 'opt_in'
            or consent_email_promotional = 'opt_in'
            or consent_sms_promotional = 'opt_in'
        )
),

hashed as (
    select
        'lead_hot' as audience_key,
        members.customer_id as member_key,
        coalesce(sha256(customers.email), '') as email_sha256,
        -- Meta hashes digits only, country code first, no plus
        coalesce(sha256(replace(customers.phone, '+', '')), '') as phone_sha256
    from members
    inner join customers on members.customer_id = customers.customer_id
    where customers.email is not null or customers.phone is not null
)

select
    audience_key,
    member_key,
    email_sha256,
    phone_sha256,
    {{ payload_hash(['email_sha256', 'phone_sha256']) }} as payload_hash
from hashed
