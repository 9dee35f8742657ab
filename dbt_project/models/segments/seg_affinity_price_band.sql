{# Looked at prices in the category they like most. #}
select
    'affinity_price_band' as segment_key,
    customer_id,
    since as entered_at,
    cast(to_json(struct_pack(
        category := category, price_from := price_from, price_to := price_to, looks := looks
    )) as varchar) as context
from {{ ref('int_price_bands') }}
where {{ only_members('customer_id') }}
