{# What each customer's consent is now and since when, statements that only repeat it left out. #}
{{ config(
    materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_consents',
    tracks=['customer_id'],
    cluster_by='hash(customer_id)'
) }}
with

statements as (
    select
        customer_id,
        channel,
        purpose,
        status,
        valid_from as happened_at
    from {{ ref('int_consent_intervals') }}
    where {{ only_replaced('customer_id', 'int_touched_consents') }}
),

runs as (
    {{ latest_run('statements', 'status', keys=['channel', 'purpose']) }}
)

select
    customer_id,
    channel,
    purpose,
    status,
    since,
    runs > 1 as is_changed
from runs
