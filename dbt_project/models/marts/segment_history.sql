{# Membership over time: a stay is opened when a run first sees it and closed by the first run that does not.
   Stays are keyed by when they began, so a run repeated at the same moment changes nothing. #}
-- depends_on: {{ ref('int_customers') }}
{{ config(
    materialized='incremental',
    unique_key=['segment_key', 'customer_id', 'entered_at'],
    full_refresh=false,
    cluster_by='hash(customer_id)'
) }}

{% set only_differing = only_replaced('customer_id', 'int_touched_segments', by='customer_id') %}
with

members as (
    select * from {{ ref('int_segment_members') }} where {{ only_differing }}
)

{% if is_incremental() %}
,

open_stays as (
    select * from {{ this }} where exited_at is null and {{ only_differing }}
),

ended as (
    select
        open_stays.segment_key,
        open_stays.customer_id,
        open_stays.entered_at,
        open_stays.context,
        {{ as_of() }} as exited_at,
        case
            when customers.customer_id is null then 'merged'
            when customers.deleted_at is not null then 'deleted'
            when members.customer_id is not null then 're_entered'
            else 'no_longer_matches'
        end as reason
    from open_stays
    left join members as same_stay
        on open_stays.segment_key = same_stay.segment_key
        and open_stays.customer_id = same_stay.customer_id
        and open_stays.entered_at = same_stay.entered_at
    left join members
        on open_stays.segment_key = members.segment_key and open_stays.customer_id = members.customer_id
    left join {{ ref('int_customers') }} as customers on open_stays.customer_id = customers.customer_id
    where same_stay.customer_id is null and open_stays.entered_at <= {{ as_of() }}
)
{% endif %}
,

-- what stands as it stood is not written again
news as (
    select segment_key, customer_id, entered_at, context from members
    {%- if is_incremental() %}
    except
    select segment_key, customer_id, entered_at, context from open_stays
    {%- endif %}
)

select
    segment_key,
    customer_id,
    entered_at,
    context,
    cast(null as timestamp) as exited_at,
    cast(null as varchar) as reason
from news
{% if is_incremental() %}
union all
select
    segment_key,
    customer_id,
    entered_at,
    context,
    exited_at,
    reason
from ended
{% endif %}
