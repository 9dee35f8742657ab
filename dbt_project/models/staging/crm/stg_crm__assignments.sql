{# No model reads it: it is here for whoever compares with the older tool's experiments. #}
{{ config(materialized='view') }}
with

assignments as (
    {{ fit_rows('crm', 'crm_assignments') }}
)

select
    {{ key_of(['contact_id', 'experiment_id']) }} as assignment_id,
    contact_id,
    experiment_id,
    arm
from assignments
where contact_id is not null and experiment_id is not null
qualify row_number() over (partition by contact_id, experiment_id order by arm) = 1
