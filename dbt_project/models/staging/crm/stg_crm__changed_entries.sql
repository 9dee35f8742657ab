{# Journey entries of the older tool that an hourly run reads again. #}
select try_cast(unit as bigint) as entry_id
from ({{ changed_units(['crm_journey_entries']) }}) as changes
union
select entry_id
from {{ source('crm', 'crm_journey_entries') }}
where {{ may_be_later('entered_at') }}
