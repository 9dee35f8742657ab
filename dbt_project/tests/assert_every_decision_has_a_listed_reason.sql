{# Reason and outcome go together as the list says. A planned message may carry the reason it is still waiting for (retry). #}
select
    decisions.intent_key,
    decisions.outcome,
    decisions.reason
from {{ ref('journey_decisions') }} as decisions
left join {{ ref('decision_reason_catalogue') }} as reasons on decisions.reason = reasons.reason
where
    reasons.reason is null
    or (decisions.outcome <> reasons.outcome and not (decisions.outcome = 'planned' and reasons.outcome = 'held'))
