{# Opt-outs of people who share an address with somebody: each binds all who are written to there. Few rows: with every consent in
   their place, the planner paired all opt-outs of a channel with everybody on it. #}
{{ config(tracks=['address']) }}
with

-- by a number first: a million addresses are compared as texts for longer than all the rest takes
repeated as (
    select hash(address) as number
    from {{ ref('int_addresses') }}
    group by hash(address)
    having count(*) > 1
),

shared as (
    select address
    from {{ ref('int_addresses') }}
    where hash(address) in (select number from repeated)
    group by address
    having min(customer_id) <> max(customer_id)
)

select
    addresses.address,
    consent.channel,
    consent.purpose,
    addresses.customer_id,
    addresses.given_at,
    consent.valid_from,
    consent.valid_to
from {{ ref('int_addresses') }} as addresses
inner join shared on addresses.address = shared.address
inner join {{ ref('int_consent_intervals') }} as consent on addresses.customer_id = consent.customer_id
where consent.status = 'opt_out'
