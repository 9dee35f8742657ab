{{ config(materialized='view') }}

select
    id_type,
    id_value,
    customer_id,
    is_shared
from {{ ref('int_customer_map') }}
where id_type <> 'former_customer'
