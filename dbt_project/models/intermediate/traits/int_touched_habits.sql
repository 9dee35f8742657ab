{# Whose best hour an hourly run works out again: whose messages, signs or city may differ from what the last complete build saw, and
   everybody who is shrunk towards what differs. Too many is harmless. #}
with

priors as (
    select whose
    from ({{ touched_rows('int_common_hours', 'kind, whose') }}) as touched
    where kind = 'prior'
)

select customer_id from {{ ref('int_touched_readers') }}
union
select customer_id from {{ ref('int_touched_customers') }}
union
select cells.customer_id
from {{ ref('int_hour_cells') }} as cells
-- the people of no known city are one of their own
inner join priors on cells.city = priors.whose
where cells.circle = 'all' and cells.signs >= {{ var('best_hour_least_engagements') }}
