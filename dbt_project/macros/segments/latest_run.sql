{# The value each customer's events showed last, and since when they have shown it without another between.

   `events` is a relation with (customer_id, happened_at, `value`, further `keys`). Returns one row a customer (and keys):
   the value, since, last_at, and runs, how many unbroken runs there were. #}
{% macro latest_run(events, value, keys=[]) %}
    {%- set grain = (['customer_id'] + keys) | join(', ') %}
    select
        {{ grain }},
        max_by({{ value }}, position) as {{ value }},
        max_by(happened_at, position) filter (where is_new) as since,
        max(happened_at) as last_at,
        count(*) filter (where is_new) as runs
    from (
        select
            *,
            row_number() over (partition by {{ grain }} order by happened_at, {{ value }}) as position,
            coalesce(
                {{ value }} <> lag({{ value }}) over (partition by {{ grain }} order by happened_at, {{ value }}), true
            ) as is_new
        from {{ events }}
        where {{ value }} is not null and happened_at <= {{ as_of() }}
    ) as numbered
    group by {{ grain }}
{% endmacro %}
