{# What a device's events tie it to, told once: joining people needs no single event. #}
{{ config(
    materialized='incremental',
    replaced_by='user_pseudo_id',
    replaced_from='int_touched_visitors',
    tracks=['user_pseudo_id', 'user_id', 'order_id']
) }}

select
    user_pseudo_id,
    user_id,
    order_id,
    min(occurred_at) as first_seen_at,
    max(occurred_at) as last_seen_at,
    count(*) as events
from {{ ref('stg_ga4__events') }}
where user_pseudo_id is not null and not is_bot and {{ only_replaced('user_pseudo_id', 'int_touched_visitors') }}
group by user_pseudo_id, user_id, order_id
