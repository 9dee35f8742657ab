{# Days (UTC) in which quotes and the events they are matched to may pair differently: a pair lies within one second. #}
{{ config(materialized='view') }}
with

changed_quotes as (
    {{ touched_rows('stg_admin__quotes', 'created_at') }}
),

changed_dates as (
    select * from {{ ref('stg_ga4__changed_dates') }}
)

select cast(created_at as date) as quoted_on
from changed_quotes
{% for days in [-1, 0, 1] %}
union
-- a date of the export is of the property's zone
select event_date + {{ days }}
from changed_dates
{% endfor %}
