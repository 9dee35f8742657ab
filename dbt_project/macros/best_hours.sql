{# The arithmetic of best hours, for the common ones and for each person's: within the row, a circle's hours or days as lists.

   Hour and day are judged apart and put together. Half the people of the example company engaged seven times or less: on
   the 168 hours of a week that is one sign in 24 of them, on the day's 24 hours one in three. The hours lie on a circle and each
   sign speaks for its neighbours too, by a normal curve of best_hour_kernel_hours around it: at 1.5 an hour off counts 0.80, two
   hours 0.41, three 0.14. A reader answers within minutes or a few hours (median 11 and 63 minutes in two companies), so that is
   as sharp as the signs are. Days are no circle to be smoothed on: Saturday is not like Friday.

   An hour's rate is shrunk before it speaks for its neighbours: a person's towards that of their city, a city's towards everybody's,
   as if best_hour_prior_messages messages had waited there as they do. #}

{# From the places of a circle, a row each, to a row a circle. `cells` has kind, whose, circle, place, waits and signs, with the circle
   'all' among them. #}
{% macro best_hour_circles(cells) %}
    select
        places.kind,
        places.whose,
        places.circle,
        -- by day every message is a wait already; by hour those without a sign waited through all hours
        any_value(case places.circle when 'hour' then totals.waits - totals.signs else 0 end) as unanswered,
        list(places.place) as places,
        list(places.waits) as waits,
        list(places.signs) as signs
    from {{ cells }} as places
    inner join {{ cells }} as totals on places.kind = totals.kind and places.whose = totals.whose
    where places.circle <> 'all' and totals.circle = 'all'
    group by places.kind, places.whose, places.circle
{% endmacro %}

{# For each circle and place of it, how much each other place speaks for it. #}
{% macro best_hour_kernels() %}
    select
        circle,
        list(weight order by place) as weights,
        count(*) as size
    from (
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
    ) as weighted
    group by circle
{% endmacro %}

{# Signs per message that waited, for each place of each circle. With `parents`, which have circle and rates, shrunk towards them;
   `of_parent` says whose parent a row is, of `circles` and `parents`. #}
{% macro best_hour_rates(circles, parents=none, of_parent=none) %}
    {%- set prior = var('best_hour_prior_messages') if parents else 0 %}
    select
        circles.kind,
        circles.whose,
        circles.circle,
        circles.places,
        list_transform(
            range(kernels.size),
            lambda place: (
                coalesce(circles.signs[list_position(circles.places, place)], 0)
                {% if parents %}+ {{ prior }} * parents.rates[place + 1]{% endif %}
            )
            / greatest(
                coalesce(circles.waits[list_position(circles.places, place)], 0) + circles.unanswered + {{ prior }}, 1
            )
        ) as rates
    from {{ circles }} as circles
    inner join kernels on circles.circle = kernels.circle
    {% if parents %}
    inner join {{ parents }} as parents on circles.circle = parents.circle and {{ of_parent }}
    {% endif %}
{% endmacro %}

{# The best day and hour by the rates of their circles, as Tue 19. #}
{% macro best_hour_of(rates) %}
    select
        kind,
        whose,
        ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'][any_value(best_place) filter (where circle = 'day')]
        || ' ' || lpad(cast(any_value(best_place) filter (where circle = 'hour') - 1 as varchar), 2, '0') as best_hour
    from (
        select
            kind,
            whose,
            circle,
            list_position(scores, list_max(scores)) as best_place
        from (
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
            from {{ rates }} as rates
            inner join kernels on rates.circle = kernels.circle
        ) as scored
    ) as best
    group by kind, whose
{% endmacro %}
