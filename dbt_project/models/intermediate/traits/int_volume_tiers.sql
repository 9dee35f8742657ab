{# How much promotion each customer bears, by what they did with the last of it: the tier (seed fatigue_tiers), and since when. #}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_readers') }}
with

messages as (
    select customer_id, delivered_at, engaged_at
    from {{ ref('int_engagements') }}
    where purpose = 'promotional' and {{ only_replaced('customer_id', 'int_touched_readers') }}
),

-- who took a consent back; who never gave one was not tired by us
opt_outs as (
    select customer_id, since as happened_at
    from {{ ref('int_consent_now') }}
    where
        purpose = 'promotional'
        and status = 'opt_out'
        and is_changed
        and {{ only_replaced('customer_id', 'int_touched_readers') }}
),

-- a message counts for as long as the window, and what was done with it leaves with it
changes as (
    select customer_id, delivered_at as happened_at, 1 as delivered, 0 as engaged, 0 as opted_out
    from messages
    union all
    select customer_id, {{ dbt.dateadd('day', var('volume_window_days'), 'delivered_at') }}, -1, 0, 0
    from messages
    union all
    select customer_id, greatest(delivered_at, engaged_at), 0, 1, 0
    from messages
    where engaged_at < {{ dbt.dateadd('day', var('volume_window_days'), 'delivered_at') }}
    union all
    select customer_id, {{ dbt.dateadd('day', var('volume_window_days'), 'delivered_at') }}, 0, -1, 0
    from messages
    where engaged_at < {{ dbt.dateadd('day', var('volume_window_days'), 'delivered_at') }}
    union all
    select customer_id, happened_at, 0, 0, 1
    from opt_outs
    union all
    select customer_id, {{ dbt.dateadd('day', var('volume_window_days'), 'happened_at') }}, 0, 0, -1
    from opt_outs
),

levels as (
    select
        customer_id,
        happened_at,
        -- exact, and half as dear: sums of integers are 128 bits wide
        sum(sum(cast(delivered as double))) over so_far as delivered,
        sum(sum(cast(engaged as double))) over so_far as engaged,
        sum(sum(cast(opted_out as double))) over so_far as opt_outs
    from changes
    where happened_at <= {{ as_of() }}
    group by customer_id, happened_at
    window so_far as (partition by customer_id order by happened_at)
),

judged as (
    select
        levels.customer_id,
        levels.happened_at,
        levels.delivered,
        levels.engaged,
        levels.opt_outs,
        coalesce(min_by(tiers.volume_tier, tiers.position), 'none') as volume_tier
    from levels
    left join {{ ref('fatigue_tiers') }} as tiers
        on levels.opt_outs >= tiers.opt_outs_from
        and levels.delivered >= tiers.delivered_from
        and (tiers.engaged_share_from is null or levels.engaged >= levels.delivered * tiers.engaged_share_from)
        and (tiers.engaged_share_below is null or levels.engaged < levels.delivered * tiers.engaged_share_below)
    group by levels.customer_id, levels.happened_at, levels.delivered, levels.engaged, levels.opt_outs
),

marked as (
    select
        *,
        coalesce(volume_tier <> lag(volume_tier) over (partition by customer_id order by happened_at), true) as is_new
    from judged
),

latest as (
    select
        customer_id,
        max(happened_at) filter (where is_new) as tier_since,
        max_by(volume_tier, happened_at) as volume_tier,
        max_by(delivered, happened_at) as delivered,
        max_by(engaged, happened_at) as engaged,
        max_by(opt_outs, happened_at) as opt_outs
    from marked
    group by customer_id
)

select
    latest.customer_id,
    latest.volume_tier,
    tiers.weekly_cap,
    cast(latest.delivered as integer) as delivered,
    cast(latest.engaged as integer) as engaged,
    cast(latest.opt_outs as integer) as opt_outs,
    latest.tier_since
from latest
inner join {{ ref('fatigue_tiers') }} as tiers on latest.volume_tier = tiers.volume_tier
