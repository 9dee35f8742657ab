{# Whose profile and segments an hourly run works out again: whose facts, messages, consent or scores differ from what the last complete
   build saw, and for whom time alone moved one into or out of a window. Too many is harmless; a window that is not listed here
   lets people stay where they no longer belong until the night. #}
-- depends_on: {{ ref('segment_catalogue') }}
{% set moved = {
    'customers': {
        'from': ref('int_customers'),
        'ages': {
            'last_activity_at': [
                ['day', var('inactive_after_days')],
                ['day', var('cooling_after_days')],
                ['day', var('silence_at_risk_days')],
                ['day', var('silence_inactive_days')],
                ['day', var('silence_defected_days')],
                ['day', var('lead_cold_after_days')],
                ['day', var('lead_cold_until_days')],
            ],
            'first_known_at': [['hour', var('lead_new_window_hours')]],
        },
    },
    'quotes': {
        'from': ref('int_quotes'),
        'ages': {
            'created_at': [
                ['hour', var('lead_hot_window_hours')], ['day', var('considering_window_days')], ['day', var('value_window_days')]
            ],
        },
    },
    'replies': {
        'from': ref('int_messages_before'),
        'ages': {'replied_at': [['hour', var('lead_hot_window_hours')]]},
    },
    'activities': {
        'from': ref('int_segment_activities'),
        'where': "activity in ('checkout_started', 'feedback_given')",
        'ages': {'occurred_at': [['day', var('considering_window_days')], ['day', var('bad_experience_window_days')]]},
    },
    'orders': {
        'from': ref('int_orders'),
        'ages': {
            'completed_at': [
                ['day', var('value_window_days')], ['day', var('hva_window_days')], ['day', var('bad_experience_window_days')]
            ],
        },
    },
    'latest_orders': {
        'from': ref('int_latest_orders'),
        'ages': {
            'placed_at': [['hour', var('order_not_completed_after_hours')]],
            'group_since': [['day', var('failed_order_window_days')]],
        },
    },
} %}
{% set differing = [
    'int_addresses',
    'int_rfm',
    'int_paid_values',
    'int_customer_value',
    'int_best_hours',
] %}
with

common_hours as (
    {{ touched_rows('int_common_hours', 'kind, whose') }}
),

-- on a shared address one person's word binds everybody
addresses as (
    select address
    from ({{ touched_rows('int_shared_opt_outs', 'address') }}) as touched
    union
    select unit
    from ({{ changed_units(['ledger_suppressions']) }}) as changes
    union
    select suppressions.address
    from {{ ref('stg_ledger__suppressions') }} as suppressions
    where {{ came_of_age(['suppressions.since', 'suppressions.until']) }}
),

customers as (
    select customer_id from {{ ref('int_touched_customers') }}
    union
    select customer_id from {{ ref('int_touched_readers') }}
    union
    select customer_id from {{ ref('int_touched_consents') }}
    {% for model_name in differing %}
    union
    {{ touched_rows(model_name, 'customer_id') }}
    {% endfor %}
    union
    select given.customer_id
    from {{ ref('int_addresses') }} as given
    inner join addresses on given.address = addresses.address
    union
    select orders.customer_id
    from {{ ref('stg_admin__payouts') }} as payouts
    inner join {{ ref('int_orders') }} as orders on payouts.order_id = orders.order_id
    where {{ came_of_age('payouts.paid_at', [['day', var('value_window_days')]]) }}
    {% for name, facts in moved.items() %}
    union
    select {{ name }}.customer_id
    from {{ facts['from'] }} as {{ name }}
    where
        {{ facts.get('where', 'true') }}
        and (
            {% for moment, ages in facts['ages'].items() %}
            {{ came_of_age(name ~ '.' ~ moment, ages) }}
            {% if not loop.last %}or{% endif %}
            {% endfor %}
        )
    {% endfor %}
    union
    select cities.customer_id
    from {{ ref('int_customer_cities') }} as cities
    inner join common_hours on common_hours.kind = 'city' and cities.city = common_hours.whose
    union
    select liked.customer_id
    from {{ ref('int_affinities') }} as liked
    inner join common_hours on common_hours.kind = 'category' and liked.liked = common_hours.whose
    where liked.kind = 'category' and liked.position = 1
    union
    select customer_id
    from {{ ref('int_customers') }}
    where exists (select 1 from common_hours where kind = 'everyone')
    {%- if execute and held_relation('int_segment_members') is not none %}
    union
    -- the last day of a segment is over for all of its members at once
    select members.customer_id
    from {{ held_relation('int_segment_members') }} as members
    inner join {{ ref('segment_catalogue') }} as catalogue on members.segment_key = catalogue.segment_key
    where {{ has_expired('catalogue.expires_on') }}
    {%- endif %}
)

select customer_id
from customers
where customer_id is not null
