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
{% set kernel_reach = (2 * var('best_hour_kernel_hours')) | round(0, 'ceil') | int %}
{% set groups = [
    {'kind': 'city', 'whose': 'people.city', 'is_click': 'false', 'parent': 'everyone'},
    {'kind': 'category', 'whose': 'people.category', 'is_click': 'true', 'parent': 'clicks'},
    {'kind': 'everyone', 'whose': "'everyone'", 'is_click': 'false', 'parent': ''},
    {'kind': 'clicks', 'whose': "'everyone'", 'is_click': 'true', 'parent': ''},
] %}
{% set levels = [
    {'name': 'common', 'kinds': "'everyone', 'clicks'", 'prior': 0},
    {'name': 'group', 'kinds': "'city', 'category'", 'prior': var('best_hour_prior_messages'), 'parent': 'common'},
    {'name': 'own', 'kinds': "'customer'", 'prior': var('best_hour_prior_messages'), 'parent': 'group'},
] %}
with

messages as (
    select * from {{ ref('int_engagements') }}
    where delivered_at > {{ dbt.dateadd('day', -var('best_hour_window_days'), as_of()) }}
),

-- read and clicked within a minute is one sign; clicks are looked at once more, by themselves
signs as (
    select
        customer_id,
        false as is_click,
        {{ local_from_utc('sent_at') }} as sent_local,
        {{ local_from_utc('engaged_at') }} as sign_local
    from messages
    union all
    select
        customer_id,
        true,
        {{ local_from_utc('sent_at') }},
        {{ local_from_utc('clicked_at') }}
    from messages
),

waited_hours as (
    select
        customer_id,
        is_click,
        extract('hour' from sign_local) as sign_hour,
        unnest(range(1 + least(date_diff('hour', sent_local, sign_local), 23))) as hours_before
    from signs
    where sign_local is not null
),

marks as (
    select
        customer_id,
        is_click,
        'hour' as circle,
        (sign_hour - hours_before + 24) % 24 as place,
        hours_before = 0 as is_sign
    from waited_hours
    union all
    select
        customer_id,
        is_click,
        'day',
        extract('isodow' from sent_local) - 1,
        sign_local is not null
    from signs
),

cells as (
    select
        customer_id,
        is_click,
        circle,
        place,
        count(*) as waits,
        count(*) filter (where is_sign) as signs
    from marks
    group by customer_id, is_click, circle, place
),

counts as (
    select
        customer_id,
        is_click,
        count(*) as messages,
        count(sign_local) as signs
    from signs
    group by customer_id, is_click
),

top_categories as (
    select customer_id, liked as category
    from {{ ref('int_affinities') }}
    where kind = 'category' and position = 1
),

-- the people of no known city, or of no category, are one of their own
people as (
    select
        counts.customer_id,
        coalesce(cities.city, '') as city,
        coalesce(top_categories.category, '') as category
    from counts
    left join {{ ref('int_customer_cities') }} as cities on counts.customer_id = cities.customer_id
    left join top_categories on counts.customer_id = top_categories.customer_id
    where not counts.is_click
),

totals as (
    select
        'customer' as kind,
        counts.customer_id as whose,
        'city' as parent_kind,
        people.city as parent,
        counts.messages,
        counts.signs
    from counts
    inner join people on counts.customer_id = people.customer_id
    -- only people with enough signs of their own go on from here
    where not counts.is_click and counts.signs >= {{ var('best_hour_least_engagements') }}
    {% for group in groups %}
    union all
    select
        '{{ group.kind }}',
        {{ group.whose }},
        '{{ group.parent }}',
        'everyone',
        sum(counts.messages),
        sum(counts.signs)
    from counts
    inner join people on counts.customer_id = people.customer_id
    where counts.is_click = {{ group.is_click }}
    group by {{ group.whose }}
    {% endfor %}
),

owned_cells as (
    select
        'customer' as kind,
        customer_id as whose,
        circle,
        place,
        waits,
        signs
    from cells
    where not is_click
    {% for group in groups %}
    union all
    select
        '{{ group.kind }}',
        {{ group.whose }},
        cells.circle,
        cells.place,
        sum(cells.waits),
        sum(cells.signs)
    from cells
    inner join people on cells.customer_id = people.customer_id
    where cells.is_click = {{ group.is_click }}
    group by {{ group.whose }}, cells.circle, cells.place
    {% endfor %}
),

exposed as (
    select
        owned_cells.*,
        totals.parent_kind,
        totals.parent,
        -- by day every message is a wait already; by hour those without a sign waited through all hours
        case owned_cells.circle when 'hour' then totals.messages - totals.signs else 0 end as unanswered
    from owned_cells
    inner join totals on owned_cells.kind = totals.kind and owned_cells.whose = totals.whose
),

kernel as (
    select
        'hour' as circle,
        24 as size,
        step,
        exp(-0.5 * power(step / {{ var('best_hour_kernel_hours') }}, 2)) as weight
    from (select unnest(range(-{{ kernel_reach }}, {{ kernel_reach }} + 1)) as step) as steps
    union all
    select 'day', 7, 0, 1
),

{% for level in levels %}
rates_{{ level.name }} as (
    select
        exposed.kind,
        exposed.whose,
        exposed.circle,
        exposed.place,
        exposed.signs,
        {% if level.parent %}
        exposed.parent_kind,
        exposed.parent,
        -- what is left of the parent's rate in an hour in which nothing of theirs but the unanswered waited
        {{ level.prior }} / (exposed.unanswered + {{ level.prior }}) as parent_share,
        parents.rate as parent_rate,
        {% endif %}
        (exposed.signs {% if level.parent %}+ {{ level.prior }} * parents.rate{% endif %})
        / (exposed.waits + exposed.unanswered + {{ level.prior }}) as rate
    from exposed
    {% if level.parent %}
    inner join rates_{{ level.parent }} as parents
        on exposed.parent_kind = parents.kind
        and exposed.parent = parents.whose
        and exposed.circle = parents.circle
        and exposed.place = parents.place
    {% endif %}
    where exposed.kind in ({{ level.kinds }})
),

-- the sum of the rates around, each hour without a mark counted by what is left of the parent's; decimals add up to the
-- same in any order: sums of doubles would turn ties at every run
spread_{{ level.name }} as (
    select
        rates.kind,
        rates.whose,
        rates.circle,
        (rates.place + kernel.step + kernel.size) % kernel.size as place,
        {% if level.parent %}
        any_value(rates.parent_kind) as parent_kind,
        any_value(rates.parent) as parent,
        any_value(rates.parent_share) as parent_share,
        {% endif %}
        sum(cast(
            kernel.weight * (rates.rate {% if level.parent %}- rates.parent_share * rates.parent_rate{% endif %})
            as decimal(18, 12)
        )) as score,
        sum(cast(kernel.weight * rates.signs as decimal(18, 6))) as signs
    from rates_{{ level.name }} as rates
    inner join kernel on rates.circle = kernel.circle
    group by rates.kind, rates.whose, rates.circle, (rates.place + kernel.step + kernel.size) % kernel.size
),

scores_{{ level.name }} as (
    select
        spread.kind,
        spread.whose,
        spread.circle,
        spread.place,
        spread.signs,
        cast(spread.score as double) {% if level.parent %}+ spread.parent_share * parents.score{% endif %} as score
    from spread_{{ level.name }} as spread
    {% if level.parent %}
    inner join scores_{{ level.parent }} as parents
        on spread.parent_kind = parents.kind
        and spread.parent = parents.whose
        and spread.circle = parents.circle
        and spread.place = parents.place
    {% endif %}
),
{% endfor %}

scores as (
    {% for level in levels %}
    select * from scores_{{ level.name }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

-- at the same rate the hour with more signs around it
ranked as (
    select
        *,
        struct_pack(score := -round(score, 9), signs := -signs, place := place) as rank
    from scores
),

best as (
    select
        kind,
        whose,
        min_by(place, rank) filter (where circle = 'day') as best_day,
        min_by(place, rank) filter (where circle = 'hour') as best_hour
    from ranked
    group by kind, whose
)

select
    best.kind,
    best.whose,
    ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'][cast(best.best_day as integer) + 1]
    || ' '
    || lpad(cast(best.best_hour as varchar), 2, '0') as best_hour,
    cast(totals.signs as integer) as evidence,
    cast(totals.messages as integer) as messages
from best
inner join totals on best.kind = totals.kind and best.whose = totals.whose
where best.whose <> '' and (best.kind = 'customer' or totals.signs >= {{ var('best_hour_least_group') }})
