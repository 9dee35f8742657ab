{# Active, in no live journey and in no other segment but those that only say what somebody is like (everybody has a device
   and a liking): the coverage gap. It reads the matches of all other segments, so no
   journey may read this segment or int_segment_members: a journey reads its seg_ model or int_segment_matches. #}
{{ config(
    materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_segments', tracks=[]
) }}
with

active as (
    select * from {{ ref('int_active_spells') }} where {{ only_replaced('customer_id', 'int_touched_segments') }}
),

matches as (
    select distinct matches.customer_id
    from {{ ref('int_segment_matches') }} as matches
    inner join {{ ref('segment_catalogue') }} as catalogue on matches.segment_key = catalogue.segment_key
    where
        not catalogue.is_trait
        and not {{ has_expired('catalogue.expires_on') }}
        and {{ only_replaced('matches.customer_id', 'int_touched_segments') }}
),

entries as (
    select
        windows.customer_id,
        bool_or(coalesce(least(windows.eligible_to, windows.exit_at), {{ far_future() }}) > {{ as_of() }}) as is_in_journey,
        max(least(windows.eligible_to, windows.exit_at)) as last_left_at
    from {{ ref('int_journey_windows') }} as windows
    inner join {{ ref('journey_catalogue') }} as journeys on windows.journey_key = journeys.journey_key
    where
        journeys.status = 'live'
        and windows.eligible_from <= {{ as_of() }}
        and {{ only_replaced('windows.customer_id', 'int_touched_segments') }}
    group by windows.customer_id
)

select
    'silent' as segment_key,
    active.customer_id,
    greatest(active.active_since, entries.last_left_at) as entered_at,
    cast(to_json(struct_pack(last_journey_left_at := entries.last_left_at)) as varchar) as context
from active
left join matches on active.customer_id = matches.customer_id
left join entries on active.customer_id = entries.customer_id
where matches.customer_id is null and not coalesce(entries.is_in_journey, false)
