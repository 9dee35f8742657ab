{# What is planned is in exactly one of the tables that senders read; a channel without one would lose it in silence. #}
with

handed_over as (
    select intent_key from {{ ref('sync_whatsapp_messages') }}
    union all
    select intent_key from {{ ref('sync_email_messages') }}
)

select
    planned.intent_key,
    planned.channel,
    count(handed_over.intent_key) as handed_over_times
from {{ ref('int_planned_messages') }} as planned
left join handed_over on planned.intent_key = handed_over.intent_key
group by planned.intent_key, planned.channel
having count(handed_over.intent_key) <> 1
