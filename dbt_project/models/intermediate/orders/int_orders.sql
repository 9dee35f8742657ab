{{ config(tracks=['customer_id']) }}
with

orders as (
    select * from {{ ref('stg_admin__orders') }}
),

statuses as (
    select * from {{ ref('int_order_statuses') }}
),

reached as (
    select
        order_id,
        max(case when status = 'confirmed' then reached_at end) as confirmed_at,
        max(case when status = 'picked_up' then reached_at end) as picked_up_at,
        max(case when status = 'completed' then reached_at end) as completed_at,
        max(case when status = 'cancelled' then reached_at end) as cancelled_at,
        max(case when status = 'expired' then reached_at end) as expired_at,
        max(case when status = 'failed' then reached_at end) as failed_at,
        max(case when status = 'returned' then reached_at end) as returned_at
    from statuses
    group by order_id
),

current_status as (
    select
        order_id,
        status,
        last_reached_at as status_since
    from statuses
    qualify
        row_number() over (
            partition by order_id
            order by
                case when status in ('completed', 'returned', 'cancelled', 'expired', 'failed') then 1 else 0 end desc,
                case when status in ('completed', 'returned', 'cancelled', 'expired', 'failed') then status_rank else 0 end desc,
                last_reached_at desc,
                status_rank desc
        ) = 1
),

payouts as (
    select
        order_id,
        sum(amount) as payout_amount,
        min(paid_at) as first_paid_at
    from {{ ref('stg_admin__payouts') }}
    group by order_id
),

customers as (
    select id_value, customer_id
    from {{ ref('int_customer_map') }}
    where id_type = 'admin_user'
),

phones as (
    select phone_raw, phone_e164, is_mobile
    from {{ ref('int_phones') }}
)

select
    orders.order_id,
    customers.customer_id,
    orders.user_id,
    orders.quote_id,
    phones.phone_e164 as contact_phone,
    orders.category,
    orders.brand,
    orders.model_id,
    orders.quoted_price,
    case when reached.completed_at is not null then coalesce(orders.final_price, orders.quoted_price) end as final_price,
    current_status.status,
    current_status.status_since,
    {{ order_status_group('current_status.status') }} as status_group,
    case when current_status.status = orders.latest_status then orders.cancel_reason end as cancel_reason,
    orders.city_raw,
    orders.order_source,
    orders.placed_at,
    reached.confirmed_at,
    reached.picked_up_at,
    reached.completed_at,
    reached.cancelled_at,
    reached.expired_at,
    reached.failed_at,
    reached.returned_at,
    least(reached.completed_at, reached.cancelled_at, reached.expired_at, reached.failed_at, reached.returned_at) as closed_at,
    payouts.payout_amount,
    payouts.first_paid_at
from orders
inner join current_status on orders.order_id = current_status.order_id
inner join reached on orders.order_id = reached.order_id
left join payouts on orders.order_id = payouts.order_id
left join customers on cast(orders.user_id as varchar) = customers.id_value
left join phones on orders.contact_phone_raw = phones.phone_raw
