{# Neither planned now nor handed over ever. #}
select
    intent_key,
    arm
from {{ ref('int_planned_messages') }}
where coalesce(arm, 'none') <> 'treatment'
union all
select
    intents.intent_key,
    intents.arm
from {{ ref('int_own_messages') }} as messages
inner join {{ ref('stg_ledger__intents') }} as intents on messages.intent_key = intents.intent_key
where intents.arm in ('control', 'global_holdout')
