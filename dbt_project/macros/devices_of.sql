{# Devices that identifiers, rows of (id_type, id_value), stand for: the devices among them, and those on which the accounts among them were
   signed in. #}
{% macro devices_of(identifiers) -%}
select id_value as user_pseudo_id
from {{ identifiers }}
where id_type = 'ga_pseudo'
union
select devices.user_pseudo_id
from {{ ref('int_ga4_devices') }} as devices
inner join {{ identifiers }} on {{ identifiers }}.id_type = 'admin_user' and devices.user_id = {{ identifiers }}.id_value
{%- endmacro %}

{# Devices on which the customers of a list may have been. Sessions and events lie by device, so that a few customers' are found by these. #}
{% macro devices_of_listed(list_name) -%}
with

identifiers as (
    select id_type, id_value
    from {{ ref('int_customer_map') }}
    where customer_id in (select customer_id from {{ ref(list_name) }})
)

{{ devices_of('identifiers') }}
{%- endmacro %}
