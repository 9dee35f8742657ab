{# Since when each customer has stood where they stand, from facts alone: no run has to have watched.

   `changes` is a relation with (customer_id, happened_at, change); a customer's level at a moment is the sum of the changes up
   to it. `standing` is an expression of `level`, never NULL. Returns one row a customer: level and standing now, and
   entered_at, when the present standing began. Changes after `now`, the run's moment unless told, are the future and do not count. #}
{% macro standing_since(changes, standing, now=none) %}
    select
        customer_id,
        max_by(level, happened_at) as level,
        max_by(standing, happened_at) as standing,
        max(happened_at) filter (where is_new) as entered_at
    from (
        select
            customer_id,
            happened_at,
            level,
            standing,
            coalesce(
                standing <> lag(standing) over (partition by customer_id order by happened_at), true
            ) as is_new
        from (
            select
                customer_id,
                happened_at,
                level,
                {{ standing }} as standing
            from (
                select
                    customer_id,
                    happened_at,
                    sum(sum(change)) over (partition by customer_id order by happened_at) as level
                from {{ changes }}
                where happened_at <= {{ now or as_of() }}
                group by customer_id, happened_at
            ) as levels
        ) as judged
    ) as marked
    group by customer_id
{% endmacro %}

{# Events as changes of how many lie within the last `days` days: each counts from its moment until it is that old. #}
{% macro within_days(events, days, change='1') %}
    select
        customer_id,
        happened_at,
        {{ change }} as change
    from {{ events }}
    union all
    select
        customer_id,
        {{ dbt.dateadd('day', days, 'happened_at') }} as happened_at,
        -1 * {{ change }} as change
    from {{ events }}
{% endmacro %}
