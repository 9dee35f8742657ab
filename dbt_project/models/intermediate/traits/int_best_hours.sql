{# The hour of the week at which each person with enough signs of their own engages most per message: their rates, shrunk towards those
   of their city (macros/best_hours.sql). #}
{{ config(
    materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_habits', tracks=['customer_id']
) }}
with

totals as (
    select
        customer_id,
        city,
        waits,
        signs
    from {{ ref('int_hour_cells') }}
    where
        circle = 'all'
        and signs >= {{ var('best_hour_least_engagements') }}
        and {{ only_replaced('customer_id', 'int_touched_habits') }}
),

-- a person is of the kind of their city
cells as (
    select
        totals.city as kind,
        cells.customer_id as whose,
        cells.circle,
        cells.place,
        cells.waits,
        cells.signs
    from {{ ref('int_hour_cells') }} as cells
    inner join totals on cells.customer_id = totals.customer_id
),

circles as (
    {{ best_hour_circles('cells') }}
),

kernels as (
    {{ best_hour_kernels() }}
),

priors as (
    select
        whose,
        'hour' as circle,
        hour_rates as rates
    from {{ ref('int_common_hours') }}
    where kind = 'prior'
    union all
    select
        whose,
        'day',
        day_rates
    from {{ ref('int_common_hours') }}
    where kind = 'prior'
),

rates as (
    {{ best_hour_rates('circles', parents='priors', of_parent='circles.kind = parents.whose') }}
),

best as (
    {{ best_hour_of('rates') }}
)

select
    totals.customer_id,
    best.best_hour,
    totals.signs as evidence,
    totals.waits as messages
from best
inner join totals on best.whose = totals.customer_id
