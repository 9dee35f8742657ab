{# At the moment each entry begins: the first reachable channel of its first step, or the first reason there is none. #}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_entries') }}
with

moments as (
    select
        windows.journey_key || '|' || windows.entry_key || '|' || windows.customer_id as moment_key,
        windows.customer_id,
        windows.eligible_from as at,
        journeys.purpose,
        steps.channel_order
    from {{ ref('int_journey_windows') }} as windows
    inner join {{ ref('journey_catalogue') }} as journeys on windows.journey_key = journeys.journey_key
    inner join {{ ref('journey_step_catalogue') }} as steps
        on windows.journey_key = steps.journey_key and steps.step_number = 1
    where {{ only_replaced('windows.customer_id', 'int_touched_entries') }}
)

select
    moment_key,
    customer_id,
    channel,
    address,
    unreachable_reason
from ({{ reachable_channel('moments') }}) as reach
