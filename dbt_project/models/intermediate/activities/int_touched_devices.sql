{# Devices whose sessions an hourly run does again: their events changed, or whose they are. On a shared device the account says
   whose a session is, so a changed account is a reason too. #}
with

changed_identifiers as (
    {{ touched_rows('int_customer_map', 'id_type, id_value') }}
)

select user_pseudo_id
from {{ ref('int_touched_visitors') }}
union
{{ devices_of('changed_identifiers') }}
