"""When a build may go on from the last one. What it then builds is `tests/dbt_project/test_incremental.py`'s."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from orchestration.lib import builds
from orchestration.lib.builds import forget_build, plan_build, record_build
from orchestration.lib.warehouse import open_warehouse
from orchestration.sources.landing import ensure_raw, note_change
from tests.dbt_project.building import run_dbt

NOON = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
ZONE = "Asia/Kolkata"


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_warehouse(tmp_path / "warehouse.duckdb") as connection:
        ensure_raw(connection)
        yield connection


def _built(connection: duckdb.DuckDBPyConnection, as_of: datetime = NOON) -> None:
    record_build(connection, plan_build(connection, as_of=as_of, timezone=ZONE))


def _reason(connection: duckdb.DuckDBPyConnection, as_of: datetime) -> str | None:
    return plan_build(connection, as_of=as_of, timezone=ZONE).reason


def test_the_first_build_is_full_and_the_next_goes_on(warehouse):
    assert _reason(warehouse, NOON) == "there is no complete build to go on from"
    _built(warehouse)
    assert _reason(warehouse, NOON) is None
    assert _reason(warehouse, NOON + HOUR) is None


def test_a_build_that_failed_changes_nothing_for_the_next(warehouse):
    _built(warehouse)
    plan_build(warehouse, as_of=NOON + HOUR, timezone=ZONE)
    assert warehouse.execute("select as_of from state.last_build").fetchall() == [
        (NOON.replace(tzinfo=None),)
    ]


def test_a_full_build_that_failed_is_followed_by_a_full_one(warehouse):
    _built(warehouse)
    plan_build(warehouse, as_of=NOON + HOUR, timezone=ZONE, is_full=True)
    assert _reason(warehouse, NOON + HOUR) == "there is no complete build to go on from"


def test_an_earlier_moment_is_built_anew_and_so_is_what_follows(warehouse):
    _built(warehouse)
    assert _reason(warehouse, NOON - HOUR) == "the moment lies before the last build's"
    assert _reason(warehouse, NOON) is not None


def test_other_rules_are_built_anew(warehouse, monkeypatch, tmp_path):
    _built(warehouse)
    assert _reason(warehouse, NOON) is None
    assert plan_build(warehouse, as_of=NOON, timezone="Asia/Dubai").reason == (
        "models, seeds, contracts or settings changed"
    )
    _built(warehouse)
    models = tmp_path / "dbt_project" / "models"
    models.mkdir(parents=True)
    (models / "one.sql").write_text("select 1")
    monkeypatch.setattr(builds, "REPOSITORY", tmp_path)
    assert _reason(warehouse, NOON) == "models, seeds, contracts or settings changed"
    _built(warehouse)
    assert _reason(warehouse, NOON) is None
    (models / "one.sql").write_text("select 2")
    assert _reason(warehouse, NOON) is not None


@pytest.mark.parametrize(
    ("full_at", "last_incremental"),
    [
        # three at night in India is 21:30 UTC
        ("2026-11-01T12:00:00", "2026-11-01T21:29:59"),
        ("2026-11-01T21:29:59", "2026-11-01T21:29:59"),
        ("2026-11-01T21:30:00", "2026-11-02T21:29:59"),
    ],
)
def test_the_first_build_after_three_at_night_is_full(warehouse, full_at, last_incremental):
    last = datetime.fromisoformat(last_incremental).replace(tzinfo=UTC)
    moment = datetime.fromisoformat(full_at).replace(tzinfo=UTC)
    while moment < last:
        _built(warehouse, moment)
        moment += HOUR
    _built(warehouse, last)
    assert _reason(warehouse, last) is None
    assert _reason(warehouse, last + timedelta(seconds=1)) == "it is the first run of the day"
    # an incremental build does not put the full one off
    assert _reason(warehouse, last + HOUR) is not None


def test_what_a_long_pause_left_is_built_anew(warehouse):
    _built(warehouse)
    assert _reason(warehouse, NOON + 6 * HOUR) is None
    pause = NOON + 6 * HOUR + timedelta(seconds=1)
    assert _reason(warehouse, pause) == "the last build lies more than 6 hours back"


@pytest.fixture(scope="module")
def day_start(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The macro's SQL, of a column `moment`, in ZONE."""
    report = run_dbt(
        tmp_path_factory.mktemp("macro") / "warehouse.duckdb",
        *("compile", "--inline", "{{ day_start('moment') }}", "--output", "json", "--quiet"),
        as_of=NOON,
    )
    return json.loads(report.output[report.output.index("{") :])["compiled"]


@pytest.mark.parametrize(
    ("zone", "first"),
    [
        (ZONE, "2026-10-30T00:00:00"),
        ("Europe/Berlin", "2026-03-28T00:00:00"),
        ("Europe/Berlin", "2026-10-24T00:00:00"),
        ("America/New_York", "2026-03-07T00:00:00"),
        ("America/New_York", "2026-10-31T00:00:00"),
    ],
)
def test_a_day_of_the_models_begins_when_everything_is_built_anew(
    warehouse, monkeypatch, day_start, zone, first
):
    """What is judged as of the day's beginning stays within a day's hours, also where the clock is changed."""
    monkeypatch.setattr(builds, "fingerprint_code", str)
    start = datetime.fromisoformat(first).replace(tzinfo=UTC)
    moments = [start + number * timedelta(minutes=30) for number in range(3 * 48)]
    rows = warehouse.execute(
        f"select {day_start.replace(ZONE, zone)} from (select unnest($moments) as moment)",
        {"moments": [moment.replace(tzinfo=None) for moment in moments]},
    ).fetchall()
    begun = None
    for moment, (begins,) in zip(moments, rows, strict=True):
        assert begins <= moment.replace(tzinfo=None)
        plan = plan_build(warehouse, as_of=moment, timezone=zone)
        assert plan.is_full == (begins != begun), moment
        record_build(warehouse, plan)
        begun = begins


def test_forgetting_makes_the_next_build_full(warehouse):
    _built(warehouse)
    forget_build(warehouse)
    assert _reason(warehouse, NOON) == "there is no complete build to go on from"


def test_a_build_remembers_the_last_change_it_saw_and_settles_what_was_touched(warehouse):
    note_change(warehouse, "ga4", "ga4_events", "events_20261031")
    warehouse.execute(
        "create table intermediate.thing__touched as select 'a' as customer_id;"
        "create table intermediate.thing as select 'a' as customer_id"
    )
    plan = plan_build(warehouse, as_of=NOON, timezone=ZONE)
    note_change(warehouse, "ga4", "ga4_events", "events_20261101")
    assert warehouse.execute("from intermediate.thing__touched").fetchall() == [("a",)]
    record_build(warehouse, plan)
    assert warehouse.execute("select change_id from state.last_build").fetchall() == [(1,)]
    assert warehouse.execute("from intermediate.thing__touched").fetchall() == []
    assert warehouse.execute("from intermediate.thing").fetchall() == [("a",)]
