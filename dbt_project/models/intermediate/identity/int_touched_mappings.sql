{# Whom an hourly run maps anew: touched identifiers, both ends of touched edges, what waits for somebody to look, and every
   identifier, gone ids too, of the customers these were of. Edges that join anybody lead nowhere else. #}
{% set held = held_relation('int_customer_map') if execute and not flags.FULL_REFRESH %}
with

edges as (
    {{ touched_rows('int_identity_edges', 'left_type, left_value, right_type, right_value') }}
),

touched as (
    select id_type, id_value
    from {{ ref('int_touched_identifiers') }}
    union
    select left_type, left_value
    from edges
    union
    select right_type, right_value
    from edges
    {%- if held %}
    union
    select id_type, id_value
    from {{ held }}
    where is_waiting
    {%- endif %}
)

select id_type, id_value
from touched
{%- if held %}
union
select id_type, id_value
from {{ held }}
where
    customer_id in (
        select held.customer_id
        from {{ held }} as held
        inner join touched on held.id_type = touched.id_type and held.id_value = touched.id_value
    )
{%- endif %}
