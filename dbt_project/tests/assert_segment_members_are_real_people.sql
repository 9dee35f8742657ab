{# Test users and deleted accounts are in no segment and in no audience. #}
with

members as (
    select
        segment_key as list_key,
        customer_id
    from {{ ref('segment_membership') }}
    union all
    select
        audience_key,
        member_key
    from {{ ref('sync_meta_custom_audience') }}
)

select
    members.list_key,
    members.customer_id
from members
left join {{ ref('dim_customers') }} as customers on members.customer_id = customers.customer_id
where customers.customer_id is null or customers.is_test or customers.deleted_at is not null
