{# The language each customer's devices speak: that of the latest session, and since when it has been that one. #}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_customers') }}
with

spoken as (
    select
        customer_id,
        started_at as happened_at,
        language
    from {{ own_visits() }}
    where customer_id is not null
),

runs as (
    {{ latest_run('spoken', 'language') }}
)

select
    customer_id,
    language,
    since
from runs
