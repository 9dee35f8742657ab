{# What was ever said about two identifiers, and whether it is believed now. Never forgets: what no source says any more stays
   as gone, and joins nobody. A run judges what touched identifiers have to do with, and writes what is new, changed or gone. #}
{{ config(
    materialized='incremental',
    full_refresh=false,
    tracks=['left_type', 'left_value', 'right_type', 'right_value']
) }}
{#- one side at a time: of two conditions DuckDB would sift by neither #}
{% set touched_left = only_replaced('left_type, left_value', 'int_touched_identifiers', by='id_type, id_value') %}
{% set touched_right = only_replaced('right_type, right_value', 'int_touched_identifiers', by='id_type, id_value') %}
{% set is_part = is_incremental() and not flags.FULL_REFRESH %}
with

evidence as (
    select * from {{ ref('int_identity_evidence') }} where {{ touched_left }}
    {%- if is_part %}
    union
    select * from {{ ref('int_identity_evidence') }} where {{ touched_right }}
    {%- endif %}
),

identifiers as (
    select * from {{ ref('int_identifiers') }}
),

-- the type is a column: `left_type = 'admin_user'` beside it in a left join compares every pair of rows
names as (
    select 'admin_user' as id_type, cast(user_id as varchar) as user_id, name_key from {{ ref('stg_admin__users') }}
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
        on evidence.left_type = left_name.id_type and evidence.left_value = left_name.user_id
    left join names as right_name
        on evidence.right_type = right_name.id_type and evidence.right_value = right_name.user_id
),

edges as (
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
)

{%- if is_incremental() %},

held as (
    select * from {{ this }} where {{ touched_left }}
    {%- if is_part %}
    union
    select * from {{ this }} where {{ touched_right }}
    {%- endif %}
),

changed as (
    select
        edges.* replace (
            least(edges.first_seen_at, held.first_seen_at) as first_seen_at,
            greatest(edges.last_seen_at, held.last_seen_at) as last_seen_at,
            greatest(edges.statements, held.statements) as statements
        )
    from edges
    left join held on edges.evidence_id = held.evidence_id
    where
        held.evidence_id is null
        or held.blocked_reason is distinct from edges.blocked_reason
        or edges.first_seen_at < held.first_seen_at
        or edges.last_seen_at > held.last_seen_at
        or edges.statements > held.statements
),

gone as (
    select held.* replace ('gone' as blocked_reason, false as is_active)
    from held
    left join edges on held.evidence_id = edges.evidence_id
    where edges.evidence_id is null and held.blocked_reason is distinct from 'gone'
)

select * from changed
union all
select * from gone
{%- else %}

select * from edges
{%- endif %}
