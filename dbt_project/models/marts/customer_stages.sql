{{ config(materialized='view') }}

select
    customer_id,
    stage,
    valid_from,
    valid_to,
    activity_id
from {{ ref('int_customer_stages') }}
