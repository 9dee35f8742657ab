{# Which days of the export an hourly run reads again: what the pull changed since the last complete build, and the days with rows that
   were in its future. #}
{{ config(materialized='view') }}
with

changes as (
    {{ changed_units(['ga4_events']) }}
),

last_build as (
    select * from {{ last_build() }}
)

select cast(strptime(right(unit, 8), '%Y%m%d') as date) as event_date
from changes
union
select events._table_date
from {{ source('ga4', 'ga4_events') }} as events
inner join last_build
    on events._table_date >= cast(last_build.as_of as date) - 2
    and events.event_timestamp + coalesce(events.event_server_timestamp_offset, 0) > epoch_us(last_build.as_of)
group by events._table_date
