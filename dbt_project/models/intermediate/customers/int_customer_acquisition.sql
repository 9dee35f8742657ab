{# Where a person first came from, and where they last came from other than directly. #}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_customers') }}
with

visits as (
    select
        customer_id,
        started_at,
        session_key,
        utm_source,
        utm_medium,
        utm_campaign,
        channel_group,
        row_number() over (partition by customer_id order by started_at, session_key) as nth,
        row_number() over (
            partition by customer_id order by channel_group = 'Direct', started_at desc, session_key desc
        ) as nth_back
    from {{ ref('int_ga4_sessions') }}
    where customer_id is not null and {{ only_touched('customer_id') }}
),

touches as (
    select
        customer_id,
        max(case when nth = 1 then started_at end) as first_touch_at,
        max(case when nth = 1 then utm_source end) as first_source,
        max(case when nth = 1 then utm_medium end) as first_medium,
        max(case when nth = 1 then utm_campaign end) as first_campaign,
        max(case when nth = 1 then channel_group end) as first_channel_group,
        max(case when nth_back = 1 then started_at end) as last_touch_at,
        max(case when nth_back = 1 then utm_source end) as last_source,
        max(case when nth_back = 1 then utm_medium end) as last_medium,
        max(case when nth_back = 1 then utm_campaign end) as last_campaign,
        max(case when nth_back = 1 then channel_group end) as last_channel_group
    from visits
    group by customer_id
)

select
    touches.customer_id,
    touches.first_touch_at,
    touches.first_source,
    touches.first_medium,
    touches.first_campaign,
    touches.first_channel_group,
    groups.acquisition,
    touches.last_touch_at,
    touches.last_source,
    touches.last_medium,
    touches.last_campaign,
    touches.last_channel_group
from touches
left join {{ ref('acquisition_groups') }} as groups on touches.first_channel_group = groups.channel_group
