{# Devices on which the customers of a list may have been: theirs, and those their accounts were signed in on. Sessions and events lie
   by device, so that a few customers' are found by these. #}
{% macro devices_of(list_name) -%}
with

identifiers as (
    select id_type, id_value
    from {{ ref('int_customer_map') }}
    where customer_id in (select customer_id from {{ ref(list_name) }})
)

select id_value as user_pseudo_id
from identifiers
where id_type = 'ga_pseudo'
union
select devices.user_pseudo_id
from {{ ref('int_ga4_devices') }} as devices
inner join identifiers on identifiers.id_type = 'admin_user' and devices.user_id = identifiers.id_value
{%- endmacro %}
