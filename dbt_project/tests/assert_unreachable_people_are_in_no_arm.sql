{# The arm is drawn when a reachable person enters; the unreachable are coverage, and say why. #}
select
    journey_key,
    entry_key,
    customer_id,
    arm,
    unreachable_reason
from {{ ref('journey_entries') }}
where is_reachable <> (arm is not null) or is_reachable <> (unreachable_reason is null)
