{# Every message that reached a real person, and when they first engaged with it: read, opened, clicked or replied. #}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_readers', cluster_by='hash(customer_id)') }}
with

messages as (
    select
        *,
        least(read_at, opened_at, clicked_at, replied_at) as first_sign_at
    from {{ ref('int_messages_before') }}
    where customer_id is not null and {{ only_replaced('customer_id', 'int_touched_readers') }}
),

people as (
    select customer_id
    from {{ ref('int_customers') }}
    where not is_test and deleted_at is null
)

select
    messages.message_id,
    messages.customer_id,
    messages.channel,
    messages.purpose,
    messages.sent_at,
    -- a sign without a receipt is the receipt
    coalesce(messages.delivered_at, messages.first_sign_at) as delivered_at,
    -- a clock that runs ahead reads before it was sent
    case when messages.first_sign_at <= {{ as_of() }} then greatest(messages.first_sign_at, messages.sent_at) end as engaged_at,
    case when messages.clicked_at <= {{ as_of() }} then greatest(messages.clicked_at, messages.sent_at) end as clicked_at
from messages
-- what did not reach anybody is nobody's; as a condition of its own DuckDB would try this on all messages, and the customer on none
inner join people
    on case when coalesce(messages.delivered_at, messages.first_sign_at) <= {{ as_of() }} then messages.customer_id end
    = people.customer_id
