{# Every message handed over before this run, ours and the older tool's: what caps, cooldowns and attention are counted on. #}
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
where run_as_of < {{ as_of() }}
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
