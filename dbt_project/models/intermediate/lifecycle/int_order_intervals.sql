{# When each customer had an order open: [placed, closed), closed NULL while it still is. #}
{{ config(
    materialized='incremental',
    replaced_by='customer_id',
    replaced_from='int_touched_owners',
    tracks=['customer_id']
) }}
select
    order_id,
    customer_id,
    category,
    placed_at,
    closed_at
from {{ ref('int_orders') }}
where customer_id is not null and {{ only_replaced('customer_id', 'int_touched_owners') }}
