{# An intent has one row and so one outcome; a step of an entry waits or goes once, even for two customers who were merged. #}
select
    'intent_key' as told_twice,
    intent_key as row_key,
    count(*) as times
from {{ ref('journey_decisions') }}
group by intent_key
having count(*) > 1
union all
select
    'open step' as told_twice,
    journey_key || '|' || entry_key || '|' || step_key || '|' || customer_id as row_key,
    count(*) as times
from {{ ref('journey_decisions') }}
where outcome in ('planned', 'held')
group by journey_key, entry_key, step_key, customer_id
having count(*) > 1
