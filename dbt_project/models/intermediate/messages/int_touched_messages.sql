{# Messages of the older tool that an hourly run puts together again: their rows changed, or whose they are. #}
select
    'crm:' || message_id as message_id,
    message_id as crm_message_id
from {{ ref('stg_crm__changed_messages') }}
union
select
    'crm:' || messages.message_id,
    messages.message_id
from {{ ref('stg_crm__messages') }} as messages
inner join ({{ touched_rows('int_customer_map', 'id_type, id_value') }}) as contacts
    on contacts.id_type = 'crm_contact' and messages.contact_id = contacts.id_value
