{# Every journey's entries, one list. A new journey is added to this list and nowhere else in SQL. #}
{{ config(tracks=['customer_id']) }}
{% set journeys = [
    'abandoned_price_view',
    'pickup_reminder',
    'winback_inactive',
] %}

{% for journey in journeys %}
select
    journey_key,
    customer_id,
    entry_key,
    eligible_from,
    eligible_to,
    end_reason,
    exit_at,
    exit_reason,
    category,
    cooldown_key,
    value,
    conditions_met,
    brand,
    model,
    city_raw,
    order_id,
    slot_start_at,
    slot_end_at
from {{ ref('journey_' ~ journey) }}
{% if not loop.last %}union all{% endif %}
{% endfor %}
