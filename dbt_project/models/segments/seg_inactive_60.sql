{# Days since the last activity reached the threshold. #}
select
    'inactive_60' as segment_key,
    customer_id,
    {{ dbt.dateadd('day', var('inactive_after_days'), 'last_activity_at') }} as entered_at,
    cast(to_json(struct_pack(
        last_activity_at := last_activity_at,
        days_silent := cast(floor({{ hours_between('last_activity_at', as_of()) }} / 24) as integer)
    )) as varchar) as context
from {{ ref('int_customers') }}
where {{ dbt.dateadd('day', var('inactive_after_days'), 'last_activity_at') }} <= {{ as_of() }}
