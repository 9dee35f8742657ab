{# Newest fact of each source against the run's moment. A late source holds every promotional message: nobody is written to
   on old news. Counted before the as_of filter would hide it: a source whose newest row is old is late, whatever the reason. #}
with

-- not max(): that reads every event there ever was once some are deleted, and this the last few
newest_event as (
    select occurred_at
    from {{ ref('stg_ga4__events') }}
    order by occurred_at desc
    limit 1
),

newest as (
    select 'ga4' as source, max(occurred_at) as newest_at, {{ var('ga4_stale_hours') }} as max_hours
    from newest_event
    union all
    select 'admin', max(changed_at), {{ var('admin_stale_hours') }}
    from (
        select max(created_at) as changed_at from {{ ref('stg_admin__quotes') }}
        union all
        select max(changed_at) from {{ ref('stg_admin__order_status_history') }}
    ) as admin_clocks
)

select
    source,
    newest_at,
    max_hours,
    newest_at is null or {{ hours_between('newest_at', as_of()) }} > max_hours as is_stale
from newest
