"""The whole run, as the UI and the schedule run it: a small demo world, real dbt, real HTTP, real files.

One home serves all tests of this module, in order: a first run, the same run again, then sources that break.
"""

from __future__ import annotations

import gc
import sqlite3
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from dagster import DagsterInstance

from orchestration.lib.outside import play_demo
from orchestration.lib.settings import read_settings
from orchestration.lib.steps import Run, open_run
from orchestration.lib.ticks import TickResult, open_instance, run_tick
from orchestration.lib.warehouse import open_published, open_warehouse

# Late morning in India: nobody's quiet hours, the day after a day with orders.
AS_OF = datetime(2026, 11, 20, 6, 20, tzinfo=UTC)
# Dagster and dbt warn about their own plans; every other warning is an error here as everywhere.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::dagster._utils.warnings.BetaWarning"),
    pytest.mark.filterwarnings("ignore::dagster._utils.warnings.PreviewWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """An opened run in a home whose first run is done."""

    run: Run
    instance: DagsterInstance
    first: TickResult


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFECYCLE_HOME", str(folder))
        settings = replace(read_settings({"LIFECYCLE_HOME": str(folder)}), demo_people=1500)
        with open_instance(folder) as instance, open_run(settings) as run:
            yield Home(run=run, instance=instance, first=run_tick(run, instance, AS_OF))
    # Dagster and dbt leave event loops and sockets to the garbage collector, which warns.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


def _checksums(path: Path) -> dict[str, tuple[int, int]]:
    """Row count and order-free content hash of every table."""
    with duckdb.connect(str(path), read_only=True) as connection:
        tables = connection.execute(
            "select table_schema, table_name from information_schema.tables "
            "where table_type = 'BASE TABLE' order by 1, 2"
        ).fetchall()
        sums = {}
        for schema, table in tables:
            row = connection.execute(
                f'select count(*), coalesce(bit_xor(hash(content)), 0) from {schema}."{table}" as content'
            ).fetchone()
            assert row is not None
            sums[f"{schema}.{table}"] = (int(row[0]), int(row[1]))
    return sums


def _sent(home: Home) -> int:
    with home.run.ledger.engine.connect() as connection:
        return connection.exec_driver_sql("select count(*) from attempts").scalar_one()


def test_the_first_run_sends_and_publishes(home: Home) -> None:
    assert home.first.succeeded, home.first
    with open_published(home.run.settings.published_path) as connection:
        outcomes = dict(
            connection.execute(
                "select outcome, count(*) from marts.journey_decisions "
                "where decided_at = ? group by 1",
                [AS_OF.replace(tzinfo=None)],
            ).fetchall()
        )
    assert outcomes.get("sent", 0) == _sent(home) > 0


def test_a_second_run_sends_nothing_and_changes_no_table(home: Home) -> None:
    warehouse = home.run.settings.warehouse_path
    before, sent = _checksums(warehouse), _sent(home)
    again = run_tick(home.run, home.instance, AS_OF)
    assert again.succeeded, again
    assert _sent(home) == sent
    after = _checksums(warehouse)
    # what tells of every run, also of one that had nothing to do: the run log, and what the ledger's size was then
    history_of_runs = {"raw.ledger_sync_runs", "marts.sync_runs", "state.contract_metrics"}
    changed = {table for table in before | after if before.get(table) != after.get(table)}
    assert changed <= history_of_runs


def test_a_run_without_sending_leaves_the_ledger_alone(home: Home) -> None:
    sent = _sent(home)
    with home.run.ledger.engine.connect() as connection:
        intents = connection.exec_driver_sql("select count(*) from intents").scalar_one()
    result = run_tick(home.run, home.instance, AS_OF + timedelta(minutes=5), no_send=True)
    assert result.succeeded, result
    with home.run.ledger.engine.connect() as connection:
        assert connection.exec_driver_sql("select count(*) from intents").scalar_one() == intents
    assert _sent(home) == sent


def test_a_broken_ga4_file_stops_what_depends_on_it_and_loses_nothing(home: Home) -> None:
    settings, _ = play_demo(home.run.outside, AS_OF)
    newest = max(Path(settings.ga4_export_uri).glob("events_2*.parquet"))
    whole = newest.read_bytes()
    with open_warehouse(home.run.settings.warehouse_path) as connection:
        rows = connection.execute("select count(*) from raw.ga4_events").fetchone()
    published, sent = _checksums(home.run.settings.published_path), _sent(home)
    newest.write_bytes(whole[: len(whole) // 2])
    try:
        result = run_tick(home.run, home.instance, AS_OF)
    finally:
        newest.write_bytes(whole)
    assert not result.succeeded
    step, reason = result.failures[0]
    assert step == "pull_ga4"
    assert newest.name in reason
    assert "again" in reason  # the next step
    assert "build_models" in result.skipped
    with open_warehouse(home.run.settings.warehouse_path) as connection:
        assert connection.execute("select count(*) from raw.ga4_events").fetchone() == rows
    assert _checksums(home.run.settings.published_path) == published
    assert _sent(home) == sent


def test_a_broken_critical_promise_stops_models_and_sends(home: Home) -> None:
    settings, _ = play_demo(home.run.outside, AS_OF)
    database = Path(settings.admin_database_url.removeprefix("sqlite:///"))
    kept = database.read_bytes()
    with sqlite3.connect(database) as admin:
        admin.execute("update orders set status = 'teleported', updated_at = '2026-11-20 11:49:00'")
    sent = _sent(home)
    try:
        result = run_tick(home.run, home.instance, AS_OF)
    finally:
        database.write_bytes(kept)
    assert not result.succeeded
    tables = {table for table, _ in result.blocked}
    assert "raw/admin_orders" in tables
    assert any("status" in reason for _, reason in result.blocked)
    assert {"build_models", "activation__whatsapp"} <= set(result.skipped)
    assert _sent(home) == sent
