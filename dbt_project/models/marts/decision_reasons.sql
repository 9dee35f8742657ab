select
    reason,
    outcome,
    description
from {{ ref('decision_reason_catalogue') }}
