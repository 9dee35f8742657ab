{# What GA4 told of orders, doubled events counted. #}
{{ config(materialized='incremental', replaced_by='event_date', replaced_from='stg_ga4__changed_dates') }}
select
    event_date,
    order_id,
    sum(copies) as events
from {{ ref('stg_ga4__events') }}
where event_name = 'order_placed' and order_id is not null and {{ only_replaced('event_date', 'stg_ga4__changed_dates') }}
group by event_date, order_id
