select
    evidence.evidence_id,
    evidence.left_type,
    evidence.left_value,
    evidence.right_type,
    evidence.right_value,
    evidence.evidence_source,
    evidence.first_seen_at,
    evidence.last_seen_at,
    evidence.statements,
    coalesce(left_side.blocked_reason, right_side.blocked_reason) as blocked_reason,
    left_side.blocked_reason is null and right_side.blocked_reason is null as is_active
from {{ ref('int_identity_evidence') }} as evidence
inner join {{ ref('int_identifiers') }} as left_side
    on evidence.left_type = left_side.id_type and evidence.left_value = left_side.id_value
inner join {{ ref('int_identifiers') }} as right_side
    on evidence.right_type = right_side.id_type and evidence.right_value = right_side.id_value
