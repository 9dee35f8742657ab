{# The open steps with everything a decision needs beside them: reach, arm, cap counts, local clock, blocks. No verdict here. #}
with

candidates as (
    select * from {{ ref('int_step_candidates') }} where standing = 'open'
),

moments as (
    select
        intent_key as moment_key,
        customer_id,
        {{ as_of() }} as at,
        purpose,
        channel_order
    from candidates
),

reach as (
    select * from ({{ reachable_channel('moments') }}) as reached
),

-- of them alone: few people have an open step, and everybody has messages and entries
messages as (
    select
        *,
        cast({{ local_from_utc('sent_at') }} as date) as local_date
    from {{ ref('int_messages_before') }}
    where
        sent_at > {{ dbt.dateadd('day', -120, as_of()) }}
        and sent_at <= {{ as_of() }}
        and customer_id in (select customer_id from candidates)
),

pressure as (
    select
        customer_id,
        max(sent_at) as last_any_at,
        max(sent_at) filter (where purpose = 'promotional') as last_promotional_at,
        count(*) filter (where local_date = cast({{ local_from_utc(as_of()) }} as date)) as any_today,
        count(*) filter (
            where purpose = 'promotional' and local_date = cast({{ local_from_utc(as_of()) }} as date)
        ) as promotional_today,
        count(*) filter (
            where purpose = 'service' and local_date = cast({{ local_from_utc(as_of()) }} as date)
        ) as service_today,
        count(*) filter (
            where purpose = 'promotional' and sent_at > {{ dbt.dateadd('day', -7, as_of()) }}
        ) as promotional_7_days
    from messages
    group by customer_id
),

channel_pressure as (
    select
        customer_id,
        channel,
        count(*) as promotional_7_days
    from messages
    where purpose = 'promotional' and sent_at > {{ dbt.dateadd('day', -7, as_of()) }}
    group by customer_id, channel
),

journey_pressure as (
    select
        customer_id,
        journey_key,
        count(*) filter (where local_date = cast({{ local_from_utc(as_of()) }} as date)) as messages_today
    from messages
    group by customer_id, journey_key
),

template_pressure as (
    select
        address,
        template_id,
        max(sent_at) as last_sent_at
    from {{ ref('int_messages_before') }}
    where
        sent_at > {{ dbt.dateadd('day', -120, as_of()) }}
        and sent_at <= {{ as_of() }}
        and address in (select sender_address from reach)
    group by address, template_id
),

windows as (
    select * from {{ ref('int_journey_windows') }} where customer_id in (select customer_id from candidates)
),

arms as (
    select * from {{ ref('int_entry_arms') }} where customer_id in (select customer_id from candidates)
),

customers as (
    select * from {{ ref('int_customers') }} where customer_id in (select customer_id from candidates)
),

own_entries as (
    -- an earlier entry of the same journey that we wrote to: what a cooldown counts from
    select
        own.customer_id,
        own.journey_key,
        own.entry_key,
        windows.cooldown_key,
        max(own.sent_at) as last_sent_at
    from {{ ref('int_own_messages') }} as own
    left join windows
        on own.journey_key = windows.journey_key
        and own.entry_key = windows.entry_key
        and own.customer_id = windows.customer_id
    where own.run_as_of < {{ as_of() }} and own.customer_id in (select customer_id from candidates)
    group by own.customer_id, own.journey_key, own.entry_key, windows.cooldown_key
),

cooling as (
    select
        candidates.intent_key
    from candidates
    inner join own_entries
        on candidates.customer_id = own_entries.customer_id
        and candidates.journey_key = own_entries.journey_key
        and candidates.entry_key <> own_entries.entry_key
        and (candidates.cooldown_key = own_entries.cooldown_key or own_entries.cooldown_key is null)
    where
        candidates.reentry = 'once'
        or own_entries.last_sent_at > {{ dbt.dateadd('day', '-candidates.cooldown_days', 'candidates.eligible_from') }}
    group by candidates.intent_key
),

active_entries as (
    select
        windows.customer_id,
        windows.journey_key,
        windows.entry_key,
        journeys.exclusivity_group,
        journeys.priority
    from windows
    inner join {{ ref('journey_catalogue') }} as journeys on windows.journey_key = journeys.journey_key
    where
        windows.eligible_from <= {{ as_of() }}
        and coalesce(windows.eligible_to, {{ far_future() }}) > {{ as_of() }}
        and coalesce(windows.exit_at, {{ far_future() }}) > {{ as_of() }}
        and journeys.status = 'live'
        and journeys.exclusivity_group <> 'order_ops'
),

preempted as (
    select
        candidates.intent_key,
        max_by(
            active_entries.journey_key || ':' || active_entries.entry_key,
            struct_pack(priority := active_entries.priority, entry := active_entries.entry_key)
        ) as lost_to
    from candidates
    inner join active_entries
        on candidates.customer_id = active_entries.customer_id
        and candidates.exclusivity_group = active_entries.exclusivity_group
        and candidates.journey_key <> active_entries.journey_key
        and candidates.priority < active_entries.priority
    group by candidates.intent_key
),

open_orders as (
    select
        candidates.intent_key
    from candidates
    inner join {{ ref('int_order_intervals') }} as orders
        on candidates.customer_id = orders.customer_id
        and orders.placed_at <= {{ as_of() }}
        and coalesce(orders.closed_at, {{ far_future() }}) > {{ as_of() }}
        and (candidates.category is null or orders.category is null or candidates.category = orders.category)
    where candidates.purpose = 'promotional' and candidates.exclusivity_group in ('intent', 'retention', 'broadcast')
    group by candidates.intent_key
),

killed as (
    select candidates.intent_key
    from candidates
    inner join reach on candidates.intent_key = reach.moment_key
    inner join {{ ref('stg_ledger__kill_switches') }} as switches
        on switches.scope in ('all', 'journey:' || candidates.journey_key, 'channel:' || coalesce(reach.sender_channel, ''))
    group by candidates.intent_key
),

stale as (
    select bool_or(is_stale) as is_stale from {{ ref('int_source_freshness') }}
),

clocked as (
    select
        candidates.intent_key,
        quiet.quiet_to,
        cast({{ local_from_utc(as_of()) }} as time) as local_time,
        cast(quiet.quiet_from as time) as quiet_from_time,
        -- people are let go over the first minutes of the morning, not all at once
        cast(
            floor({{ bucket_of('release', 'candidates.intent_key') }} * {{ var('release_spread_minutes') }} / 100) as integer
        ) as spread_minutes
    from candidates
    inner join reach on candidates.intent_key = reach.moment_key
    inner join {{ ref('quiet_hours') }} as quiet
        on candidates.purpose = quiet.purpose and reach.sender_channel = quiet.channel
    where not candidates.is_urgent
),

quiet as (
    select intent_key
    from clocked
    where
        local_time >= quiet_from_time
        or local_time < cast(quiet_to as time) + to_minutes(spread_minutes)
)

select
    candidates.*,
    reach.unreachable_reason,
    reach.channel as reachable_channel,
    reach.sender_channel as channel,
    reach.sender_address as address,
    arms.arm,
    cooling.intent_key is not null as is_cooling,
    preempted.lost_to as preempted_by,
    open_orders.intent_key is not null as has_open_order,
    killed.intent_key is not null as is_killed,
    stale.is_stale as is_data_stale,
    quiet.intent_key is not null as is_quiet,
    coalesce(customers.is_oversized, false) as is_oversized,
    template_pressure.last_sent_at as template_last_sent_at,
    pressure.last_any_at,
    pressure.last_promotional_at,
    coalesce(pressure.any_today, 0) as any_today,
    coalesce(pressure.promotional_today, 0) as promotional_today,
    coalesce(pressure.service_today, 0) as service_today,
    coalesce(pressure.promotional_7_days, 0) as promotional_7_days,
    coalesce(channel_pressure.promotional_7_days, 0) as channel_promotional_7_days,
    coalesce(journey_pressure.messages_today, 0) as journey_today,
    channels.cap_7_days as channel_cap_7_days
from candidates
inner join reach on candidates.intent_key = reach.moment_key
cross join stale
left join arms
    on candidates.journey_key = arms.journey_key
    and candidates.entry_key = arms.entry_key
    and candidates.customer_id = arms.customer_id
left join {{ ref('channels') }} as channels on reach.sender_channel = channels.channel
left join customers on candidates.customer_id = customers.customer_id
left join pressure on candidates.customer_id = pressure.customer_id
left join channel_pressure
    on candidates.customer_id = channel_pressure.customer_id and reach.sender_channel = channel_pressure.channel
left join journey_pressure
    on candidates.customer_id = journey_pressure.customer_id and candidates.journey_key = journey_pressure.journey_key
left join template_pressure
    on reach.sender_address = template_pressure.address and candidates.template_id = template_pressure.template_id
left join cooling on candidates.intent_key = cooling.intent_key
left join preempted on candidates.intent_key = preempted.intent_key
left join open_orders on candidates.intent_key = open_orders.intent_key
left join killed on candidates.intent_key = killed.intent_key
left join quiet on candidates.intent_key = quiet.intent_key
