{# Devices whose sessions an hourly run does again: their events changed, or whose they are. On a shared device the account says
   whose a session is, so a changed account is a reason too. #}
with

changed_identifiers as (
    {{ touched_rows('int_customer_map', 'id_type, id_value') }}
)

select user_pseudo_id
from {{ ref('int_touched_visitors') }}
union
select id_value
from changed_identifiers
where id_type = 'ga_pseudo'
union
select devices.user_pseudo_id
from {{ ref('int_ga4_devices') }} as devices
inner join changed_identifiers on changed_identifiers.id_type = 'admin_user' and devices.user_id = changed_identifiers.id_value
