{# The run sees nothing of its future, so any past moment can be decided again. #}
select
    'fct_activities' as seen_in,
    activity_id as row_key,
    occurred_at as happened_at
from {{ ref('fct_activities') }}
where occurred_at > {{ as_of() }}
union all
select
    'customer_stages',
    activity_id,
    valid_from
from {{ ref('customer_stages') }}
where valid_from > {{ as_of() }}
union all
select
    'fct_orders',
    order_id,
    greatest(placed_at, completed_at, returned_at, closed_at)
from {{ ref('fct_orders') }}
where greatest(placed_at, completed_at, returned_at, closed_at) > {{ as_of() }}
union all
select
    'journey_entries',
    journey_key || '|' || entry_key || '|' || customer_id,
    greatest(eligible_from, exited_at, converted_at)
from {{ ref('journey_entries') }}
where greatest(eligible_from, exited_at, converted_at) > {{ as_of() }}
