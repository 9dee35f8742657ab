{# Every journey's entries that have begun, one list. A new journey is added to this list and nowhere else in SQL. #}
{{ config(
    materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_entries', tracks=['customer_id']
) }}
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
where eligible_from <= {{ as_of() }} and {{ only_replaced('customer_id', 'int_touched_entries') }}
{% if not loop.last %}union all{% endif %}
{% endfor %}
