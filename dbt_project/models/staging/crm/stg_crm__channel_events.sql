{# Webhooks come twice, late and with wrong clocks: one row a message and event (the earliest). A time after its own
   receipt is a clock running ahead (local time sent as UTC): the receipt time is the latest it can have happened. #}
{{ config(materialized='incremental', replaced_by='message_id', replaced_from='stg_crm__changed_messages', cluster_by='received_at') }}
with

channel_events as (
    {{ fit_rows('crm', 'crm_channel_events', part=only_replaced('message_id', 'stg_crm__changed_messages')) }}
),

cleaned as (
    select
        event_id,
        message_id,
        lower(channel) as channel,
        lower(event) as event,
        {{ utc_from_epoch_micros('ts_epoch_ms * 1000') }} as reported_at,
        reason,
        {{ utc_from_iso_text('received_at') }} as received_at
    from channel_events
    where event_id is not null and message_id is not null
),

timed as (
    select
        *,
        case
            when received_at is not null and reported_at > received_at then received_at
            else coalesce(reported_at, received_at)
        end as occurred_at
    from cleaned
)

select
    event_id,
    message_id,
    channel,
    event,
    occurred_at,
    received_at,
    reason
from timed
where
    occurred_at <= {{ as_of() }} and coalesce(received_at, occurred_at) <= {{ as_of() }}
    -- it counts even when nobody knows since when
    or event = 'opt_out' and occurred_at is null
qualify row_number() over (partition by message_id, event order by occurred_at, event_id, received_at, reason) = 1
