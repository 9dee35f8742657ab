{{ config(materialized='incremental', replaced_by='message_id', replaced_from='stg_crm__changed_messages', cluster_by='sent_at') }}
with

messages as (
    {{ fit_rows('crm', 'crm_messages', part=only_replaced('message_id', 'stg_crm__changed_messages')) }}
),

cleaned as (
    select
        message_id,
        entry_id,
        contact_id,
        campaign_key,
        variant,
        lower(channel) as channel,
        case lower(purpose) when 'marketing' then 'promotional' else lower(purpose) end as purpose,
        to_address,
        template_id,
        {{ utc_from_iso_text('sent_at') }} as sent_at,
        cost_inr as cost
    from messages
    where message_id is not null
)

select
    message_id,
    entry_id,
    contact_id,
    campaign_key,
    variant,
    channel,
    purpose,
    to_address,
    template_id,
    sent_at,
    cost
from cleaned
where sent_at <= {{ as_of() }}
qualify row_number() over (partition by message_id order by sent_at, contact_id, entry_id, channel, template_id) = 1
