"""Connected components over believed evidence, with customer ids that stay the same from run to run.

A component keeps the id that most of its identifiers had before, ties to the older one; a part that splits off gets
a new id; a component nobody knew gets an id from its steadiest identifier. When a run would merge suspiciously many
customers it merges none: yesterday's mapping stays until somebody looked. What may be believed is decided in
int_identity_edges. Only the graph is done in Python (a recursive CTE dies on one shared phone), and nothing here loops
over identifiers or joins edges to them as text: they are numbered by 64-bit hashes, which are proven to differ.
"""

from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

# An account is steadier than an address, an address steadier than a device: it names a new customer.
PRIORITY = ("admin_user", "phone", "email", "crm_contact", "ga_pseudo")
FORMER = "former_customer"

# Of one run alone: another version of DuckDB may hash otherwise. If two identifiers get the same, the next is tried.
KEYS = (
    "hash({side}type, {side}value)",
    "hash(concat('a|', {side}type, '|', {side}value))",
    "hash(concat('b|', {side}type, '|', {side}value))",
)

MEMBERS = """
select
    identifiers.id_type,
    identifiers.id_value,
    identifiers.first_seen_at,
    before.customer_id as held_id,
    {key} as key
from identifier as identifiers
left join before using (id_type, id_value)
where not identifiers.is_blocked
"""

SHARED = "select id_type, id_value, first_seen_at from identifier where is_blocked"

# Several customers of the last run in one component now, or one of theirs in several: who keeps which id.
CLAIMS = """
with

claims as (
    select held, label, count(*) as members, min(first_seen_at) as held_since, min(key) as first_key
    from holding
    group by held, label
),

-- an id that two components hold goes to the one with more of its identifiers
won as (
    select *
    from claims
    qualify row_number() over (partition by held order by members desc, held_since, first_key) = 1
),

-- a component that won several keeps the larger customer's, then the older one's
kept as (
    select label, held
    from won
    qualify row_number() over (partition by label order by members desc, held_since, held) = 1
)

select claims.held, claims.label, claims.members, kept.label is not null as is_kept
from claims
left join kept on claims.held = kept.held and claims.label = kept.label
"""

NAMERS = "select label, min(concat(id_type, '|', id_value)) as namer from steadiest group by label"

# An id that somebody has or had is never given again, though a part that splits off may well be named by the identifier
# that once named the whole; and no two get the same.
NAMED = """
with

named as (
    select label, namer, concat('c_', left(md5(concat(repeat('split|', {attempt}), namer)), 16)) as customer_id
    from nameless
),

unfit as (
    select min(customer_id) as customer_id from named group by hash(customer_id) having count(*) > 1
    union all
    select customer_id from named where customer_id in (select customer_id from taken)
)

select label, namer, customer_id, customer_id in (select customer_id from unfit) as is_unfit
from named
"""

# Where each id that is gone went: to whoever holds most of its identifiers. Older redirects follow.
REDIRECTS = """
with

gone as (
    select former_id, customer_id
    from heir
    qualify row_number() over (partition by former_id order by members desc, customer_id) = 1
),

followed as (
    select former.former_id, coalesce(gone.customer_id, former.customer_id) as customer_id
    from former
    left join gone on former.customer_id = gone.former_id
)

select former_id, customer_id from gone
union all
select former_id, customer_id
from followed
where customer_id in (select customer_id from living)
"""


RESULT_SHAPE = "select '' as id_type, '' as id_value, '' as customer_id limit 0"


class Rows:
    """Where each of many 64-bit keys stands."""

    def __init__(self, keys):
        """Remember the keys by their highest bits, their slot: most slots hold one or none."""
        self.keys = keys
        bits = max(1, len(keys).bit_length())
        self.shift = np.uint64(64 - bits)
        # sorting whole numbers is ten times as fast as sorting their places: the place is their lower half
        placed = np.sort(
            (keys >> self.shift) << np.uint64(32) | np.arange(len(keys), dtype=np.uint64)
        )
        self.row = placed.astype(np.uint32).astype(np.int32)
        slots = np.arange((1 << bits) + 1, dtype=np.uint64) << np.uint64(32)
        self.start = np.searchsorted(placed, slots).astype(np.int32)

    def find(self, keys):
        """Return the row of each key, -1 for one that has none."""
        if not len(self.keys):
            return np.full(len(keys), -1, dtype=np.int32)
        slot = keys >> self.shift
        place = self.start[slot]
        found = self.row[np.minimum(place, len(self.row) - 1)]
        wrong = np.flatnonzero(self.keys[found] != keys)
        while len(wrong):
            place[wrong] += 1
            is_over = place[wrong] >= self.start[slot[wrong] + np.uint64(1)]
            found[wrong[is_over]] = -1
            wrong = wrong[~is_over]
            found[wrong] = self.row[place[wrong]]
            wrong = wrong[self.keys[found[wrong]] != keys[wrong]]
        return found


def label_components(node_count, left, right):
    """Return a component label (from 0) for each node, given edges as index arrays."""
    # bool: doubled edges are summed, and a sum of whole numbers could overflow to no edge
    is_edge = np.ones(len(left), dtype=np.bool_)
    graph = csr_array((is_edge, (left, right)), shape=(node_count, node_count))
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
    kept = np.where(is_new & (target[group] >= 0), target[group], labels)
    return np.unique(kept, return_inverse=True)[1].astype(np.int32)


@contextmanager
def seen(session, **tables):
    """Let the session see tables by these names."""
    for name, table in tables.items():
        session.register(name, table)
    try:
        yield
    finally:
        for name in tables:
            session.unregister(name)


def ask(session, query, **tables):
    """Return what a query finds, as a table, letting it see these tables too."""
    with seen(session, **tables):
        return session.sql(query).to_arrow_table()


def read_graph(session):
    """Return the members, a key of each, and the rows of both ends of each edge among them."""
    for key in KEYS:
        members = ask(session, MEMBERS.format(key=key.format(side="identifiers.id_")))
        keys = members["key"].to_numpy()
        in_order = np.sort(keys)
        if not (in_order[1:] == in_order[:-1]).any():
            break
    else:
        raise RuntimeError("two identifiers hash alike in every way there is: add a salt to KEYS")
    ends = {side: key.format(side=f"{side}_") for side in ("left", "right")}
    edges = session.execute(f"select {ends['left']} as left, {ends['right']} as right from edge")
    edges, rows = edges.fetchnumpy(), Rows(keys)
    left, right = (rows.find(np.asarray(edges.pop(side))) for side in ends)
    inside = (left >= 0) & (right >= 0)
    return members, left[inside], right[inside]


def number_held(members):
    """Return the number of the customer each member had, -1 for a newcomer, and the customers' ids in order."""
    encoded = members["held_id"].dictionary_encode().combine_chunks()
    ids = encoded.dictionary
    rank = pc.rank(ids).to_numpy().astype(np.int64) - 1
    places = encoded.indices.fill_null(-1).to_numpy()
    held = np.where(places >= 0, np.append(rank, -1)[places], -1)
    return held, ids.take(pc.sort_indices(ids))


def find_steadiest(members, label, count):
    """Return the row numbers of the members that may name their component: several where they are equally steady."""
    kind = pc.fill_null(pc.index_in(members["id_type"], pa.array(PRIORITY)), len(PRIORITY))
    since = pc.fill_null(members["first_seen_at"].cast(pa.int64()), 1 << 59)
    steadiness = (kind.to_numpy().astype(np.int64) << 60) + since.to_numpy()
    best = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(best, label, steadiness)
    return np.flatnonzero(steadiness == best[label])


def name_components(session, members, held, label):
    """Say who keeps which id, given for each member the number of the customer it had and its component's label.

    Returns:
        For each label the number of the customer whose id it keeps or -1, and the claims (CLAIMS).
    """
    holding = members.select(["first_seen_at", "key"])
    for name, numbers in (("held", held), ("label", label)):
        holding = holding.append_column(name, pa.array(numbers))
    holding = holding.filter(pa.array(held >= 0))
    claims = ask(session, CLAIMS, holding=holding)
    kept = np.full(label.max(initial=-1) + 1, -1)
    keeps = claims.filter(claims["is_kept"])
    kept[keeps["label"].to_numpy()] = keeps["held"].to_numpy()
    return kept, claims


def name_fresh(session, members, label, kept):
    """Return labels that keep no id, and a new id for each."""
    rows = find_steadiest(members, label, len(kept))
    rows = rows[kept[label[rows]] < 0]
    steadiest = members.select(["id_type", "id_value"]).take(pa.array(rows))
    nameless = ask(
        session, NAMERS, steadiest=steadiest.append_column("label", pa.array(label[rows]))
    )
    labels, names, attempt = [np.empty(0, dtype=np.int32)], [pa.array([], pa.string())], 0
    while len(nameless):
        named = ask(session, NAMED.format(attempt=attempt), nameless=nameless)
        fit = named.filter(pc.invert(named["is_unfit"]))
        labels.append(fit["label"].to_numpy())
        names.append(fit["customer_id"].combine_chunks())
        nameless = named.filter(named["is_unfit"]).select(["label", "namer"])
        attempt += 1
    return np.concatenate(labels), pa.concat_arrays(names)


def differ(one, other):
    """Return for each node whether the group it is in by the one labels is not that by the other."""
    pairs, pair = np.unique(np.column_stack([one, other]), axis=0, return_inverse=True)
    is_torn = np.zeros(len(pairs), dtype=bool)
    for side in pairs.T:
        is_torn |= np.bincount(side)[side] > 1
    return is_torn[pair]


def build_map(session, may_merge=lambda _: True):
    """Join identifiers into customers.

    Args:
        session: DuckDB connection that sees `identifier` (id_type, id_value, first_seen_at, is_blocked), `edge`
            (left_type, left_value, right_type, right_value: believed, both sides in `identifier` and not blocked),
            `before` (id_type, id_value, customer_id of the last run), `former` (former_id, customer_id) and
            `taken` (customer_id: every id that anybody has or had).
        may_merge: says whether so many customers may be merged away at once. If not, everybody stays who they were
            and the merges wait: something upstream broke, and a wrong merge sends one person's mail to another.

    Returns:
        A table, one row an identifier and one a redirect: id_type, id_value, customer_id, is_shared, is_waiting,
        first_seen_at.
    """
    members, left, right = read_graph(session)
    held, held_ids = number_held(members)
    label = label_components(len(members), left, right)
    kept, claims = name_components(session, members, held, label)
    is_waiting = np.zeros(len(members), dtype=bool)
    if not may_merge(len(held_ids) - np.count_nonzero(kept >= 0)):
        believed, label = label, keep_mapping(len(members), left, right, held)
        is_waiting = differ(believed, label)
        kept, claims = name_components(session, members, held, label)
    del left, right, held
    fresh_labels, fresh_ids = name_fresh(session, members, label, kept)

    ids = pa.concat_arrays([held_ids.cast(pa.string()), fresh_ids])
    kept[fresh_labels] = len(held_ids) + np.arange(len(fresh_ids))
    customers = pa.DictionaryArray.from_arrays(pa.array(kept[label].astype(np.int32)), ids)
    gone = claims.filter(pc.invert(pc.is_in(claims["held"], pa.array(kept))))
    redirects = ask(
        session,
        REDIRECTS,
        heir=pa.table(
            {
                "former_id": held_ids.take(gone["held"]),
                "customer_id": ids.take(pa.array(kept[gone["label"].to_numpy()])),
                "members": gone["members"],
            }
        ),
        living=pa.table({"customer_id": ids.take(pa.array(kept))}),
    )
    shared = ask(session, SHARED)
    nobody = pa.DictionaryArray.from_arrays(
        pa.nulls(len(shared), pa.int32()), pa.array([], pa.string())
    )
    moved = redirects["customer_id"].combine_chunks().dictionary_encode()
    former = pa.array([FORMER]).take(pa.array(np.zeros(len(redirects), dtype=np.int8)))
    never = pa.nulls(len(redirects), pa.timestamp("us"))
    return pa.concat_tables(
        [
            list_rows(
                members["id_type"],
                members["id_value"],
                customers,
                members["first_seen_at"],
                is_waiting=is_waiting,
            ),
            list_rows(
                shared["id_type"],
                shared["id_value"],
                nobody,
                shared["first_seen_at"],
                is_shared=True,
            ),
            list_rows(former, redirects["former_id"], moved, never),
        ]
    )


def list_rows(
    id_types, id_values, customer_ids, first_seen_at, *, is_shared=False, is_waiting=False
):
    """Return rows of the map."""
    return pa.table(
        {
            "id_type": id_types,
            "id_value": id_values,
            "customer_id": customer_ids,
            "is_shared": np.full(len(customer_ids), is_shared),
            "is_waiting": np.full(len(customer_ids), is_waiting),
            "first_seen_at": first_seen_at,
        }
    )


def model(dbt, session):
    """Return one row an identifier: id_type, id_value, customer_id, is_shared, is_waiting, first_seen_at.

    Ids of customers that were merged away stay as rows of type former_customer: the redirect table. An hourly run maps
    what may be mapped otherwise than before, a full build everything.
    """
    dbt.config(
        materialized="incremental",
        replaced_by=["id_type", "id_value"],
        replaced_from="int_touched_mappings",
        tracks=["id_type", "id_value", "customer_id"],
    )
    this = dbt.this
    exists = session.execute(
        "select count(*) from information_schema.tables where table_schema = ? and table_name = ?",
        [this.schema, this.identifier],
    ).fetchone()[0]
    last = session.sql(f"from {this.schema}.{this.identifier}" if exists else RESULT_SHAPE)
    few, share, accept_all = (
        dbt.ref("int_identity_limits")
        .project("alarm_merges, alarm_share, accept_merges")
        .fetchone()
    )
    # no edge leads from what is mapped anew to anything else
    mapped = "where ({}) in (from mapped)" if dbt.is_incremental else ""
    living = f"customer_id is not null and id_type <> '{FORMER}'"

    def may_merge(merges):
        if accept_all or merges <= few:
            return True
        (customers,) = last.filter(living).aggregate("count(distinct customer_id)").fetchone()
        return merges <= share * customers

    with (
        seen(
            session,
            all_identifiers=dbt.ref("int_identifiers"),
            all_edges=dbt.ref("int_identity_edges"),
            mapped=dbt.ref("int_touched_mappings").project("id_type, id_value"),
            last=last,
        ),
        seen(
            session,
            identifier=session.sql(
                "select id_type, id_value, first_seen_at, blocked_reason is not null as is_blocked "
                f"from all_identifiers {mapped.format('id_type, id_value')}"
            ),
            edge=session.sql(
                f"from (from all_edges where is_active) {mapped.format('left_type, left_value')}"
            ),
            # read twice: a small part is better kept
            part=ask(session, f"from last {mapped.format('id_type, id_value')}")
            if mapped
            else last,
        ),
        seen(
            session,
            before=session.sql(f"from part where {living}"),
            former=session.sql(
                f"select id_value as former_id, customer_id from part where id_type = '{FORMER}'"
            ),
            taken=session.sql(
                f"select customer_id from last where {living} "
                f"union all select id_value from last where id_type = '{FORMER}'"
            ),
        ),
    ):
        found = build_map(session, may_merge)
    return found  # noqa: RET504 (dbt wants a model to end in its return)
