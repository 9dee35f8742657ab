"""The pure functions inside the Python models: reading phone numbers, naming customers."""

from __future__ import annotations

import hashlib
import importlib.util
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

IDENTITY = Path(__file__).resolve().parents[2] / "dbt_project/models/intermediate/identity"


def load(name: str) -> ModuleType:
    """Import a model file as dbt does: by its path, for it lies in no package."""
    spec = importlib.util.spec_from_file_location(name, IDENTITY / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


customer_map = load("int_customer_map")
phones = load("int_phones")

Node = tuple[str, str]
"""An identifier: its kind and its value."""


@pytest.mark.parametrize(
    "spelling",
    [
        "+91 98765 43211",
        "098765 43211",
        "919876543211",
        "00919876543211",
        "98765-43211",
        "9876543211",
        "९८७६५४३२११",
        "9876543211.0",
        "  98765 43211  ",
        "+91-98765-43211",
        "(+91) 9876543211",
        "+91.98765.43211",
    ],
)
def test_every_spelling_of_a_mobile_reads_as_the_same_number(spelling):
    assert phones.read_phone(spelling) == ("+919876543211", True, False)


@settings(max_examples=600)
@given(
    st.one_of(
        st.builds(
            lambda prefix, digits, marks: (
                prefix
                + "".join(
                    digit + mark
                    for digit, mark in zip(digits, marks + [""] * len(digits), strict=False)
                )
            ),
            st.sampled_from(
                ["", "+91", "+91 ", "91", "0", "0091", "(+91) ", "+1", "00", "+9", "9"]
            ),
            st.from_regex(r"[5-9][0-9]{8,11}", fullmatch=True),
            st.lists(st.sampled_from(["", "", " ", "-", "(", ")", "."]), max_size=12),
        ),
        st.text("+0123456789 -().", max_size=16),
    )
)
def test_a_number_read_once_reads_as_each_spelling_alone(text):
    (row,) = phones.list_phones([text]).to_pylist()
    assert tuple(row.values()) == (text, *phones.read_phone(text))


@pytest.mark.parametrize(
    "placeholder",
    ["9999999999", "1234567890", "0000000000", "+91 99999 99999", "8888888888", "9876543210"],
)
def test_a_placeholder_is_never_an_address(placeholder):
    _, is_mobile, is_placeholder = phones.read_phone(placeholder)
    assert not is_mobile
    # what is no number at all needs no place on the list
    assert is_placeholder or phones.read_phone(placeholder)[0] is None


@pytest.mark.parametrize("nonsense", ["", "   ", "N/A", "12345", "98765432101234567", "abc", "+91"])
def test_what_is_no_number_reads_as_none(nonsense):
    assert phones.read_phone(nonsense) == (None, False, False)


def test_a_landline_is_a_number_but_no_mobile():
    assert phones.read_phone("022 2285 1234") == ("+912222851234", False, False)


def test_a_foreign_mobile_is_told_from_a_foreign_landline():
    assert phones.read_phone("+44 7911 123456") == ("+447911123456", True, False)
    assert phones.read_phone("+44 20 7946 0958")[1] is False


@given(
    st.from_regex(r"[6-9][0-9]{9}", fullmatch=True), st.sampled_from(["", "0", "91", "+91", "0091"])
)
def test_a_prefix_changes_nothing(number, prefix):
    assert phones.read_phone(prefix + number)[0] in {phones.read_phone(number)[0], None}
    assert phones.read_phone("+91" + number)[0] == "+91" + number


# A world is a partition of numbered people's identifiers: identifier -> group. Growing, merging and
# splitting it is what a day does to it.
identifiers = st.integers(0, 30).map(
    lambda n: (("admin_user", "phone", "email", "crm_contact", "ga_pseudo")[n % 5], str(n))
)
worlds = st.dictionaries(identifiers, st.integers(0, 6), min_size=1, max_size=25)


DATABASE = duckdb.connect(config={"threads": 1})
# tens of statements a world
in_a_database = settings(max_examples=60)
FIRST_SEEN = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)


def edges_of(world: dict[Node, int]) -> set[tuple[Node, Node]]:
    """An edge from each identifier to the first of its component."""
    return {
        (node, min(other for other in world if world[other] == group))
        for node, group in world.items()
    }


def build(
    world: dict[Node, int],
    before: dict[Node, str],
    former: dict[str, str],
    most_merges: int | None = None,
    taken: set[str] | None = None,
) -> tuple[dict[Node, str], dict[str, str]]:
    """Run the model over a world whose components are given; returns ids and redirects."""
    ends = [(*node, *steadiest) for node, steadiest in edges_of(world)]
    if taken is None:
        taken = {*before.values(), *former}
    with DATABASE.cursor() as session:
        for name, columns, rows in (
            (
                "identifier",
                "id_type varchar, id_value varchar, first_seen_at timestamp, is_blocked boolean",
                [(*node, FIRST_SEEN, False) for node in world],
            ),
            (
                "edge",
                "left_type varchar, left_value varchar, right_type varchar, right_value varchar",
                ends,
            ),
            (
                "before",
                "id_type varchar, id_value varchar, customer_id varchar",
                [(*node, held) for node, held in before.items()],
            ),
            ("former", "former_id varchar, customer_id varchar", list(former.items())),
            ("taken", "customer_id varchar", [(one,) for one in taken]),
        ):
            session.execute(f"create or replace temp table {name} ({columns})")
            if rows:
                session.executemany(
                    f"insert into {name} values ({', '.join('?' * len(rows[0]))})", rows
                )
        table = customer_map.build_map(
            session, lambda merges: most_merges is None or merges <= most_merges
        )
    result = [tuple(row.values()) for row in table.to_pylist()]
    ids = {(row[0], row[1]): row[2] for row in result if row[0] != customer_map.FORMER}
    return ids, {row[1]: row[2] for row in result if row[0] == customer_map.FORMER}


def name_customers(world: dict[Node, int], before: dict[Node, str]) -> dict[Node, str]:
    """The ids alone."""
    return build(world, before, {})[0]


def assert_one_id_a_component(world: dict[Node, int], ids: dict[Node, str]) -> None:
    """The same id exactly where the same component."""
    of_component: dict[int, set[str]] = {}
    for node, group in world.items():
        of_component.setdefault(group, set()).add(ids[node])
    assert all(len(held) == 1 for held in of_component.values())
    assert len(set().union(*of_component.values())) == len(of_component)


@given(worlds)
@in_a_database
def test_each_component_gets_one_id_and_no_other_component_gets_it(world):
    assert_one_id_a_component(world, name_customers(world, {}))


@given(worlds)
@in_a_database
def test_the_same_world_again_keeps_every_id(world):
    before = name_customers(world, {})
    assert name_customers(world, before) == before


@given(worlds, worlds)
@in_a_database
def test_ids_are_stable_when_components_only_grow(world, more):
    before = name_customers(world, {})
    # newcomers join an old component or found one of their own; nobody old moves
    grown = {node: group + 100 for node, group in more.items()} | world
    for node, group in more.items():
        if node not in world and group % 2:
            grown[node] = sorted(world.values())[0]
    now = name_customers(grown, before)
    assert {node: now[node] for node in world} == before
    assert_one_id_a_component(grown, now)


@given(worlds, st.integers(0, 6), st.integers(0, 6))
@in_a_database
def test_a_merge_keeps_the_id_of_the_larger(world, first, second):
    before = name_customers(world, {})
    sizes = {group: list(world.values()).count(group) for group in (first, second)}
    merged = {node: first if group == second else group for node, group in world.items()}
    now = name_customers(merged, before)
    assert_one_id_a_component(merged, now)
    if first == second or not all(sizes.values()) or sizes[first] == sizes[second]:
        return
    larger = max(sizes, key=sizes.__getitem__)
    (kept,) = {before[node] for node, group in world.items() if group == larger}
    assert {now[node] for node, group in merged.items() if group == first} == {kept}


@given(worlds, worlds)
@in_a_database
def test_a_split_never_shares_an_id(world, cut):
    before = name_customers(world, {})
    split = {node: group + 10 * cut.get(node, 0) for node, group in world.items()}
    now = name_customers(split, before)
    assert_one_id_a_component(split, now)
    # the part that keeps most of the identifiers keeps the id
    for old_id in set(before.values()):
        parts = {}
        for node, held in before.items():
            if held == old_id:
                parts.setdefault(split[node], []).append(node)
        keepers = [group for group, nodes in parts.items() if now[nodes[0]] == old_id]
        assert len(keepers) == 1
        assert len(parts[keepers[0]]) == max(len(nodes) for nodes in parts.values())


@given(worlds, st.lists(worlds, max_size=4))
@in_a_database
def test_redirects_always_point_to_a_living_customer(world, later):
    ids, former = build(world, {}, {})
    ever = set(ids.values())
    for following in later:
        ids, former = build(following, ids, former)
        living = set(ids.values())
        assert set(former.values()) <= living
        assert not set(former) & living
        assert set(former) <= ever
        ever |= living


@given(worlds, st.lists(worlds, min_size=1, max_size=3), st.sampled_from([None, 0, 1]))
@in_a_database
def test_mapping_anew_what_an_hour_touched_gives_what_mapping_everything_gives(
    world, later, most_merges
):
    ids, former = build(world, {}, {})
    for following in later:
        # an alarm that held would have more to do again
        allowed = most_merges if following is later[-1] else None
        changed = edges_of(world) ^ edges_of(following)
        touched = {node for edge in changed for node in edge} | set(world) ^ set(following)
        customers = {ids[node] for node in touched & set(ids)}
        part = touched | {node for node, held in ids.items() if held in customers}
        found, moved = build(
            {node: group for node, group in following.items() if node in part},
            {node: held for node, held in ids.items() if node in part},
            {gone: living for gone, living in former.items() if living in customers},
            allowed,
            taken={*ids.values(), *former},
        )
        found |= {node: held for node, held in ids.items() if node not in part}
        moved |= {gone: living for gone, living in former.items() if living not in customers}
        ids, former = build(following, ids, former, allowed)
        assert (found, moved) == (ids, former)
        world = following


def test_the_redirect_of_a_merged_customer_follows_later_merges():
    first = {("phone", "1"): 1, ("phone", "2"): 2, ("phone", "3"): 3, ("phone", "4"): 3}
    ids, former = build(first, {}, {})
    pair, former = build({**first, ("phone", "2"): 1}, ids, former)
    everyone, former = build(dict.fromkeys(first, 1), pair, former)
    (living,) = set(everyone.values())
    assert former == dict.fromkeys(set(ids.values()) - {living}, living)


def test_a_part_that_leaves_with_the_name_of_the_whole_gets_another():
    whole = {("admin_user", "7"): 1, ("phone", "1"): 1, ("phone", "2"): 1}
    before = name_customers(whole, {})
    now = name_customers(whole | {("admin_user", "7"): 2}, before)
    assert now[("phone", "1")] == now[("phone", "2")] == before[("admin_user", "7")]
    assert now[("admin_user", "7")] not in set(before.values())


@given(worlds, worlds)
@in_a_database
def test_more_merges_than_the_alarm_allows_leave_every_old_customer_as_it_was(world, later):
    before = name_customers(world, {})
    everyone = later | dict.fromkeys(world, 0)
    ids, redirects = build(everyone, before, {}, most_merges=0)
    if len(set(before.values())) > 1:
        assert {node: ids[node] for node in world} == before
        assert redirects == {}
    newcomers = set(everyone) - set(world)
    # a newcomer may join one customer or found one; it never joins two that were apart
    assert all(ids[node] for node in newcomers)


def test_newcomers_join_the_one_customer_that_claims_them_while_the_alarm_holds():
    first = {("phone", "1"): 1, ("phone", "2"): 2, ("phone", "3"): 3}
    before = name_customers(first, {})
    # 1 and 2 would merge; the device is only with 3
    world = first | {("phone", "2"): 1, ("ga_pseudo", "d"): 3, ("email", "e"): 9}
    ids, _ = build(world, before, {}, most_merges=0)
    assert {node: ids[node] for node in first} == before
    assert ids[("ga_pseudo", "d")] == before[("phone", "3")]
    assert ids[("email", "e")] not in set(before.values())
    allowed, _ = build(world, before, {}, most_merges=1)
    assert allowed[("phone", "1")] == allowed[("phone", "2")]


def test_whoever_would_merge_or_part_waits_while_the_alarm_holds():
    believed, kept = np.array([0, 0, 1, 2, 2, 3]), np.array([0, 1, 2, 3, 3, 3])
    assert customer_map.differ(believed, kept).tolist() == [True, True, False, True, True, True]
    assert not customer_map.differ(kept, kept * 7).any()


def test_an_account_names_a_new_customer_before_a_phone_and_a_phone_before_a_device():
    world = {("ga_pseudo", "d"): 1, ("phone", "+91"): 1, ("admin_user", "7"): 1}
    named = hashlib.md5(b"admin_user|7").hexdigest()[:16]
    assert set(name_customers(world, {}).values()) == {f"c_{named}"}


def test_identifiers_that_hash_alike_are_no_reason_to_be_joined(monkeypatch):
    world = {("phone", str(number)): number % 5 for number in range(20)}
    alike, last = "hash({side}value) % 3", customer_map.KEYS[-1]
    monkeypatch.setattr(customer_map, "KEYS", (alike, last))
    assert_one_id_a_component(world, name_customers(world, {}))
    monkeypatch.setattr(customer_map, "KEYS", (alike,))
    with pytest.raises(RuntimeError, match="hash alike"):
        name_customers(world, {})


@pytest.mark.parametrize("mask", [0, 7, 2**64 - 1])
@given(st.lists(st.integers(0, 2**64 - 1), unique=True), st.integers(0, 2**64 - 1))
def test_a_key_is_found_where_it_stands(mask, keys, other):
    # keys that share their highest bits lie in one slot
    keys = [*dict.fromkeys(key & mask | key % 5 for key in keys)]
    rows = customer_map.Rows(np.array(keys, dtype=np.uint64))
    wanted = np.array([*keys, other], dtype=np.uint64)
    places = {key: place for place, key in enumerate(keys)}
    assert rows.find(wanted).tolist() == [places.get(key, -1) for key in (*keys, other)]


def test_components_are_those_of_the_edges():
    labels = customer_map.label_components(5, [0, 1], [1, 2])
    assert labels[0] == labels[1] == labels[2]
    assert len({labels[0], labels[3], labels[4]}) == 3


@given(st.integers(1, 12), st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11))))
def test_two_nodes_share_a_label_exactly_when_a_path_joins_them(count, pairs):
    edges = [(a % count, b % count) for a, b in pairs]
    labels = customer_map.label_components(count, [a for a, _ in edges], [b for _, b in edges])
    parent = list(range(count))

    def root(node: int) -> int:
        while parent[node] != node:
            node = parent[node]
        return node

    for left, right in edges:
        parent[root(left)] = root(right)
    for left in range(count):
        for right in range(count):
            assert (labels[left] == labels[right]) == (root(left) == root(right))
