{# Of high value by payouts, and a repeat seller. #}
select
    'vip' as segment_key,
    high_value.customer_id,
    greatest(high_value.entered_at, repeat_sellers.entered_at) as entered_at,
    high_value.context
from {{ ref('seg_value_high_user') }} as high_value
inner join {{ ref('seg_repeat_sellers') }} as repeat_sellers on high_value.customer_id = repeat_sellers.customer_id
where {{ only_members('high_value.customer_id') }}
