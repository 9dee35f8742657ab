{# When each customer had an order open: [placed, closed), closed NULL while it still is. #}
{{ config(tracks=['customer_id']) }}
select
    order_id,
    customer_id,
    category,
    placed_at,
    closed_at
from {{ ref('int_orders') }}
where customer_id is not null
