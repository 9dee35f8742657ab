{# Whom an hourly run does again: whose identifiers, sessions, events or facts differ from what the last complete build saw, and
   whom time alone has moved, because a stretch of silence that means something ended since. Too many is harmless: they come
   out as they were. #}
with

customer_map as (
    select * from {{ ref('int_customer_map') }} where customer_id is not null
),

-- quotes that are matched to another event, or to none any more, too
devices as (
    select user_pseudo_id
    from {{ ref('int_touched_visitors') }}
    union
    select ga_client_id
    from ({{ touched_rows('int_quotes', 'ga_client_id') }}) as touched
),

-- whose visits on them are by now; whose they were until now, the visits tell
by_device as (
    select 'ga_pseudo' as id_type, user_pseudo_id as id_value
    from devices
    union
    select 'admin_user', user_id
    from {{ ref('int_ga4_devices') }}
    where user_pseudo_id in (select user_pseudo_id from devices)
)

select customer_id from ({{ touched_rows('int_ga4_sessions', 'customer_id') }}) as resessioned where customer_id is not null
union
select customer_id from {{ ref('int_touched_owners') }}
union
select customer_map.customer_id
from customer_map
inner join by_device on customer_map.id_type = by_device.id_type and customer_map.id_value = by_device.id_value
{%- if execute and held_relation('int_customers') is not none %}
union
-- who was heard of since is among the others
select customer_id
from {{ held_relation('int_customers') }}
where {{ came_of_age('last_activity_at', [['day', var('inactive_after_days')], ['day', var('cooling_after_days')]]) }}
{%- endif %}
