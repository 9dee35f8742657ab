{# The hour of the week at which people engage most per message: each person with enough evidence, each city, everybody; and at
   which each category's people click.

   A message waits from its sending until the first sign of its reader, a day at most; an hour's rate is the signs in it per
   message that waited then. So it is their hour that shows, not ours: the reader of 21:00 whom we always write at 11:00 counts
   for 21:00. A message nobody engaged with waited through all hours alike.

   Hour and day are judged apart and put together. Half the people of the example company engaged seven times or less: on
   the 168 hours of a week that is one sign in 24 of them, on the day's 24 hours one in three. The hours lie on a circle and each
   sign speaks for its neighbours too, by a normal curve of best_hour_kernel_hours around it: at 1.5 an hour off counts 0.80, two
   hours 0.41, three 0.14. A reader answers within minutes or a few hours (median 11 and 63 minutes in two companies), so that is
   as sharp as the signs are. Days are no circle to be smoothed on: Saturday is not like Friday.

   An hour's rate is shrunk before it speaks for its neighbours: a person's towards that of their city, a city's towards everybody's,
   as if best_hour_prior_messages messages had waited there as they do. A visit without a message is no engagement here: nothing
   was sent that it could be an answer to. #}
{{ config(tracks=['kind', 'whose']) }}
{% set groups = [
    {'kind': 'city', 'is_click': 'false', 'whose': 'people.city', 'parent': 'everyone'},
    {'kind': 'everyone', 'is_click': 'false', 'whose': "'everyone'", 'parent': ''},
    {'kind': 'category', 'is_click': 'true', 'whose': 'people.owner', 'parent': 'clicks'},
    {'kind': 'clicks', 'is_click': 'true', 'whose': "'everyone'", 'parent': ''},
] %}
{% set levels = [
    {'name': 'common', 'kinds': "'everyone', 'clicks'"},
    {'name': 'group', 'kinds': "'city', 'category'", 'parent': 'common'},
    {'name': 'own', 'kinds': "'customer'", 'parent': 'group'},
] %}
with

top_categories as (
    select customer_id, liked as category
    from {{ ref('int_affinities') }}
    where kind = 'category' and position = 1
),

-- one change of zone a message: it costs more than all the rest of the row
messages as (
    select
        customer_id,
        {{ local_from_utc('sent_at') }} as sent_local,
        engaged_at - sent_at as engaged_after,
        clicked_at - sent_at as clicked_after
    from {{ ref('int_engagements') }}
    where delivered_at > {{ dbt.dateadd('day', -var('best_hour_window_days'), as_of()) }}
),

-- each message twice: for its reader, any sign; for the category its reader likes most, the click
signs as (
    select
        false as is_click,
        customer_id as owner,
        sent_local,
        sent_local + engaged_after as sign_local
    from messages
    union all
    select
        true,
        coalesce(top_categories.category, ''),
        messages.sent_local,
        messages.sent_local + messages.clicked_after
    from messages
    left join top_categories on messages.customer_id = top_categories.customer_id
),

counts as (
    select
        is_click,
        owner,
        count(*) as messages,
        count(sign_local) as signs
    from signs
    group by is_click, owner
),

waited_hours as (
    select
        is_click,
        owner,
        extract('hour' from sign_local) as sign_hour,
        unnest(range(1 + least(date_diff('hour', sent_local, sign_local), 23))) as hours_before
    from signs
    where sign_local is not null
),

cells as (
    select
        is_click,
        owner,
        'hour' as circle,
        (sign_hour - hours_before + 24) % 24 as place,
        count(*) as waits,
        count(*) filter (where hours_before = 0) as signs
    from waited_hours
    group by is_click, owner, (sign_hour - hours_before + 24) % 24
    union all
    select
        is_click,
        owner,
        'day',
        extract('isodow' from sent_local) - 1,
        count(*),
        count(sign_local)
    from signs
    group by is_click, owner, extract('isodow' from sent_local) - 1
),

-- the people of no known city are one of their own
people as (
    select
        counts.*,
        coalesce(cities.city, '') as city
    from counts
    -- no category is called like a customer; to say that they are readers would compare every pair of rows
    left join {{ ref('int_customer_cities') }} as cities on counts.owner = cities.customer_id
),

totals as (
    -- only people with enough signs of their own go on from here
    select 'customer' as kind, owner as whose, 'city' as parent_kind, city as parent, messages, signs
    from people
    where not is_click and signs >= {{ var('best_hour_least_engagements') }}
    {% for group in groups %}
    union all
    select '{{ group.kind }}', {{ group.whose }}, '{{ group.parent }}', 'everyone', sum(messages), sum(signs)
    from people
    where is_click = {{ group.is_click }}
    group by {{ group.whose }}
    {% endfor %}
),

owned_cells as (
    select 'customer' as kind, owner as whose, circle, place, waits, signs
    from cells
    where not is_click
    {% for group in groups %}
    union all
    select '{{ group.kind }}', {{ group.whose }}, cells.circle, cells.place, sum(cells.waits), sum(cells.signs)
    from cells
    inner join people on cells.is_click = people.is_click and cells.owner = people.owner
    where cells.is_click = {{ group.is_click }}
    group by {{ group.whose }}, cells.circle, cells.place
    {% endfor %}
),

-- a row a circle, its hours or days as lists: what follows is arithmetic within the row
circles as (
    select
        owned_cells.kind,
        owned_cells.whose,
        owned_cells.circle,
        any_value(totals.parent_kind) as parent_kind,
        any_value(totals.parent) as parent,
        -- by day every message is a wait already; by hour those without a sign waited through all hours
        any_value(case owned_cells.circle when 'hour' then totals.messages - totals.signs else 0 end) as unanswered,
        list(owned_cells.place) as places,
        list(owned_cells.waits) as waits,
        list(owned_cells.signs) as signs
    from owned_cells
    inner join totals on owned_cells.kind = totals.kind and owned_cells.whose = totals.whose
    group by owned_cells.kind, owned_cells.whose, owned_cells.circle
),

-- for each place of a circle, how much each other place speaks for it
weights as (
    select
        'hour' as circle,
        here.place,
        list(
            exp(-0.5 * power(
                least(abs(here.place - there.place), 24 - abs(here.place - there.place)) / {{ var('best_hour_kernel_hours') }}, 2
            )) order by there.place
        ) as weight
    from (select unnest(range(24)) as place) as here
    cross join (select unnest(range(24)) as place) as there
    group by here.place
    union all
    select
        'day',
        here.place,
        list(case when here.place = there.place then 1.0 else 0.0 end order by there.place)
    from (select unnest(range(7)) as place) as here
    cross join (select unnest(range(7)) as place) as there
    group by here.place
),

kernels as (
    select circle, list(weight order by place) as weights, count(*) as size
    from weights
    group by circle
),

{% for level in levels %}
{% set prior = var('best_hour_prior_messages') if level.parent else 0 %}
rates_{{ level.name }} as (
    select
        circles.kind,
        circles.whose,
        circles.circle,
        circles.places,
        list_transform(
            range(kernels.size),
            lambda place: (
                coalesce(circles.signs[list_position(circles.places, place)], 0)
                {% if level.parent %}+ {{ prior }} * parents.rates[place + 1]{% endif %}
            )
            / greatest(
                coalesce(circles.waits[list_position(circles.places, place)], 0) + circles.unanswered + {{ prior }}, 1
            )
        ) as rates
    from circles
    inner join kernels on circles.circle = kernels.circle
    {% if level.parent %}
    inner join rates_{{ level.parent }} as parents
        on circles.parent_kind = parents.kind and circles.parent = parents.whose and circles.circle = parents.circle
    {% endif %}
    where circles.kind in ({{ level.kinds }})
),
{% endfor %}

rates as (
    {% for level in levels %}
    select * from rates_{{ level.name }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

scores as (
    select
        rates.kind,
        rates.whose,
        rates.circle,
        list_transform(
            range(kernels.size),
            -- a day on which nobody wrote to them is not their day; an hour is known by those around it
            lambda place: case
                when rates.circle = 'hour' or list_contains(rates.places, place)
                    then list_inner_product(rates.rates, kernels.weights[place + 1])
                else -1
            end
        ) as scores
    from rates
    inner join kernels on rates.circle = kernels.circle
),

best as (
    select
        kind,
        whose,
        any_value(list_position(scores, list_max(scores)) - 1) filter (where circle = 'day') as best_day,
        any_value(list_position(scores, list_max(scores)) - 1) filter (where circle = 'hour') as best_hour
    from scores
    group by kind, whose
)

select
    best.kind,
    best.whose,
    ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'][best.best_day + 1] || ' ' || lpad(cast(best.best_hour as varchar), 2, '0')
        as best_hour,
    cast(totals.signs as integer) as evidence,
    cast(totals.messages as integer) as messages
from best
inner join totals on best.kind = totals.kind and best.whose = totals.whose
where best.whose <> '' and (best.kind = 'customer' or totals.signs >= {{ var('best_hour_least_group') }})
