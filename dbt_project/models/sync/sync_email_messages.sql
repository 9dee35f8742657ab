select
    intent_key,
    journey_key,
    entry_key,
    step_key,
    customer_id,
    purpose,
    template_id,
    language,
    address,
    variables,
    variant,
    priority,
    due_at,
    latest_useful_at,
    consent_at
from {{ ref('int_planned_messages') }}
where channel = 'email'
