{# Past is past: a planned message is due, of use, and its entry is still open. #}
select
    planned.intent_key,
    planned.due_at,
    planned.latest_useful_at
from {{ ref('int_planned_messages') }} as planned
inner join {{ ref('int_journey_windows') }} as windows
    on planned.journey_key = windows.journey_key
    and planned.entry_key = windows.entry_key
    and planned.customer_id = windows.customer_id
where
    planned.due_at > {{ as_of() }}
    or planned.latest_useful_at < {{ as_of() }}
    or windows.eligible_to < {{ as_of() }}
    or windows.exit_at <= {{ as_of() }}
