{# Whom an hourly run does again: whose identifiers, sessions, events or facts differ from what the last complete build saw, and
   whom time alone has moved, because a stretch of silence that means something ended since. Too many is harmless: they come
   out as they were. #}
with

customer_map as (
    select * from {{ ref('int_customer_map') }} where customer_id is not null
),

visitors as (
    select * from {{ ref('int_touched_visitors') }}
),

rematched_sessions as (
    {{ touched_rows('int_quotes', 'session_key') }}
),

resessioned as (
    {{ touched_rows('int_ga4_sessions', 'customer_id') }}
),

by_device as (
    select customer_map.customer_id
    from customer_map
    inner join visitors on customer_map.id_value = visitors.user_pseudo_id
    where customer_map.id_type = 'ga_pseudo'
    union
    select customer_id
    from {{ ref('int_ga4_sessions') }}
    where customer_id is not null and user_pseudo_id in (select user_pseudo_id from visitors)
    union
    select customer_id
    from {{ ref('int_ga4_sessions') }}
    where customer_id is not null and session_key in (select session_key from rematched_sessions)
)

select customer_id from resessioned where customer_id is not null
union
select customer_id from {{ ref('int_touched_owners') }}
union
select customer_id from by_device
{%- if execute and held_relation('int_activities') is not none %}
union
select customer_id
from {{ held_relation('int_activities') }}
where
    is_activity
    and {{ came_of_age('occurred_at', [['day', var('inactive_after_days')], ['day', var('cooling_after_days')]]) }}
{%- endif %}
