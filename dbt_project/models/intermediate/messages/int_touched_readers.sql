{# Whose messages, and what follows from them, an hourly run does again: whose messages, receipts, visits, consent or identifiers differ
   from what the last complete build saw, and for whom time alone moved one into or out of a window. Too many is harmless. #}
{% set told_at = [
    'messages.delivered_at', 'messages.read_at', 'messages.opened_at', 'messages.clicked_at', 'messages.replied_at',
] %}
with

remapped as (
    {{ touched_rows('int_customer_map', 'customer_id') }}
),

told as (
    {{ touched_rows('int_crm_messages', 'customer_id') }}
),

resessioned as (
    {{ touched_rows('int_ga4_sessions', 'customer_id') }}
),

restated as (
    {{ touched_rows('int_consent_now', 'customer_id') }}
),

changed_people as (
    {{ touched_rows('int_customers', 'customer_id') }}
),

redirects as (
    {{ former_customers() }}
),

-- what the last run sent was not yet a message before it
sent as (
    select intent_key
    from {{ ref('stg_ledger__attempts') }}
    where {{ came_of_age('run_as_of') }}
    union
    select intent_key
    from {{ ref('stg_ledger__inbound_events') }}
    where {{ came_of_age('occurred_at') }}
    union
    select unit
    from ({{ changed_units(['ledger_intents', 'ledger_attempts', 'ledger_inbound_events']) }}) as changes
)

select customer_id from remapped where customer_id is not null
union
select customer_id from told where customer_id is not null
union
select customer_id from resessioned where customer_id is not null
union
select customer_id from restated
union
select customer_id from changed_people
union
select coalesce(redirects.customer_id, intents.customer_id)
from {{ ref('stg_ledger__intents') }} as intents
inner join sent on intents.intent_key = sent.intent_key
left join redirects on intents.customer_id = redirects.former_id
union
-- an opt-out counts for the tier as long as a message does
select consents.customer_id
from {{ ref('int_consent_now') }} as consents
where {{ came_of_age('consents.since', [['day', var('volume_window_days')]]) }}
{%- if execute and held_relation('int_messages_before') is not none %}
{%- set began = run_query("select 1 from " ~ last_build() ~ " as last_build where as_of < " ~ day_start()).rows | length > 0 %}
union
select messages.customer_id
from {{ held_relation('int_messages_before') }} as messages
where {{ came_of_age(told_at, [['day', 0], ['day', var('listening_window_days')], ['day', var('volume_window_days')]]) }}
{%- if began %}
union
-- best hours are judged by the day: when one began since the last build, what came since the day before counts now
select messages.customer_id
from {{ held_relation('int_messages_before') }} as messages
where {{ came_of_age(told_at, [['day', 0], ['day', var('best_hour_window_days')]], days_earlier=2) }}
{%- endif %}
union
select sessions.customer_id
from {{ ref('int_ga4_sessions') }} as sessions
where sessions.customer_id is not null and {{ came_of_age('sessions.started_at', [['day', var('listening_window_days')]]) }}
{%- endif %}
