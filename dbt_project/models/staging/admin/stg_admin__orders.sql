{{ config(
    materialized='incremental',
    replaced_by='order_id',
    replaced_units='admin_orders',
    later_by=['created_at'],
    tracks=['order_id', 'user_id', 'contact_phone_raw']
) }}
with

orders as (
    {{ fit_rows('admin', 'admin_orders', part=only_changed()) }}
),

cleaned as (
    select
        order_id,
        user_id,
        quote_id,
        contact_phone as contact_phone_raw,
        model_id,
        category,
        brand,
        cast(quoted_price as double) as quoted_price,
        cast(final_price as double) as final_price,
        lower(trim(status)) as latest_status,
        cancel_reason,
        trim(city) as city_raw,
        source as order_source,
        {{ utc_from_local_text('created_at') }} as placed_at,
        {{ utc_from_local_text('updated_at') }} as updated_at,
        {{ utc_from_local_text('completed_at') }} as completed_at
    from orders
    where order_id is not null
)

select
    order_id,
    user_id,
    quote_id,
    contact_phone_raw,
    model_id,
    category,
    brand,
    quoted_price,
    final_price,
    latest_status,
    cancel_reason,
    city_raw,
    order_source,
    placed_at,
    updated_at,
    completed_at
from cleaned
where placed_at <= {{ as_of() }}
qualify row_number() over (partition by order_id order by updated_at desc nulls last) = 1
