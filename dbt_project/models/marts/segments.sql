select
    catalogue.segment_key as key,
    catalogue.name,
    catalogue.description,
    catalogue.owner,
    cast(count(members.customer_id) as bigint) as size,
    {{ as_of() }} as as_of
from {{ ref('segment_catalogue') }} as catalogue
left join {{ ref('int_segment_members') }} as members on catalogue.segment_key = members.segment_key
group by catalogue.segment_key, catalogue.name, catalogue.description, catalogue.owner
