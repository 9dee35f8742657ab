{# When each customer last engaged with us, how many messages reached them lately, and since when without a gap: what attention
   is judged by. A visit is an engagement too. #}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_readers') }}
with

messages as (
    select * from {{ ref('int_messages_before') }} where {{ only_replaced('customer_id', 'int_touched_readers') }}
),

engagements as (
    select
        customer_id,
        unnest([read_at, opened_at, clicked_at, replied_at]) as happened_at
    from messages
    union all
    select
        customer_id,
        started_at as happened_at
    from {{ ref('int_ga4_sessions') }}
    where
        customer_id is not null
        -- by the device they are found: of two sieves none is tried
        and {{ only_replaced('customer_id', 'int_touched_readers', sift=false) }}
        and {{ only_replaced('user_pseudo_id', 'int_touched_reader_visits', by='user_pseudo_id') }}
),

engaged as (
    select * from engagements where happened_at <= {{ as_of() }}
),

engaged_changes as (
    {{ within_days('engaged', var('listening_window_days')) }}
),

engaged_spells as (
    {{ standing_since('engaged_changes', 'level >= 1') }}
),

last_engaged as (
    select customer_id, max(happened_at) as last_engaged_at
    from engaged
    group by customer_id
),

delivered as (
    select
        customer_id,
        delivered_at as happened_at
    from messages
    where delivered_at <= {{ as_of() }}
),

delivered_changes as (
    {{ within_days('delivered', var('listening_window_days')) }}
),

delivered_spells as (
    {{ standing_since('delivered_changes', 'level >= ' ~ var('ignoring_min_delivered')) }}
)

select
    coalesce(last_engaged.customer_id, delivered_spells.customer_id) as customer_id,
    last_engaged.last_engaged_at,
    engaged_spells.entered_at as engaged_since,
    cast(coalesce(delivered_spells.level, 0) as integer) as delivered_in_window,
    delivered_spells.entered_at as delivered_since
from last_engaged
inner join engaged_spells on last_engaged.customer_id = engaged_spells.customer_id
full join delivered_spells on last_engaged.customer_id = delivered_spells.customer_id
