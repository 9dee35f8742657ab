{# Where a person first came from, and where they last came from other than directly. #}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_customers') }}
with

visits as (
    select
        customer_id,
        -- one visit says all of it: its source, medium and campaign belong together
        struct_pack(
            at := started_at, source := utm_source, medium := utm_medium, campaign := utm_campaign, channel_group := channel_group
        ) as touch,
        struct_pack(at := started_at, session_key := session_key) as moment,
        struct_pack(is_brought := channel_group <> 'Direct', at := started_at, session_key := session_key) as moment_brought
    from {{ own_visits() }}
    where customer_id is not null
),

touches as (
    select
        customer_id,
        min_by(touch, moment) as first_touch,
        max_by(touch, moment_brought) as last_touch
    from visits
    group by customer_id
)

-- fields of a struct, not columns of a table
-- noqa: disable=RF01
select
    touches.customer_id,
    touches.first_touch.at as first_touch_at,
    touches.first_touch.source as first_source,
    touches.first_touch.medium as first_medium,
    touches.first_touch.campaign as first_campaign,
    touches.first_touch.channel_group as first_channel_group,
    groups.acquisition,
    touches.last_touch.at as last_touch_at,
    touches.last_touch.source as last_source,
    touches.last_touch.medium as last_medium,
    touches.last_touch.campaign as last_campaign,
    touches.last_touch.channel_group as last_channel_group
from touches
left join {{ ref('acquisition_groups') }} as groups on touches.first_touch.channel_group = groups.channel_group
-- noqa: enable=RF01
