{# One row a message of ours or of the old tool, this run's sends included. A view: all of it stands elsewhere. #}
{{ config(materialized='view', tags=['after_send']) }}

select
    message_id,
    intent_key,
    customer_id,
    journey_key,
    entry_key,
    step_key,
    channel,
    purpose,
    template_id,
    variant,
    sent_at,
    delivered_at,
    read_at,
    opened_at,
    clicked_at,
    replied_at,
    failed_at,
    failure_class,
    opted_out_at,
    cost,
    is_unconfirmed,
    'own' as tool
from {{ ref('int_own_messages') }}
where run_as_of <= {{ as_of() }}
union all
select
    message_id,
    cast(null as varchar) as intent_key,
    customer_id,
    journey_key,
    entry_key,
    cast(null as varchar) as step_key,
    channel,
    purpose,
    template_id,
    variant,
    sent_at,
    delivered_at,
    read_at,
    opened_at,
    clicked_at,
    replied_at,
    failed_at,
    failure_class,
    opted_out_at,
    cost,
    false as is_unconfirmed,
    'old_tool' as tool
from {{ ref('int_crm_messages') }}
