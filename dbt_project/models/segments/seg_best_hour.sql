{# Engaged with messages often enough to have a best hour of their own. #}
with

engaged as (
    select customer_id, delivered_at as happened_at, engaged_at
    from {{ ref('int_engagements') }}
    -- best hours are as of the day's beginning: what came since does not count yet
    where engaged_at is not null and delivered_at <= {{ day_start() }} and {{ only_members('customer_id') }}
),

-- a sign counts from its moment, and leaves with its message
changes as (
    select customer_id, engaged_at as happened_at, 1 as change
    from engaged
    union all
    select
        customer_id,
        greatest(engaged_at, {{ dbt.dateadd('day', var('best_hour_window_days'), 'happened_at') }}),
        -1
    from engaged
),

standings as (
    {{ standing_since('changes', 'level >= ' ~ var('best_hour_least_engagements'), now=day_start()) }}
)

select
    'best_hour' as segment_key,
    hours.customer_id,
    standings.entered_at,
    cast(to_json(struct_pack(
        best_hour := hours.best_hour, engagements := hours.evidence, messages := hours.messages
    )) as varchar) as context
from {{ ref('int_best_hours') }} as hours
inner join standings on hours.customer_id = standings.customer_id
