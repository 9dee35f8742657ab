{# Of what is planned now: nobody had a promotional message today, and nobody is planned two. #}
with

promotions as (
    select
        customer_id,
        intent_key as message_key
    from {{ ref('int_planned_messages') }}
    where purpose = 'promotional'
),

earlier_today as (
    select
        customer_id,
        message_id as message_key
    from {{ ref('int_messages_before') }}
    where
        purpose = 'promotional'
        and sent_at <= {{ as_of() }}
        -- a day is at most so long in any zone: to ask the zone of every message there ever was would take seconds
        and sent_at > {{ dbt.dateadd('day', -2, as_of()) }}
        and cast({{ local_from_utc('sent_at') }} as date) = cast({{ local_from_utc(as_of()) }} as date)
),

everything as (
    select
        customer_id,
        message_key
    from promotions
    union all
    select
        earlier_today.customer_id,
        earlier_today.message_key
    from earlier_today
    where earlier_today.customer_id in (select promotions.customer_id from promotions)
)

select
    customer_id,
    count(*) as messages_today
from everything
group by customer_id
having count(*) > 1
