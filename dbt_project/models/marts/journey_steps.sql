select
    journey_key,
    step_key,
    step_number,
    delay_minutes,
    channel_order,
    is_urgent,
    template_id,
    useful_until,
    condition,
    description
from {{ ref('journey_step_catalogue') }}
