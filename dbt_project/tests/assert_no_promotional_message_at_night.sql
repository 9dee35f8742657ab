{# Whatever the seed says: but for urgent steps, no promotion leaves between nine in the evening and nine in the morning of
   the customer. #}
select
    decisions.intent_key,
    decisions.channel,
    decisions.decided_at
from {{ ref('int_decisions') }} as decisions
inner join {{ ref('journey_step_catalogue') }} as steps
    on decisions.journey_key = steps.journey_key and decisions.step_key = steps.step_key
where
    decisions.outcome = 'planned'
    and decisions.purpose = 'promotional'
    and not steps.is_urgent
    and (
        cast({{ local_from_utc('decisions.decided_at') }} as time) >= cast('21:00' as time)
        or cast({{ local_from_utc('decisions.decided_at') }} as time) < cast('09:00' as time)
    )
