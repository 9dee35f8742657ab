{# Two quotes, one quote of high value, or a reply within the window, and no order since the first of them. #}
with

quotes as (
    select
        customer_id,
        created_at as happened_at,
        quoted_price
    from {{ ref('int_quotes') }}
    where
        customer_id is not null
        and created_at > {{ dbt.dateadd('hour', -var('lead_hot_window_hours'), as_of()) }}
        and {{ only_members('customer_id') }}
),

replies as (
    select
        customer_id,
        replied_at as happened_at
    from {{ ref('int_messages_before') }}
    where customer_id is not null
        and replied_at > {{ dbt.dateadd('hour', -var('lead_hot_window_hours'), as_of()) }}
        and replied_at <= {{ as_of() }}
        and {{ only_members('customer_id') }}
),

last_orders as (
    select
        customer_id,
        max(placed_at) as last_order_at
    from {{ ref('int_orders') }}
    where customer_id is not null and {{ only_members('customer_id') }}
    group by customer_id
),

signals as (
    select customer_id, happened_at, quoted_price, 'quote' as signal from quotes
    union all
    select customer_id, happened_at, null, 'reply' from replies
),

-- only what came after their last order counts: an order answers what came before it
since_order as (
    select
        signals.*,
        row_number() over (
            partition by signals.customer_id, signals.signal order by signals.happened_at
        ) as nth
    from signals
    left join last_orders on signals.customer_id = last_orders.customer_id
    where last_orders.last_order_at is null or signals.happened_at > last_orders.last_order_at
),

qualified as (
    select
        customer_id,
        count(*) filter (where signal = 'quote') as quotes,
        max(quoted_price) as best_quote,
        count(*) filter (where signal = 'reply') as replies,
        min(happened_at) filter (where signal = 'quote' and nth = {{ var('lead_hot_min_quotes') }}) as enough_quotes_at,
        min(happened_at) filter (where quoted_price >= {{ var('high_value_quote') }}) as high_quote_at,
        min(happened_at) filter (where signal = 'reply') as reply_at
    from since_order
    group by customer_id
)

select
    'lead_hot' as segment_key,
    customer_id,
    least(enough_quotes_at, high_quote_at, reply_at) as entered_at,
    cast(to_json(struct_pack(quotes := quotes, best_quote := best_quote, replies := replies)) as varchar) as context
from qualified
where least(enough_quotes_at, high_quote_at, reply_at) is not null
