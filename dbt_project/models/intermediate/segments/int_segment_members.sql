{# Every segment's members. Segments that look at the other segments stand here, all others in int_segment_matches.
   Test users are in no segment: a segment is what a marketer counts. An expired one has nobody. #}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_segments', cluster_by='hash(customer_id)') }}
{% set segments = [
    'silent',
] %}

with

members as (
    select
        segment_key,
        customer_id,
        entered_at,
        context
    from {{ ref('int_segment_matches') }}
    where {{ only_replaced('customer_id', 'int_touched_segments') }}
    {% for segment in segments %}
    union all
    select
        segment_key,
        customer_id,
        entered_at,
        context
    from {{ ref('seg_' ~ segment) }}
    where {{ only_replaced('customer_id', 'int_touched_segments') }}
    {% endfor %}
)

select
    members.segment_key,
    members.customer_id,
    members.entered_at,
    members.context
from members
inner join {{ ref('int_customers') }} as customers on members.customer_id = customers.customer_id
inner join {{ ref('segment_catalogue') }} as catalogue on members.segment_key = catalogue.segment_key
where not customers.is_test and customers.deleted_at is null and not {{ has_expired('catalogue.expires_on') }}
