"""The truth, checked against a slow and plain reading of the rules, one person at a time."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from orchestration.demo.catalogue import Fact
from orchestration.demo.mess import micros, moment
from orchestration.demo.truth import person_id
from orchestration.demo.world import World

from .conftest import START, query

_SILENCE = timedelta(days=60)


@pytest.fixture(scope="module")
def truth(town: World) -> dict[str, list[dict[str, Any]]]:
    town.truth.write()
    return {
        name: pq.read_table(town.home / "truth" / f"{name}.parquet").to_pylist()
        for name in ("persons", "identifiers", "stages", "eligibility")
    }


def _facts(town: World) -> dict[str, list[tuple[datetime, Fact, int, int]]]:
    log = town.truth.read_log()
    facts: dict[str, list[tuple[datetime, Fact, int, int]]] = {}
    for person, t, fact, entity, extra in zip(
        *(log[name].tolist() for name in ("person", "t", "fact", "entity", "extra")), strict=True
    ):
        facts.setdefault(person_id(person), []).append((moment(t), Fact(fact), entity, extra))
    return facts


def _plain_stages(
    facts: list[tuple[datetime, Fact, int, int]], now: datetime
) -> list[tuple[str, datetime]]:
    """The catalogue's table, read literally."""
    stages: list[tuple[str, datetime]] = []
    last_active: datetime | None = None
    is_open, completions, missed = False, 0, False

    def enter(stage: str, at: datetime) -> None:
        while stages and stages[-1][1] == at:
            stages.pop()
        if not stages or stages[-1][0] != stage:
            stages.append((stage, at))

    for at, fact, _, _ in sorted(facts, key=lambda item: item[0]):
        rebooked = fact == Fact.PICKUP_SCHEDULED and missed
        active = rebooked or fact in (
            Fact.SESSION, Fact.QUOTE, Fact.ORDER_PLACED, Fact.DOCUMENT, Fact.PICKED_UP,
            Fact.FEEDBACK,
        )  # fmt: skip
        if active:
            if last_active is None:
                enter("lead", at)
            elif at > last_active + _SILENCE:
                enter("inactive", last_active + _SILENCE)
                enter("lead", at)
            last_active = at
        match fact:
            case Fact.QUOTE if not is_open:
                enter("price_view", at)
            case Fact.ORDER_PLACED:
                is_open, missed = True, False
                enter("order", at)
            case Fact.PICKUP_SCHEDULED:
                missed = False
                enter("pickup", at)
            case Fact.PICKUP_FAILED:
                missed = True
            case Fact.COMPLETED:
                is_open, completions = False, completions + 1
                enter("completion" if completions == 1 else "repeat", at)
            case Fact.RETURNED:
                completions -= 1
                enter("cancelled", at)
            case Fact.CANCELLED | Fact.EXPIRED | Fact.FAILED:
                is_open = False
                enter("cancelled", at)
            case Fact.FEEDBACK if stages and stages[-1][0] == "completion":
                enter("feedback", at)
            case _:
                pass
    if last_active is not None and last_active + _SILENCE <= now:
        enter("inactive", last_active + _SILENCE)
    return stages


def test_stages_follow_the_catalogue(town: World, truth: dict[str, list[dict[str, Any]]]) -> None:
    held: dict[str, list[tuple[str, datetime]]] = {}
    for row in truth["stages"]:
        held.setdefault(row["person_id"], []).append((row["stage"], row["valid_from"]))
    facts = _facts(town)
    assert len(held) > 1500
    different = [
        person
        for person, mine in facts.items()
        if _plain_stages(mine, town.now) != held.get(person, [])
    ]
    # Ties of several movers at one microsecond are read in another order: a handful at most.
    assert len(different) <= 3


def test_stage_intervals_meet_without_gaps(truth: dict[str, list[dict[str, Any]]]) -> None:
    by_person: dict[str, list[dict[str, Any]]] = {}
    for row in truth["stages"]:
        by_person.setdefault(row["person_id"], []).append(row)
    for rows in by_person.values():
        for one, other in pairwise(rows):
            assert one["valid_to"] == other["valid_from"]
            assert one["valid_from"] < one["valid_to"]
        assert rows[-1]["valid_to"] is None


def test_price_views_are_eligible_from_an_hour_after_the_last_quote(
    town: World, truth: dict[str, list[dict[str, Any]]]
) -> None:
    wanted: set[tuple[str, str]] = set()
    hour = timedelta(hours=1)
    for person, facts in _facts(town).items():
        quotes = [(at, entity) for at, fact, entity, _ in facts if fact == Fact.QUOTE]
        orders = [at for at, fact, _, _ in facts if fact == Fact.ORDER_PLACED]
        for place, (at, entity) in enumerate(quotes):
            followed = place + 1 < len(quotes) and quotes[place + 1][0] - at < hour
            bought = any(at <= order < at + hour for order in orders)
            if not followed and not bought and at + hour <= town.now:
                wanted.add((person, str(entity)))
    held = {
        (row["person_id"], row["entity_id"])
        for row in truth["eligibility"]
        if row["journey_key"] == "abandoned_price_view"
    }
    assert held == wanted


def test_pickup_windows_are_those_of_the_admin_panel(
    town: World, truth: dict[str, list[dict[str, Any]]]
) -> None:
    rows = {
        row["entity_id"]: row
        for row in truth["eligibility"]
        if row["journey_key"] == "pickup_reminder"
    }
    pickups = query(town.home, "SELECT pickup_id, slot_start, created_at FROM pickups")
    assert rows
    for pickup, slot, created in pickups:
        start = datetime.fromisoformat(f"{slot}+05:30")
        known = datetime.fromisoformat(f"{created}+05:30") + timedelta(minutes=30)
        since = max(start - timedelta(days=1), known)
        if since > town.now or since >= start - timedelta(hours=2):
            continue
        row = rows[str(pickup)]
        assert abs(row["eligible_from"] - since) < timedelta(seconds=2)


def test_every_day_has_work_for_each_journey(truth: dict[str, list[dict[str, Any]]]) -> None:
    for journey, least in (
        ("abandoned_price_view", 2), ("pickup_reminder", 1), ("winback_inactive", 1),
    ):  # fmt: skip
        days = [0] * 30
        for row in truth["eligibility"]:
            age = (START - row["eligible_from"]).days
            if row["journey_key"] == journey and row["reachable"] and 0 <= age < 30:
                days[age] += 1
        assert sum(days) / 30 >= least
        assert sum(count == 0 for count in days) <= 3


def test_reachable_means_a_channel_and_otherwise_a_reason(
    truth: dict[str, list[dict[str, Any]]],
) -> None:
    for row in truth["eligibility"]:
        assert row["reachable"] == (row["channel"] is not None) == (row["suppress_reason"] is None)
    reasons = {row["suppress_reason"] for row in truth["eligibility"]}
    assert {"test_user", "unknown", "no_consent"} <= reasons


def test_shared_identifiers_are_marked_and_every_account_has_an_owner(
    town: World, truth: dict[str, list[dict[str, Any]]]
) -> None:
    rows = truth["identifiers"]
    owners: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        owners.setdefault((row["id_type"], row["id_value"]), set()).add(row["person_id"])
    for row in rows:
        if len(owners[row["id_type"], row["id_value"]]) > 1:
            assert row["shared"]
    users = {value for kind, value in owners if kind == "admin_user"}
    assert users == {str(user) for (user,) in query(town.home, "SELECT user_id FROM users")}
    shared = {row["id_type"] for row in rows if row["shared"]}
    assert {"phone", "ga_pseudo"} <= shared


def test_persons_are_those_who_have_come(
    town: World, truth: dict[str, list[dict[str, Any]]]
) -> None:
    rows = truth["persons"]
    assert len(rows) == town.people
    observable = np.mean([row["fully_observable"] for row in rows])
    assert 0.25 < observable < 0.5
    assert all(row["first_seen_at"] <= town.now for row in rows)
    assert micros(town.now) == town._state.now
