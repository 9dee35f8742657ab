{# Lives in a zone where we pick up first. #}
select
    'zone_high_priority' as segment_key,
    customer_id,
    since as entered_at,
    cast(to_json(struct_pack(zone := zone, city := city)) as varchar) as context
from {{ ref('int_customer_cities') }}
where zone_priority = 'high' and {{ only_members('customer_id') }}
