{# Last quote of a run (gaps under an hour) + 1 h, unless an order came since; until an order, the next quote or + 73 h. #}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_entries') }}
with

quotes as (
    select
        *,
        lead(created_at) over (partition by customer_id order by created_at, quote_id) as next_quote_at
    from {{ ref('int_quotes') }}
    where customer_id is not null and {{ only_replaced('customer_id', 'int_touched_entries') }}
),

last_of_run as (
    select *
    from quotes
    where
        next_quote_at is null
        or next_quote_at >= {{ dbt.dateadd('minute', var('apv_run_gap_minutes'), 'created_at') }}
),

orders as (
    select * from {{ ref('int_orders') }} where {{ only_replaced('customer_id', 'int_touched_entries') }}
),

with_order as (
    select
        last_of_run.quote_id,
        min(orders.placed_at) as order_at
    from last_of_run
    left join orders
        on last_of_run.customer_id = orders.customer_id and orders.placed_at >= last_of_run.created_at
    group by last_of_run.quote_id
),

windows as (
    select
        last_of_run.*,
        with_order.order_at,
        {{ dbt.dateadd('minute', var('apv_delay_minutes'), 'last_of_run.created_at') }} as eligible_from,
        least(
            {{ dbt.dateadd('hour', var('apv_window_hours'), 'last_of_run.created_at') }},
            last_of_run.next_quote_at,
            with_order.order_at
        ) as eligible_to
    from last_of_run
    inner join with_order on last_of_run.quote_id = with_order.quote_id
)

select
    'abandoned_price_view' as journey_key,
    customer_id,
    cast(quote_id as varchar) as entry_key,
    eligible_from,
    eligible_to,
    case
        when eligible_to = order_at then 'converted'
        when eligible_to = next_quote_at then 'newer_quote'
        else 'window_ended'
    end as end_reason,
    cast(null as timestamp) as exit_at,
    cast(null as varchar) as exit_reason,
    category,
    cast(model_id as varchar) as cooldown_key,
    quoted_price as value,
    case when {{ 'true' if var('quote_validity_hours') is not none else 'false' }} then 'quote_expires' end as conditions_met,
    brand,
    model,
    city_raw,
    cast(null as varchar) as order_id,
    cast(null as timestamp) as slot_start_at,
    cast(null as timestamp) as slot_end_at
from windows
where eligible_from < eligible_to
