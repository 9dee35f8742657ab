{# Removed the app, did not come back to it, and can be reached by another channel. #}
with

customers as (
    select * from {{ ref('dim_customers') }}
    where (reachable_whatsapp or reachable_sms or reachable_email) and {{ only_members('customer_id') }}
),

app_use as (
    select customer_id, last_app_use_at
    from {{ ref('int_customers') }}
    where {{ only_members('customer_id') }}
),

uninstalls as (
    select customer_id, occurred_at, platform
    from {{ ref('int_segment_activities') }}
    where activity = 'app_uninstalled' and {{ only_members('customer_id') }}
)

select
    'uninstalled' as segment_key,
    customers.customer_id,
    min(uninstalls.occurred_at) as entered_at,
    cast(to_json(struct_pack(
        platform := max_by(uninstalls.platform, struct_pack(at := uninstalls.occurred_at, platform := uninstalls.platform)),
        last_used_at := max(app_use.last_app_use_at)
    )) as varchar) as context
from uninstalls
inner join customers on uninstalls.customer_id = customers.customer_id
left join app_use on uninstalls.customer_id = app_use.customer_id
where coalesce(uninstalls.occurred_at >= app_use.last_app_use_at, true)
group by customers.customer_id
