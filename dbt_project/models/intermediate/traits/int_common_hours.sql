{# The hour of the week at which the people of each city engage most per message, and everybody; and at which each category's people
   click. How that is found: int_hour_cells and macros/best_hours.sql.

   What people are shrunk towards stands in rows of its own, rounded: a handful of facts that come late hardly ever move it, and then
   nobody is done again but those who have an hour of their own. #}
{{ config(tracks=['kind', 'whose']) }}
{% set groups = {
    'city': {'whose': 'city', 'counted': ''},
    'everyone': {'whose': "'everyone'", 'counted': ''},
    'category': {'whose': 'category', 'counted': 'click_'},
    'clicks': {'whose': "'everyone'", 'counted': 'click_'},
} %}
with

-- the only look at everybody: what follows adds up a few thousand rows
sums as (
    select
        city,
        category,
        circle,
        place,
        sum(waits) as waits,
        sum(signs) as signs,
        sum(click_waits) as click_waits,
        sum(click_signs) as click_signs
    from {{ ref('int_hour_cells') }}
    group by city, category, circle, place
),

cells as (
    {% for kind, group in groups.items() %}
    select
        '{{ kind }}' as kind,
        {{ group.whose }} as whose,
        circle,
        place,
        sum({{ group.counted }}waits) as waits,
        sum({{ group.counted }}signs) as signs
    from sums
    group by {{ group.whose }}, circle, place
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

circles as (
    {{ best_hour_circles('cells') }}
),

common_circles as (
    select * from circles where kind in ('everyone', 'clicks')
),

group_circles as (
    select * from circles where kind in ('city', 'category')
),

kernels as (
    {{ best_hour_kernels() }}
),

common_rates as (
    {{ best_hour_rates('common_circles') }}
),

group_rates as (
    {{ best_hour_rates(
        'group_circles',
        parents='common_rates',
        of_parent="parents.kind = case circles.kind when 'city' then 'everyone' else 'clicks' end",
    ) }}
),

rates as (
    select * from common_rates
    union all
    select * from group_rates
),

best as (
    {{ best_hour_of('rates') }}
)

select
    best.kind,
    best.whose,
    best.best_hour,
    cast(null as double[]) as hour_rates,
    cast(null as double[]) as day_rates
from best
inner join cells as totals on best.kind = totals.kind and best.whose = totals.whose
-- the people of no known city, and of no category, are no group to be told of
where totals.circle = 'all' and totals.signs >= {{ var('best_hour_least_group') }} and best.whose <> ''
union all
select
    'prior',
    whose,
    null,
    any_value(list_transform(rates, lambda rate: round(rate, 3))) filter (where circle = 'hour'),
    any_value(list_transform(rates, lambda rate: round(rate, 3))) filter (where circle = 'day')
from group_rates
where kind = 'city'
group by whose
