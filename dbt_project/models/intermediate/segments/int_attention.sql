{# Since when each customer has listened, ignored us or been out of reach (dim_customers says which). #}
{% set channels = ['whatsapp', 'sms', 'email', 'push'] %}
with

customers as (
    select * from {{ ref('dim_customers') }} where attention is not null and {{ only_members('customer_id') }}
),

consents as (
    select * from {{ ref('int_consent_now') }} where purpose = 'promotional' and {{ only_members('customer_id') }}
),

addresses as (
    select
        channels.channel,
        given.customer_id,
        min(given.given_at) as given_at
    from {{ ref('int_addresses') }} as given
    inner join {{ ref('channels') }} as channels on given.address_kind = channels.address_kind
    where {{ only_members('given.customer_id') }}
    group by channels.channel, given.customer_id
),

reachable_channels as (
    {% for channel in channels %}
    select customer_id, '{{ channel }}' as channel
    from customers
    where reachable_{{ channel }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

reach as (
    select
        reachable_channels.customer_id,
        min(greatest(consents.since, addresses.given_at)) as reachable_since
    from reachable_channels
    inner join consents
        on reachable_channels.customer_id = consents.customer_id and reachable_channels.channel = consents.channel
    inner join addresses
        on reachable_channels.customer_id = addresses.customer_id and reachable_channels.channel = addresses.channel
    group by reachable_channels.customer_id
),

-- the last word that took a channel away, and whether there is anything to write to
losses as (
    select
        customers.customer_id,
        max(consents.since) filter (where consents.status = 'opt_out' and consents.is_changed) as opted_out_at
    from customers
    inner join consents on customers.customer_id = consents.customer_id
    group by customers.customer_id
),

with_address as (
    select distinct customer_id from addresses
),

spells as (
    select
        *,
        {{ dbt.dateadd('day', var('listening_window_days'), 'last_engaged_at') }} as too_old_at
    from {{ ref('int_engagement_spells') }}
)

select
    customers.customer_id,
    customers.attention,
    case
        when customers.attention = 'listening'
            then greatest(spells.engaged_since, reach.reachable_since)
        when customers.attention = 'ignoring'
            then greatest(spells.delivered_since, spells.too_old_at, reach.reachable_since)
        else coalesce(greatest(losses.opted_out_at, customers.first_known_at), customers.first_seen_at)
    end as attention_since,
    case
        when customers.attention <> 'unreachable' then null
        when customers.first_known_at is null then 'unknown'
        when with_address.customer_id is null then 'no_address'
        else 'no_consent'
    end as unreachable_reason,
    spells.last_engaged_at,
    coalesce(spells.delivered_in_window, 0) as delivered_in_window
from customers
left join reach on customers.customer_id = reach.customer_id
left join losses on customers.customer_id = losses.customer_id
left join with_address on customers.customer_id = with_address.customer_id
left join spells on customers.customer_id = spells.customer_id
