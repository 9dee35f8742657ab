{# The older tool's messages in our own shape. A campaign that was not a journey entry is a broadcast. #}
{{ config(
    materialized='incremental',
    replaced_by='message_id',
    replaced_from='int_touched_messages',
    tracks=['customer_id', 'opted_out_channel'],
    cluster_by='hash(customer_id)'
) }}
with

messages as (
    select * from {{ ref('stg_crm__messages') }} where {{ only_replaced('message_id', 'int_touched_messages', 'crm_message_id') }}
),

entries as (
    select * from {{ ref('stg_crm__journey_entries') }}
),

events as (
    select
        message_id,
        min(case when event = 'delivered' then occurred_at end) as delivered_at,
        min(case when event = 'read' then occurred_at end) as read_at,
        min(case when event = 'open' then occurred_at end) as opened_at,
        min(case when event = 'click' then occurred_at end) as clicked_at,
        min(case when event = 'reply' then occurred_at end) as replied_at,
        min(case when event = 'failed' then occurred_at end) as failed_at,
        min(case when event = 'failed' then reason end) as failure_class,
        min(case when event = 'opt_out' then occurred_at end) as opted_out_at,
        min(case when event = 'opt_out' then channel end) as opted_out_channel
    from {{ ref('stg_crm__channel_events') }}
    where {{ only_replaced('message_id', 'int_touched_messages', 'crm_message_id') }}
    group by message_id
)

select
    'crm:' || messages.message_id as message_id,
    contacts.customer_id,
    coalesce(entries.journey_key, messages.campaign_key) as journey_key,
    cast(messages.entry_id as varchar) as entry_key,
    messages.channel,
    messages.purpose,
    messages.template_id,
    messages.variant,
    messages.sent_at,
    events.delivered_at,
    events.read_at,
    events.opened_at,
    events.clicked_at,
    events.replied_at,
    events.failed_at,
    events.failure_class,
    -- one without a time is as old as the message it answers
    coalesce(events.opted_out_at, case when events.opted_out_channel is not null then messages.sent_at end) as opted_out_at,
    events.opted_out_channel,
    messages.cost
from messages
left join events on messages.message_id = events.message_id
left join entries on messages.entry_id = entries.entry_id
left join {{ ref('int_customer_map') }} as contacts
    on contacts.id_type = 'crm_contact' and messages.contact_id = contacts.id_value
