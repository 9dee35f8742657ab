{# The one stream, message facts of earlier runs included. A view: it is the longest table there is, and all of it stands elsewhere. #}
{{ config(materialized='view') }}
with

message_facts as (
    {% for activity, column in [
        ('message_sent', 'sent_at'), ('message_delivered', 'delivered_at'), ('message_read', 'read_at'),
        ('message_opened', 'opened_at'), ('message_clicked', 'clicked_at'), ('message_replied', 'replied_at'),
    ] %}
    select
        message_id || ':{{ activity }}' as activity_id,
        customer_id,
        '{{ activity }}' as activity,
        {{ column }} as occurred_at,
        channel as source,
        message_id as entity_id,
        journey_key as campaign
    from {{ ref('int_messages_before') }}
    where {{ column }} is not null and {{ column }} <= {{ as_of() }} and customer_id is not null
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
)

select
    activity_id,
    customer_id,
    activity,
    occurred_at,
    source,
    entity_id,
    category,
    brand,
    model,
    value,
    city,
    platform,
    campaign,
    detail,
    is_activity
from {{ ref('int_activities') }}
union all
select
    activity_id,
    customer_id,
    activity,
    occurred_at,
    source,
    entity_id,
    null,
    null,
    null,
    null,
    null,
    null,
    campaign,
    null,
    false
from message_facts
