{{ config(materialized='view') }}

select
    segment_key,
    customer_id,
    entered_at,
    context
from {{ ref('int_segment_members') }}
