{# Opt-outs of people who share an address with somebody: each binds all who are written to there. Few rows: with every consent in
   their place, the planner paired all opt-outs of a channel with everybody on it. #}
{{ config(tracks=['address']) }}
with

shared as (
    select address
    from {{ ref('int_addresses') }}
    group by address
    -- a count of distinct ones would keep every address's people in memory
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
