{# Orders and quotes that an hourly run puts together again: their rows, or whose they are, differ from what the last complete
   build saw, or a moment the panel gave them has come since. A row names the one or the other. #}
with

identifiers as (
    {{ touched_rows('int_customer_map', 'id_type, id_value') }}
),

accounts as (
    select try_cast(id_value as bigint) as user_id
    from identifiers
    where id_type = 'admin_user'
),

orders as (
    {% for model_name in ['stg_admin__orders', 'stg_admin__order_status_history', 'stg_admin__pickups', 'stg_admin__payouts'] %}
    {{ touched_rows(model_name, 'order_id') }}
    union
    {% endfor %}
    select orders.order_id
    from {{ ref('stg_admin__orders') }} as orders
    inner join accounts on orders.user_id = accounts.user_id
    union
    select order_id
    from {{ ref('stg_admin__orders') }}
    where {{ came_of_age(['updated_at', 'completed_at']) }}
),

quotes as (
    {{ touched_rows('int_quotes_seen', 'quote_id') }}
    union
    select quotes.quote_id
    from {{ ref('int_quotes_seen') }} as quotes
    inner join accounts on quotes.user_id = accounts.user_id
    union
    select quotes.quote_id
    from {{ ref('int_quotes_seen') }} as quotes
    inner join identifiers on identifiers.id_type = 'ga_pseudo' and quotes.ga_client_id = identifiers.id_value
    union
    select quotes.quote_id
    from {{ ref('int_quotes_seen') }} as quotes
    inner join identifiers on identifiers.id_type = 'phone' and quotes.phone_e164 = identifiers.id_value
)

select
    order_id,
    cast(null as bigint) as quote_id
from orders
where order_id is not null
union all
select
    null,
    quote_id
from quotes
where quote_id is not null
