{# Quotes that an hourly run reads again. #}
select try_cast(unit as bigint) as quote_id
from ({{ changed_units(['admin_quotes']) }}) as changes
union
select quote_id
from {{ source('admin', 'admin_quotes') }}
where {{ may_be_later('created_at') }}
