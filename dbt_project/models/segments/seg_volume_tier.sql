{# Had promotion not long ago, or said no to it: how much of it they bear. #}
select
    'volume_tier' as segment_key,
    customer_id,
    tier_since as entered_at,
    cast(to_json(struct_pack(
        tier := volume_tier, weekly_cap := weekly_cap, delivered := delivered, engaged := engaged, opt_outs := opt_outs
    )) as varchar) as context
from {{ ref('int_volume_tiers') }}
where {{ only_members('customer_id') }}
