{# What leaves in this run is allowed by the statements themselves, read here without the intervals the decision reads:
   promotion needs the latest statement on the channel to be an opt-in, everything else that it is no opt-out. #}
with

leaving as (
    select
        intent_key,
        customer_id,
        channel,
        purpose
    from {{ ref('int_planned_messages') }}
),

said as (
    select *
    from {{ ref('int_consent_statements') }}
    where customer_id in (select leaving.customer_id from leaving)
),

last_statements as (
    select
        leaving.intent_key,
        max(statements.stated_at) as last_stated_at
    from leaving
    inner join said as statements
        on leaving.customer_id = statements.customer_id
        and leaving.channel = statements.channel
        and statements.purpose = case leaving.purpose when 'promotional' then 'promotional' else 'service' end
    where statements.stated_at <= {{ as_of() }}
    group by leaving.intent_key
),

consent as (
    select
        leaving.intent_key,
        bool_or(statements.status = 'opt_out') as is_opted_out
    from leaving
    inner join last_statements on leaving.intent_key = last_statements.intent_key
    inner join said as statements
        on leaving.customer_id = statements.customer_id
        and leaving.channel = statements.channel
        and statements.purpose = case leaving.purpose when 'promotional' then 'promotional' else 'service' end
        and last_statements.last_stated_at = statements.stated_at
    group by leaving.intent_key
)

select
    leaving.intent_key,
    leaving.customer_id,
    leaving.channel,
    leaving.purpose,
    consent.is_opted_out
from leaving
left join consent on leaving.intent_key = consent.intent_key
where
    consent.is_opted_out
    or (leaving.purpose = 'promotional' and consent.intent_key is null)
