{# What a customer's consent was, from when until when, per channel and purpose. At one instant an opt-out beats an opt-in. #}
{{ config(
    materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_consents',
    tracks=['customer_id'],
    cluster_by='hash(customer_id)'
) }}
with

last_of_instant as (
    select *
    from {{ ref('int_consent_statements') }}
    where {{ only_replaced('customer_id', 'int_touched_consents') }}
    qualify
        row_number() over (
            partition by customer_id, channel, purpose, stated_at
            order by case status when 'opt_out' then 0 else 1 end, consent_source
        ) = 1
)

select
    customer_id,
    channel,
    purpose,
    status,
    consent_source,
    stated_at as valid_from,
    lead(stated_at) over (partition by customer_id, channel, purpose order by stated_at) as valid_to
from last_of_instant
