{# A quote of high value within the value window. #}
with

high_quotes as (
    select
        customer_id,
        created_at as happened_at,
        quoted_price
    from {{ ref('int_quotes') }}
    where customer_id is not null and quoted_price >= {{ var('high_value_quote') }} and {{ only_members('customer_id') }}
),

changes as (
    {{ within_days('high_quotes', var('value_window_days')) }}
),

standings as (
    {{ standing_since('changes', 'level >= 1') }}
),

last_quotes as (
    select
        customer_id,
        max(happened_at) as last_quote_at,
        max_by(quoted_price, struct_pack(at := happened_at, price := quoted_price)) as last_quote
    from high_quotes
    group by customer_id
)

select
    'value_high_order' as segment_key,
    standings.customer_id,
    standings.entered_at,
    cast(to_json(struct_pack(
        quotes := cast(standings.level as integer),
        last_quote := last_quotes.last_quote,
        last_quote_at := last_quotes.last_quote_at
    )) as varchar) as context
from standings
inner join last_quotes on standings.customer_id = last_quotes.customer_id
where standings.standing
