select
    id_value as former_customer_id,
    customer_id
from {{ ref('int_customer_map') }}
where id_type = 'former_customer'
