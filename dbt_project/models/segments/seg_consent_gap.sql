{# Active, with an address on a preferred channel and no promotional consent there. #}
with

active as (
    select * from {{ ref('int_active_spells') }} where {{ only_members('customer_id') }}
),

preferred as (
    select channel, address_kind
    from {{ ref('channels') }}
    where channel in ('{{ var("preferred_channels") | join("', '") }}')
),

addresses as (
    select
        given.customer_id,
        preferred.channel,
        min(given.given_at) as given_at
    from {{ ref('int_addresses') }} as given
    inner join preferred on given.address_kind = preferred.address_kind
    where {{ only_members('given.customer_id') }}
    group by given.customer_id, preferred.channel
),

consents as (
    select * from {{ ref('int_consent_now') }} where purpose = 'promotional' and {{ only_members('customer_id') }}
),

gaps as (
    select
        addresses.customer_id,
        addresses.channel,
        coalesce(consents.status, 'never_asked') as consent,
        -- the address without a word is a gap already; a revocation begins one later
        case when consents.is_changed then consents.since else addresses.given_at end as gap_since
    from addresses
    left join consents on addresses.customer_id = consents.customer_id and addresses.channel = consents.channel
    where coalesce(consents.status, 'never_asked') <> 'opt_in'
)

select
    'consent_gap' as segment_key,
    active.customer_id,
    greatest(active.active_since, min(gaps.gap_since)) as entered_at,
    cast(to_json(struct_pack(
        channels := list(gaps.channel order by gaps.channel),
        consents := list(gaps.consent order by gaps.channel)
    )) as varchar) as context
from active
inner join gaps on active.customer_id = gaps.customer_id
group by active.customer_id, active.active_since
