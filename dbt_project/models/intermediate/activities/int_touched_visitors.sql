{# Devices whose events differ from what the last complete build saw. #}
select user_pseudo_id
from ({{ touched_rows('stg_ga4__events', 'user_pseudo_id') }}) as touched
where user_pseudo_id is not null
