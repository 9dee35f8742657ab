{{ config(
    materialized='incremental',
    replaced_by='order_id',
    replaced_units='admin_feedback',
    later_by=['created_at'],
    tracks=['order_id']
) }}
with

feedback as (
    {{ fit_rows('admin', 'admin_feedback', part=only_changed()) }}
),

cleaned as (
    select distinct
        order_id,
        rating,
        {{ utc_from_local_text('created_at') }} as created_at
    from feedback
    where order_id is not null
)

select
    {{ key_of(['order_id', 'rating', 'created_at']) }} as feedback_id,
    order_id,
    rating,
    created_at
from cleaned
where created_at <= {{ as_of() }}
