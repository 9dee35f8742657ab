{# Did GA4 see what the admin panel knows? Rows as exported are counted on purpose: doubled events are one of the answers. #}
with

told as (
    select * from {{ ref('int_ga4_orders') }}
),

placed as (
    select
        cast({{ local_from_utc('placed_at') }} as date) as order_date,
        order_id
    from {{ ref('int_orders') }}
),

-- before the export begins GA4 had nothing to see
days as (
    select event_date as day from told
    union
    select order_date
    from placed
    where order_date >= (select min(event_date) from {{ ref('stg_ga4__events') }})
),

by_ga4 as (
    select
        told.event_date as day,
        sum(told.events) as events,
        count(*) as orders,
        count(case when placed.order_id is null then 1 end) as unknown_orders
    from told
    left join placed on told.order_id = placed.order_id
    group by told.event_date
),

by_admin as (
    select
        placed.order_date as day,
        count(*) as orders,
        count(case when placed.order_id in (select order_id from told) then 1 end) as matched
    from placed
    group by placed.order_date
),

counted as (
    select
        days.day,
        coalesce(by_admin.orders, 0) as admin_orders,
        coalesce(by_ga4.events, 0) as ga4_order_events,
        coalesce(by_ga4.orders, 0) as ga4_orders_distinct,
        coalesce(by_admin.matched, 0) as matched,
        coalesce(by_ga4.unknown_orders, 0) as ga4_only
    from days
    left join by_ga4 on days.day = by_ga4.day
    left join by_admin on days.day = by_admin.day
),

compared as (
    select
        *,
        admin_orders - matched as admin_only,
        matched / cast(nullif(admin_orders, 0) as double) as coverage,
        ga4_order_events / cast(nullif(ga4_orders_distinct, 0) as double) as duplication
    from counted
)

select
    day as date,
    admin_orders,
    cast(ga4_order_events as bigint) as ga4_order_events,
    ga4_orders_distinct,
    matched,
    ga4_only,
    admin_only,
    coverage,
    duplication,
    case
        when coverage < 1 - {{ var('sync_tolerance') }} then 'ga4_misses_orders'
        when duplication > 1 + {{ var('sync_tolerance') }} then 'ga4_doubles_orders'
        when ga4_only > {{ var('sync_tolerance') }} * ga4_orders_distinct then 'admin_misses_orders'
        else 'ok'
    end as flag
from compared
