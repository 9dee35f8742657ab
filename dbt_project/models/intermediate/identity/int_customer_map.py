"""Connected components over believed evidence, with customer ids that stay the same from run to run.

A component keeps the id that most of its identifiers had before, ties to the older one; a part that splits
off gets a new id; a component nobody knew gets an id from its oldest identifier. Only the graph is done here
(a recursive CTE dies on one shared phone); what may be believed is decided in int_identity_edges.
"""

import hashlib

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

# An account is steadier than an address, an address steadier than a device: it names a new customer.
FORMER = "former_customer"
PRIORITY = {"admin_user": 0, "phone": 1, "email": 2, "crm_contact": 3, "ga_pseudo": 4}


def label_components(node_count, left, right):
    """Return an integer component label for each of `node_count` nodes, given edges as two index arrays."""
    ones = np.ones(len(left), dtype=np.int8)
    graph = coo_matrix((ones, (left, right)), shape=(node_count, node_count))
    return connected_components(graph, directed=False)[1]


def new_customer_id(id_type, id_value):
    """Return the id a component without history gets: a hash of the identifier that names it."""
    return "c_" + hashlib.md5(f"{id_type}|{id_value}".encode()).hexdigest()[:16]  # noqa: S324


def assign_ids(labels, naming_keys, previous):
    """Give each component its customer id.

    Args:
        labels: component label of each node.
        naming_keys: (priority, first_seen, id_type, id_value) of each node; the smallest names a new component.
        previous: the customer id each node had before, or None.

    Returns:
        The customer id of each node. Two components never share one: an id that two of them held goes to the
        one with more of its identifiers, ties to the one with the smaller naming key.
    """
    members = {}
    for index, label in enumerate(labels):
        members.setdefault(int(label), []).append(index)
    claims = []
    for label, indexes in members.items():
        held = {}
        for index in indexes:
            if previous[index] is not None:
                held[previous[index]] = held.get(previous[index], 0) + 1
        name = min(naming_keys[index] for index in indexes)
        claims.extend((-count, name, customer_id, label) for customer_id, count in held.items())
    claims.sort()
    id_of, taken = {}, set()
    for _, _, customer_id, label in claims:
        if label not in id_of and customer_id not in taken:
            id_of[label] = customer_id
            taken.add(customer_id)
    for label, indexes in members.items():
        if label in id_of:
            continue
        # the naming identifier's own hash can be held by the component it split from: try the next one
        for key in sorted(naming_keys[index] for index in indexes):
            candidate = new_customer_id(key[2], key[3])
            if candidate not in taken:
                break
        else:
            candidate = new_customer_id("split", f"{candidate}|{len(taken)}")
        id_of[label] = candidate
        taken.add(candidate)
    return [id_of[int(label)] for label in labels]


def follow_former_ids(before, now, former):
    """Tell where each customer id that no longer exists went: to whoever holds most of its identifiers.

    Args:
        before: (id_type, id_value) -> customer id of the last run.
        now: the same of this run.
        former: customer ids gone in earlier runs -> where they pointed.

    Returns:
        Gone customer id -> current customer id. An id whose identifiers all vanished points nowhere and is left out.
    """
    current = set(now.values())
    votes = {}
    for key, old_id in before.items():
        if old_id not in current and key in now:
            held = votes.setdefault(old_id, {})
            held[now[key]] = held.get(now[key], 0) + 1
    gone = {old_id: max(sorted(held), key=held.get) for old_id, held in votes.items()}
    for old_id, target in former.items():
        target = gone.get(target, target)
        if target in current and old_id not in current:
            gone[old_id] = target
    return gone


def model(dbt, session):
    """Return one row an identifier: id_type, id_value, customer_id, is_shared, first_seen_at.

    Ids of customers that were merged away stay as rows of type former_customer: the redirect table.
    """
    dbt.config(materialized="table")
    nodes = (
        dbt.ref("int_identifiers")
        .project("id_type, id_value, first_seen_at, blocked_reason is not null")
        .order("id_type, id_value")
        .fetchall()
    )
    edges = (
        dbt.ref("int_identity_edges")
        .filter("is_active")
        .project("left_type, left_value, right_type, right_value")
        .fetchall()
    )
    this = dbt.this
    exists = session.execute(
        "select count(*) from information_schema.tables where table_schema = ? and table_name = ?",
        [this.schema, this.identifier],
    ).fetchone()[0]
    before, former = {}, {}
    if exists:
        rows = session.execute(
            f"select id_type, id_value, customer_id from {this.schema}.{this.identifier} "
            "where customer_id is not null"
        ).fetchall()
        before = {(row[0], row[1]): row[2] for row in rows if row[0] != FORMER}
        former = {row[1]: row[2] for row in rows if row[0] == FORMER}

    # A blocked identifier is in nobody's component: it gets no customer.
    usable = [row for row in nodes if not row[3]]
    index_of = {(row[0], row[1]): index for index, row in enumerate(usable)}
    left = np.array([index_of[(row[0], row[1])] for row in edges], dtype=np.int64)
    right = np.array([index_of[(row[2], row[3])] for row in edges], dtype=np.int64)
    labels = label_components(len(usable), left, right)
    naming_keys = [(PRIORITY[row[0]], str(row[2]), row[0], row[1]) for row in usable]
    previous = [before.get((row[0], row[1])) for row in usable]
    customer_of = dict(zip(index_of, assign_ids(labels, naming_keys, previous), strict=True))
    redirects = follow_former_ids(before, customer_of, former)
    nodes = nodes + [(FORMER, old_id, None, False) for old_id in sorted(redirects)]
    customer_of |= {(FORMER, old_id): new_id for old_id, new_id in redirects.items()}
    return pa.table(
        {
            "id_type": pa.array([row[0] for row in nodes], pa.string()),
            "id_value": pa.array([row[1] for row in nodes], pa.string()),
            "customer_id": pa.array(
                [customer_of.get((row[0], row[1])) for row in nodes], pa.string()
            ),
            "is_shared": pa.array([row[3] for row in nodes], pa.bool_()),
            "first_seen_at": pa.array([row[2] for row in nodes], pa.timestamp("us")),
        }
    )
