{# One row a message of ours that a provider took, or may have taken. A view: the ledger is read again after this run's sends. #}
{{ config(materialized='view') }}

with

intents as (
    select * from {{ ref('stg_ledger__intents') }}
),

attempts as (
    select *
    from {{ ref('stg_ledger__attempts') }}
    where status in ('accepted', 'unknown')
    qualify row_number() over (partition by intent_key order by attempt_no desc) = 1
),

events as (
    select
        intent_key,
        min(case when event = 'delivered' then occurred_at end) as delivered_at,
        min(case when event = 'read' then occurred_at end) as read_at,
        min(case when event = 'open' and not coalesce(is_machine, false) then occurred_at end) as opened_at,
        min(case when event = 'click' and not coalesce(is_machine, false) then occurred_at end) as clicked_at,
        min(case when event = 'reply' then occurred_at end) as replied_at,
        min(case when event in ('failed', 'bounce') then occurred_at end) as failed_at,
        min(case when event in ('failed', 'bounce') then reason end) as failure_class,
        min(case when event in ('opt_out', 'complaint') then occurred_at end) as opted_out_at
    from {{ ref('stg_ledger__inbound_events') }}
    where intent_key is not null
    group by intent_key
),

redirects as (
    {{ former_customers() }}
)

select
    attempts.attempt_id as message_id,
    intents.intent_key,
    coalesce(redirects.customer_id, intents.customer_id) as customer_id,
    intents.journey_key,
    intents.entry_key,
    intents.step_key,
    attempts.channel,
    intents.address,
    intents.purpose,
    intents.template_id,
    intents.variant,
    attempts.run_as_of,
    attempts.claimed_at as sent_at,
    attempts.status = 'unknown' as is_unconfirmed,
    events.delivered_at,
    events.read_at,
    events.opened_at,
    events.clicked_at,
    events.replied_at,
    events.failed_at,
    events.failure_class,
    events.opted_out_at,
    rates.cost
from attempts
inner join intents on attempts.intent_key = intents.intent_key
left join events on attempts.intent_key = events.intent_key
left join redirects on intents.customer_id = redirects.former_id
left join {{ ref('rate_card') }} as rates
    on attempts.channel = rates.channel and intents.purpose = rates.purpose and rates.country = 'IN'
