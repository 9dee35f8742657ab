{# How many messages waited for each customer in each hour of the day, and how many signs of them came in it: what best hours are made
   of (macros/best_hours.sql).

   A message waits from its sending until the first sign of its reader, a day at most; an hour's rate is the signs in it per
   message that waited then. So it is their hour that shows, not ours: the reader of 21:00 whom we always write at 11:00 counts
   for 21:00. A message nobody engaged with waited through all hours alike: 'all' has it, no hour has. A visit without a message is no
   engagement here: nothing was sent that it could be an answer to.

   As of the day's beginning: a day's sends are half answered at noon, and each would move everybody's hours. City and category stand
   here, where few customers are done again, so that the sums over everybody join nothing. #}
{% set touched = ['int_touched_readers', 'int_touched_customers'] %}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from=touched, cluster_by='hash(customer_id)') }}
with

-- one change of zone a message: it costs more than all the rest of the row
messages as (
    select
        customer_id,
        {{ local_from_utc('sent_at') }} as sent_local,
        case when engaged_at <= {{ day_start() }} then engaged_at - sent_at end as engaged_after,
        case when clicked_at <= {{ day_start() }} then clicked_at - sent_at end as clicked_after
    from {{ ref('int_engagements') }}
    where
        delivered_at > {{ dbt.dateadd('day', -var('best_hour_window_days'), day_start()) }}
        and delivered_at <= {{ day_start() }}
        and {{ only_replaced('customer_id', touched) }}
),

signs as (
    select
        customer_id,
        false as is_click,
        sent_local,
        sent_local + engaged_after as sign_local
    from messages
    where engaged_after is not null
    union all
    select
        customer_id,
        true,
        sent_local,
        sent_local + clicked_after
    from messages
    where clicked_after is not null
),

waited_hours as (
    select
        customer_id,
        is_click,
        extract('hour' from sign_local) as sign_hour,
        unnest(range(1 + least(date_diff('hour', sent_local, sign_local), 23))) as hours_before
    from signs
),

cells as (
    select
        customer_id,
        'hour' as circle,
        (sign_hour - hours_before + 24) % 24 as place,
        count(*) filter (where not is_click) as waits,
        count(*) filter (where not is_click and hours_before = 0) as signs,
        count(*) filter (where is_click) as click_waits,
        count(*) filter (where is_click and hours_before = 0) as click_signs
    from waited_hours
    group by customer_id, (sign_hour - hours_before + 24) % 24
    union all
    select
        customer_id,
        'day',
        extract('isodow' from sent_local) - 1,
        count(*),
        count(engaged_after),
        count(*),
        count(clicked_after)
    from messages
    group by customer_id, extract('isodow' from sent_local) - 1
    union all
    select
        customer_id,
        'all',
        0,
        count(*),
        count(engaged_after),
        count(*),
        count(clicked_after)
    from messages
    group by customer_id
)

select
    cells.customer_id,
    coalesce(cities.city, '') as city,
    coalesce(likings.liked, '') as category,
    cells.circle,
    cast(cells.place as tinyint) as place,
    cast(cells.waits as integer) as waits,
    cast(cells.signs as integer) as signs,
    cast(cells.click_waits as integer) as click_waits,
    cast(cells.click_signs as integer) as click_signs
from cells
left join {{ ref('int_customer_cities') }} as cities on cells.customer_id = cities.customer_id
left join {{ ref('int_affinities') }} as likings
    on cells.customer_id = likings.customer_id and likings.kind = 'category' and likings.position = 1
