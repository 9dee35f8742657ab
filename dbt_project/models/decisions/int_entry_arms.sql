{# The arm of every entry, drawn by salted hash of the person and the same in all their entries of a journey. The earliest arm
   the ledger holds stays, also through a merge; when two people who proved to be one had different arms, theirs tells nothing. #}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_entries') }}
with

windows as (
    select * from {{ ref('int_journey_windows') }} where {{ only_replaced('customer_id', 'int_touched_entries') }}
),

journeys as (
    select * from {{ ref('journey_catalogue') }}
),

redirects as (
    {{ former_customers() }}
),

stored as (
    select
        intents.journey_key,
        coalesce(redirects.customer_id, intents.customer_id) as customer_id,
        min_by(intents.arm, struct_pack(at := intents.decided_at, key := intents.intent_key)) as arm,
        count(distinct intents.arm) > 1 as is_contaminated
    from {{ ref('stg_ledger__intents') }} as intents
    left join redirects on intents.customer_id = redirects.former_id
    where
        intents.arm is not null
        and intents.run_as_of < {{ as_of() }}
        and {{ only_replaced('coalesce(redirects.customer_id, intents.customer_id)', 'int_touched_entries') }}
    group by intents.journey_key, coalesce(redirects.customer_id, intents.customer_id)
)

select
    windows.journey_key,
    windows.entry_key,
    windows.customer_id,
    coalesce(
        stored.arm,
        case
            when journeys.purpose = 'transactional' then 'treatment'
            when
                journeys.in_global_holdout
                and {{ bucket_of(var('salt_global'), 'windows.customer_id') }} < {{ var('global_holdout_percent') }}
                then 'global_holdout'
            when
                {{ bucket_of(var('salt_journey'), "windows.journey_key || '|' || windows.customer_id") }}
                < journeys.control_percent
                then 'control'
            else 'treatment'
        end
    ) as arm,
    coalesce(stored.is_contaminated, false) as is_contaminated
from windows
inner join journeys on windows.journey_key = journeys.journey_key
left join stored
    on windows.journey_key = stored.journey_key
    and windows.customer_id = stored.customer_id
