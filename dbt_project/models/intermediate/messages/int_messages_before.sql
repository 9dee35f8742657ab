{# Every message to a customer handed over before this run, ours and the older tool's: what caps, cooldowns and attention are
   counted on. #}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_readers', cluster_by='hash(customer_id)') }}
select
    message_id,
    customer_id,
    journey_key,
    entry_key,
    channel,
    purpose,
    template_id,
    address,
    sent_at,
    delivered_at,
    read_at,
    opened_at,
    clicked_at,
    replied_at
from {{ ref('int_own_messages') }}
where run_as_of < {{ as_of() }} and customer_id is not null and {{ only_replaced('customer_id', 'int_touched_readers') }}
union all
select
    message_id,
    customer_id,
    journey_key,
    entry_key,
    channel,
    purpose,
    template_id,
    cast(null as varchar) as address,
    sent_at,
    delivered_at,
    read_at,
    opened_at,
    clicked_at,
    replied_at
from {{ ref('int_crm_messages') }}
where customer_id is not null and {{ only_replaced('customer_id', 'int_touched_readers') }}
