{# Two ends of believed evidence belong to one customer. If they do not, this run would have merged suspiciously many
   customers and kept the mapping of before: look at what is new in int_identity_edges, then run with --accept-merges. #}
{{ config(severity='warn') }}

select
    edges.evidence_id,
    left_side.customer_id as left_customer_id,
    right_side.customer_id as right_customer_id
from {{ ref('int_identity_edges') }} as edges
left join {{ ref('int_customer_map') }} as left_side
    on edges.left_type = left_side.id_type and edges.left_value = left_side.id_value
left join {{ ref('int_customer_map') }} as right_side
    on edges.right_type = right_side.id_type and edges.right_value = right_side.id_value
where edges.is_active and left_side.customer_id is distinct from right_side.customer_id
