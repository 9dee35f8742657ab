{# Half-open intervals [valid_from, valid_to): one stage at a time, changes only, the causing activity named. #}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_customers', cluster_by='hash(customer_id)') }}
with

last_of_instant as (
    select *
    from {{ ref('int_stage_events') }}
    where {{ only_touched('customer_id') }}
    qualify
        row_number() over (
            partition by customer_id, occurred_at order by step desc, activity_id desc
        ) = 1
),

changes as (
    select
        *,
        lag(stage) over (partition by customer_id order by occurred_at) as stage_before
    from last_of_instant
    qualify stage_before is null or stage_before <> stage
)

select
    customer_id,
    stage,
    occurred_at as valid_from,
    lead(occurred_at) over (partition by customer_id order by occurred_at) as valid_to,
    activity_id
from changes
