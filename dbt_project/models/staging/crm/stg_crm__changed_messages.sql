{# Messages of the older tool that an hourly run reads again: theirs, or their events' or their entry's rows changed, or may have
   lain in the future of the last build. #}
select unit as message_id
from ({{ changed_units(['crm_messages', 'crm_channel_events']) }}) as changes
union
select message_id
from {{ source('crm', 'crm_messages') }}
where {{ may_be_later('sent_at') }}
union
select message_id
from {{ source('crm', 'crm_channel_events') }}
where {{ may_be_later('received_at') }}
union
select message_id
from {{ source('crm', 'crm_channel_events') }}
where ts_epoch_ms > (select epoch_ms(as_of) from {{ last_build() }} as last_build)
union
select messages.message_id
from {{ source('crm', 'crm_messages') }} as messages
inner join {{ ref('stg_crm__changed_entries') }} as entries on messages.entry_id = entries.entry_id
