select
    journey_key,
    name,
    purpose,
    priority,
    exclusivity_group,
    reentry,
    cooldown_days,
    control_percent,
    in_global_holdout,
    goal_activity,
    goal_window_days,
    status,
    is_critical,
    owner,
    description
from {{ ref('journey_catalogue') }}
