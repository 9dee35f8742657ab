{# Enough points for being the kind of person we want most. #}
select
    'icp_fit' as segment_key,
    customer_id,
    icp_fit_since as entered_at,
    cast(to_json(struct_pack(
        score := icp_score, zone_points := zone_points, device_points := device_points, value_points := value_points
    )) as varchar) as context
from {{ ref('int_icp_scores') }}
where icp_fit_since is not null and {{ only_members('customer_id') }}
