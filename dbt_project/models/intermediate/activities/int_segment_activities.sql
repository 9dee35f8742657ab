{# The activities that the rules of segments look for: a small part of the stream, so that no segment goes through all of it. #}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_customers', cluster_by='hash(customer_id)') }}
select
    activity_id,
    customer_id,
    activity,
    occurred_at,
    entity_id,
    value,
    platform,
    detail
from {{ part_of('int_activities') }}
where activity in ('signed_up', 'lead_created', 'quote_viewed', 'checkout_started', 'feedback_given', 'app_uninstalled')
