with

evidence as (
    select * from {{ ref('int_identity_evidence') }}
),

identifiers as (
    select * from {{ ref('int_identifiers') }}
),

names as (
    select cast(user_id as varchar) as user_id, name_key from {{ ref('stg_admin__users') }}
),

judged as (
    select
        evidence.*,
        case
            when evidence.left_type = 'admin_user' and evidence.right_type = 'admin_user'
                and (left_name.name_key = right_name.name_key) is not true
                then 'names_differ'
            else coalesce(left_side.blocked_reason, right_side.blocked_reason)
        end as blocked_reason
    from evidence
    inner join identifiers as left_side
        on evidence.left_type = left_side.id_type and evidence.left_value = left_side.id_value
    inner join identifiers as right_side
        on evidence.right_type = right_side.id_type and evidence.right_value = right_side.id_value
    left join names as left_name
        on evidence.left_type = 'admin_user' and evidence.left_value = left_name.user_id
    left join names as right_name
        on evidence.right_type = 'admin_user' and evidence.right_value = right_name.user_id
)

select
    evidence_id,
    left_type,
    left_value,
    right_type,
    right_value,
    evidence_source,
    first_seen_at,
    last_seen_at,
    statements,
    blocked_reason,
    blocked_reason is null as is_active
from judged
