{# Who is active now, and since when without a gap as long as the one that ends it. #}
{{ config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_customers') }}
with

activities as (
    select
        customer_id,
        occurred_at as happened_at
    from {{ part_of('int_activities') }}
    where is_activity
),

changes as (
    {{ within_days('activities', var('cooling_after_days')) }}
),

standings as (
    {{ standing_since('changes', 'level >= 1') }}
)

select
    customer_id,
    entered_at as active_since
from standings
where standing
