{# Whose reach at the beginning of their entries an hourly run works out again: whose entries, addresses or consent differ from what
   the last complete build saw, and who shares an address with somebody who opted out, or no longer does. #}
with

addresses as (
    select address
    from ({{ touched_rows('int_shared_opt_outs', 'address') }}) as touched
    union
    select unit
    from ({{ changed_units(['ledger_suppressions']) }}) as changes
)

select customer_id
from ({{ touched_rows('int_journey_windows', 'customer_id') }}) as touched
union
select customer_id
from ({{ touched_rows('int_customers', 'customer_id') }}) as touched
union
select customer_id
from ({{ touched_rows('int_addresses', 'customer_id') }}) as touched
union
select customer_id
from ({{ touched_rows('int_consent_intervals', 'customer_id') }}) as touched
union
select given.customer_id
from {{ ref('int_addresses') }} as given
inner join addresses on given.address = addresses.address
