from __future__ import annotations

from datetime import datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activations.audiences import AudienceRow
from activations.audiences.base import Identifiers
from activations.audiences.diff import (
    SCHEMA,
    find_fault,
    find_held,
    may_try_again,
    payload_text,
    plan_audience,
    read_payload,
    to_table,
    without,
)
from activations.audiences.normalise import hash_identifier
from activations.errors import ConfigurationError
from tests.activations.world import HOUR, NOON


def _row(key: str, email: str = "e", phone: str = "", digest: int = 1) -> AudienceRow:
    return AudienceRow(member_key=key, email_sha256=email, phone_sha256=phone, payload_hash=digest)


_PEOPLE = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=2),
    st.integers(min_value=-(2**63), max_value=2**63 - 1),
    max_size=12,
)


@settings(max_examples=60)
@given(wished=_PEOPLE, accepted=_PEOPLE)
def test_applying_the_difference_gives_the_wish(
    wished: dict[str, int], accepted: dict[str, int]
) -> None:
    table = to_table([_row(key, digest=digest) for key, digest in wished.items()])

    plan = plan_audience(table, accepted)

    after = {key: digest for key, digest in accepted.items() if key not in plan.removes}
    after |= {row.member_key: row.payload_hash for row in (*plan.adds, *plan.updates)}
    assert after == wished
    assert {row.member_key for row in plan.adds} == set(wished) - set(accepted)
    assert set(plan.removes) == set(accepted) - set(wished)
    assert plan.unchanged == len(wished) - len(plan.adds) - len(plan.updates)
    again = plan_audience(table, after)
    assert (again.adds, again.updates, again.removes) == ((), (), ())


def test_people_without_any_identifier_are_no_members() -> None:
    rows = [_row("a", email=""), _row("b")]

    assert to_table(rows).column("member_key").to_pylist() == ["b"]
    assert plan_audience(to_table(rows), {"a": 1, "b": 1}).removes == ("a",)


def test_an_arrow_table_with_more_columns_and_nulls_is_taken() -> None:
    table = pa.table(
        {
            "audience_key": ["x", "x"],
            "member_key": ["a", "b"],
            "email_sha256": ["e", None],
            "phone_sha256": [None, None],
            "payload_hash": [1, 2],
        }
    )
    taken = to_table(table)

    assert taken.to_pylist() == [
        {"member_key": "a", "email_sha256": "e", "phone_sha256": "", "payload_hash": 1}
    ]
    assert taken.schema.names == SCHEMA.names


def test_a_member_listed_twice_or_a_missing_column_is_named() -> None:
    with pytest.raises(ConfigurationError, match="1 members more than once"):
        to_table([_row("a"), _row("a")])
    with pytest.raises(ConfigurationError, match="payload_hash"):
        to_table(pa.table({"member_key": ["a"], "email_sha256": [""], "phone_sha256": [""]}))


def test_an_identifier_somebody_staying_has_is_held() -> None:
    table = to_table([_row("a", email="ea", phone="p"), _row("b", email="eb", phone="p")])

    assert find_held(table, ["p", "ex", "ea"], moving=[]) == {"p", "ea"}
    assert find_held(table, ["p", "ex", "ea"], moving=["a"]) == {"p"}
    assert find_held(table, ["p"], moving=["a", "b"]) == frozenset()


@pytest.mark.parametrize(
    ("kept", "held", "gone"),
    [
        (None, set(), ("e1", "p1")),
        (None, {"p1"}, ("e1", "")),
        (("e1", "p2"), set(), ("", "p1")),
        (("e2", "p1"), set(), ("e1", "")),
        (("e1", ""), {"p1"}, ("", "")),
    ],
)
def test_only_what_we_put_there_and_nobody_else_has_is_taken_away(
    kept: tuple[str, str] | None, held: set[str], gone: tuple[str, str]
) -> None:
    old = Identifiers(email_sha256="e1", phone_sha256="p1")
    new = Identifiers(email_sha256=kept[0], phone_sha256=kept[1]) if kept else None

    left = without(old, new, frozenset(held))

    assert (left.email_sha256, left.phone_sha256) == gone


@pytest.mark.parametrize(("email", "phone"), [("a" * 64, ""), ("", "b" * 64), ("a" * 64, "b" * 64)])
def test_a_payload_survives_its_text(email: str, phone: str) -> None:
    identifiers = Identifiers(email_sha256=email, phone_sha256=phone)
    assert read_payload(payload_text(identifiers)) == identifiers


@pytest.mark.parametrize("value", ["A" * 64, "a" * 63, "asha@mail.example", "919812345678"])
def test_what_is_no_hash_is_a_fault_and_is_not_repeated(value: str) -> None:
    fault = find_fault(_row("a", email=value))
    assert fault is not None
    assert value not in fault
    assert find_fault(_row("a", email=hash_identifier("x"))) is None


def test_a_refused_row_waits_longer_each_time_and_a_week_at_most() -> None:
    def waits(times: int) -> timedelta:
        refused: list[tuple[datetime, int | None]] = [(NOON, 7)] * times
        hours = 0
        while not may_try_again(refused, payload_hash=7, now=NOON + hours * HOUR):
            hours += 1
        return hours * HOUR

    assert [waits(times) // HOUR for times in (0, 1, 2, 3, 9, 60)] == [0, 6, 12, 24, 168, 168]


def test_a_changed_payload_may_go_at_once() -> None:
    assert may_try_again([(NOON, 7)], payload_hash=8, now=NOON)
