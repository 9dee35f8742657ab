"""Connected components over believed evidence, with customer ids that stay the same from run to run.

A component keeps the id that most of its identifiers had before, ties to the older one; a part that splits off gets
a new id; a component nobody knew gets an id from its steadiest identifier. When a run would merge suspiciously many
customers it merges none: yesterday's mapping stays until somebody looked. Only the graph is done in Python (a
recursive CTE dies on one shared phone), and nothing here loops over identifiers: ten million edges are joined,
labelled and named as columns. What may be believed is decided in int_identity_edges.
"""

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

# An account is steadier than an address, an address steadier than a device: it names a new customer.
PRIORITY = ("admin_user", "phone", "email", "crm_contact", "ga_pseudo")
FORMER = "former_customer"

# One row an identifier that may join people, numbered from 0.
NODES = """
create or replace temp table node as
select
    cast(row_number() over () - 1 as integer) as node,
    identifiers.id_type,
    identifiers.id_value,
    identifiers.first_seen_at,
    before.customer_id as held_id
from identifier as identifiers
left join before using (id_type, id_value)
where not identifiers.is_blocked
"""

EDGES = """
select left_node.node as left_node, right_node.node as right_node
from edge
inner join node as left_node on edge.left_type = left_node.id_type and edge.left_value = left_node.id_value
inner join node as right_node on edge.right_type = right_node.id_type and edge.right_value = right_node.id_value
"""

MEMBERS = """
create or replace temp table member as
select labels.label, node.* exclude (node)
from node
inner join labels using (node)
"""

# Several customers of the last run in one component now, or one of theirs in several: who keeps which id.
NAMES = f"""
create or replace temp table component as
with

claims as (
    select held_id, label, count(*) as held, min(first_seen_at) as held_since
    from member
    where held_id is not null
    group by held_id, label
),

-- an id that two components hold goes to the one with more of its identifiers
won as (
    select *
    from claims
    qualify row_number() over (partition by held_id order by held desc, held_since, label) = 1
),

-- a component that won several keeps the larger customer's, then the older one's
kept as (
    select label, held_id
    from won
    qualify row_number() over (partition by label order by held desc, held_since, held_id) = 1
),

-- the steadiest identifier names a component that keeps none; one text to compare is the cheapest minimum
unnamed as (
    select
        label,
        min(concat(
            list_position({list(PRIORITY)}, id_type), '|', epoch_us(first_seen_at), '|', id_type, '|', id_value
        )) as namer
    from member
    where label not in (select label from kept)
    group by label
)

select label, held_id as customer_id, false as is_new
from kept
union all
select label, 'c_' || left(md5(regexp_replace(namer, '^[^|]*[|][^|]*[|]', '')), 16), true
from unnamed
"""

TAKEN = """
select fresh.customer_id
from component as fresh
inner join component as kept on fresh.customer_id = kept.customer_id and not kept.is_new
where fresh.is_new
"""

# Where each id that is gone went: to whoever holds most of its identifiers. Older redirects follow.
REDIRECTS = """
create or replace temp table redirect as
with

living as (
    select distinct customer_id from component
),

gone as (
    select member.held_id as former_id, component.customer_id
    from member
    inner join component using (label)
    where member.held_id is not null and member.held_id not in (select customer_id from living)
    group by member.held_id, component.customer_id
    qualify row_number() over (partition by member.held_id order by count(*) desc, component.customer_id) = 1
),

followed as (
    select
        former.former_id,
        coalesce(gone.customer_id, former.customer_id) as customer_id
    from former
    left join gone on former.customer_id = gone.former_id
)

select * from gone
union all
select *
from followed
where
    customer_id in (select customer_id from living)
    and former_id not in (select customer_id from living)
    and former_id not in (select former_id from gone)
"""

RESULT = f"""
select member.id_type, member.id_value, component.customer_id, false as is_shared, member.first_seen_at
from member
inner join component using (label)
union all
select id_type, id_value, null, true, first_seen_at
from identifier
where is_blocked
union all
select '{FORMER}', former_id, customer_id, false, null
from redirect
"""
RESULT_SHAPE = "select '' as id_type, '' as id_value, '' as customer_id limit 0"


def label_components(node_count, left, right):
    """Return an integer component label for each of `node_count` nodes, given edges as two index arrays."""
    ones = np.ones(len(left), dtype=np.int8)
    graph = coo_matrix((ones, (left, right)), shape=(node_count, node_count))
    return connected_components(graph, directed=False)[1]


def keep_mapping(node_count, left, right, held):
    """Return labels that merge no two customers of the last run; a newcomer joins where only one customer claims it.

    Args:
        node_count: number of nodes.
        left: index of one end of each edge.
        right: index of the other end.
        held: for each node the number (from 0) of the customer it had, -1 for a newcomer.
    """
    is_new = held < 0
    among_new = is_new[left] & is_new[right]
    group = label_components(node_count, left[among_new], right[among_new])
    labels = np.where(is_new, held.max(initial=-1) + 1 + group, held)
    crossing = is_new[left] != is_new[right]
    newcomer = np.where(is_new[left], left, right)[crossing]
    customer = held[np.where(is_new[left], right, left)[crossing]]
    pairs = np.unique(np.column_stack([group[newcomer], customer]), axis=0)
    groups, first, claims = np.unique(pairs[:, 0], return_index=True, return_counts=True)
    target = np.full(group.max(initial=-1) + 1, -1)
    target[groups[claims == 1]] = pairs[first[claims == 1], 1]
    return np.where(is_new & (target[group] >= 0), target[group], labels)


def name_components(session, labels):
    """Create `member` and `component` from a label for each node; returns how many customers would be gone."""
    numbers = pa.table({"node": np.arange(len(labels), dtype=np.int32), "label": labels})
    session.register("labels", numbers)
    session.execute(MEMBERS)
    session.unregister("labels")
    session.execute(NAMES)
    # A part that split off may be named by the identifier that once named the whole: it gets a name of its own.
    while session.execute(TAKEN).fetchone() is not None:
        session.execute(
            f"update component set customer_id = 'c_' || left(md5('split|' || customer_id), 16) "
            f"where is_new and customer_id in ({TAKEN})"
        )
    return session.execute(
        "select (select count(distinct held_id) from member) - (select count(*) from component where not is_new)"
    ).fetchone()[0]


def build_map(session, most_merges=None):
    """Join identifiers into customers.

    Args:
        session: DuckDB connection that sees `identifier` (id_type, id_value, first_seen_at, is_blocked), `edge`
            (left_type, left_value, right_type, right_value: believed, both sides in `identifier` and not blocked),
            `before` (id_type, id_value, customer_id of the last run) and `former` (former_id, customer_id).
        most_merges: when more customers than this would be merged away at once, nobody is: something upstream
            broke, and a wrong merge sends one person's mail to another. None merges whatever is believed.

    Returns:
        A relation, one row an identifier and one a redirect: id_type, id_value, customer_id, is_shared, first_seen_at.
    """
    session.execute(NODES)
    count = session.execute("select count(*) from node").fetchone()[0]
    edges = session.execute(EDGES).fetchnumpy()
    left, right = np.asarray(edges["left_node"]), np.asarray(edges["right_node"])
    merged_away = name_components(session, label_components(count, left, right))
    if most_merges is not None and merged_away > most_merges:
        held = session.execute(
            "select coalesce(dense_rank() over (order by held_id nulls last) - 1, 0) as number, "
            "held_id is null as is_new from node order by node"
        ).fetchnumpy()
        numbers = np.where(held["is_new"], -1, held["number"])
        name_components(session, keep_mapping(count, left, right, numbers))
    session.execute(REDIRECTS)
    return session.sql(RESULT)


def model(dbt, session):
    """Return one row an identifier: id_type, id_value, customer_id, is_shared, first_seen_at.

    Ids of customers that were merged away stay as rows of type former_customer: the redirect table.
    """
    dbt.config(materialized="table", tracks=["id_type", "id_value", "customer_id"])
    this = dbt.this
    exists = session.execute(
        "select count(*) from information_schema.tables where table_schema = ? and table_name = ?",
        [this.schema, this.identifier],
    ).fetchone()[0]
    last = f"{this.schema}.{this.identifier}" if exists else f"({RESULT_SHAPE})"
    identifiers = dbt.ref("int_identifiers").project(
        "id_type, id_value, first_seen_at, blocked_reason is not null as is_blocked"
    )
    session.register("identifier", identifiers)
    session.register("edge", dbt.ref("int_identity_edges").filter("is_active"))
    session.execute(
        f"create or replace temp table before as select id_type, id_value, customer_id from {last} "
        f"where customer_id is not null and id_type <> '{FORMER}'"
    )
    session.execute(
        f"create or replace temp table former as select id_value as former_id, customer_id from {last} "
        f"where id_type = '{FORMER}'"
    )
    few, share, accept_all = (
        dbt.ref("int_identity_limits")
        .project("alarm_merges, alarm_share, accept_merges")
        .fetchone()
    )
    customers = session.execute("select count(distinct customer_id) from before").fetchone()[0]
    return build_map(session, None if accept_all else max(few, int(share * customers)))
