{# Since when each customer has listened, ignored us or been out of reach (dim_customers says which). #}
{% set channels = ['whatsapp', 'sms', 'email', 'push'] %}
with

customers as (
    select * from {{ ref('dim_customers') }} where attention is not null
),

consents as (
    select * from {{ ref('int_consent_now') }} where purpose = 'promotional'
),

addresses as (
    select
        channels.channel,
        given.customer_id,
        min(given.given_at) as given_at
    from {{ ref('int_addresses') }} as given
    inner join {{ ref('channels') }} as channels on given.address_kind = channels.address_kind
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

engagements as (
    select
        customer_id,
        unnest([read_at, opened_at, clicked_at, replied_at]) as happened_at
    from {{ ref('int_messages_before') }}
    where customer_id is not null
    union all
    select
        customer_id,
        started_at as happened_at
    from {{ ref('int_ga4_sessions') }}
    where customer_id is not null
),

engaged as (
    select * from engagements where happened_at <= {{ as_of() }}
),

engaged_changes as (
    {{ within_days('engaged', var('listening_window_days')) }}
),

engaged_spells as (
    {{ standing_since('engaged_changes', 'level >= 1') }}
),

last_engaged as (
    select
        customer_id,
        max(happened_at) as last_engaged_at,
        {{ dbt.dateadd('day', var('listening_window_days'), 'max(happened_at)') }} as too_old_at
    from engaged
    group by customer_id
),

delivered as (
    select
        customer_id,
        delivered_at as happened_at
    from {{ ref('int_messages_before') }}
    where customer_id is not null and delivered_at <= {{ as_of() }}
),

delivered_changes as (
    {{ within_days('delivered', var('listening_window_days')) }}
),

delivered_spells as (
    {{ standing_since('delivered_changes', 'level >= ' ~ var('ignoring_min_delivered')) }}
)

select
    customers.customer_id,
    customers.attention,
    case
        when customers.attention = 'listening'
            then greatest(engaged_spells.entered_at, reach.reachable_since)
        when customers.attention = 'ignoring'
            then greatest(delivered_spells.entered_at, last_engaged.too_old_at, reach.reachable_since)
        else coalesce(greatest(losses.opted_out_at, customers.first_known_at), customers.first_seen_at)
    end as attention_since,
    case
        when customers.attention <> 'unreachable' then null
        when customers.first_known_at is null then 'unknown'
        when with_address.customer_id is null then 'no_address'
        else 'no_consent'
    end as unreachable_reason,
    last_engaged.last_engaged_at,
    cast(coalesce(delivered_spells.level, 0) as integer) as delivered_in_window
from customers
left join reach on customers.customer_id = reach.customer_id
left join losses on customers.customer_id = losses.customer_id
left join with_address on customers.customer_id = with_address.customer_id
left join engaged_spells on customers.customer_id = engaged_spells.customer_id
left join last_engaged on customers.customer_id = last_engaged.customer_id
left join delivered_spells on customers.customer_id = delivered_spells.customer_id
