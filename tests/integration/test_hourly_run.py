"""The whole run, as the UI and the schedule run it: a small demo world, real dbt, real HTTP, real files.

One home serves all tests of this module, in order: a first run, the same run again, then sources that break.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
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
from tests.sources.crm.hubspot_stand_in import running_hubspot

REPOSITORY = Path(__file__).resolve().parents[2]
# Late morning in India: nobody's quiet hours, the day after a day with orders.
AS_OF = datetime(2026, 11, 20, 6, 20, tzinfo=UTC)
LATER = AS_OF + timedelta(hours=2)
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
def home(dbt_in_process: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFECYCLE_HOME", str(folder))
        settings = replace(read_settings({"LIFECYCLE_HOME": str(folder)}), demo_people=1500)
        with open_instance(folder) as instance, open_run(settings) as run:
            yield Home(run=run, instance=instance, first=run_tick(run, instance, AS_OF))


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


def _elsewhere(run: Run, **sources: str) -> Run:
    """The same run with some of its sources somewhere else."""
    settings, _ = play_demo(run.outside, AS_OF)
    return replace(run, outside=replace(run.outside, settings=replace(settings, **sources)))


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
    # and what each had to do again: all of it the first, and the second what the first had sent
    changes_seen = {
        "raw._changes",
        "state.last_build",
        "staging.stg_crm__changed_entries",
        "staging.stg_crm__changed_messages",
        "intermediate.int_activities__part",
        "intermediate.int_touched_entries",
        "intermediate.int_touched_messages",
        "intermediate.int_touched_habits",
        "intermediate.int_touched_members",
        "intermediate.int_touched_readers",
        "intermediate.int_touched_reader_visits",
        "intermediate.int_touched_segments",
    }
    changed = {table for table in before | after if before.get(table) != after.get(table)}
    assert changed <= history_of_runs | changes_seen


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


@pytest.mark.parametrize("source", ["admin", "crm"])
def test_a_source_that_does_not_answer_stops_what_depends_on_it(
    home: Home, source: str, caplog: pytest.LogCaptureFixture
) -> None:
    warehouse, sent = home.run.settings.warehouse_path, _sent(home)
    published = _checksums(home.run.settings.published_path)
    before = _checksums(warehouse)
    with running_hubspot() as account:
        where = {
            "admin": {"admin_database_url": "postgresql+psycopg2://panel:s3cret@127.0.0.1:1/panel"},
            "crm": {
                "crm_source_uri": account.url.replace("http:", "hubspot+http:"),
                "hubspot_access_token": "s3cret-and-expired",
            },
        }[source]
        result = run_tick(_elsewhere(home.run, **where), home.instance, AS_OF)
    assert not result.succeeded
    ((step, reason),) = result.failures
    print(f"\nFAILED {step}: {reason}\nnot run: {', '.join(result.skipped)}")
    assert step == f"pull_{source}"
    assert {"admin": "127.0.0.1:1", "crm": "HUBSPOT_ACCESS_TOKEN"}[source] in reason
    assert "s3cret" not in reason + caplog.text
    # the other sources were read and judged; nothing was decided on half of what is known
    assert "build_models" in result.skipped
    assert not {"pull_ga4", "check_raw_ga4"} & set(result.skipped)
    assert _sent(home) == sent
    assert _checksums(home.run.settings.published_path) == published
    after = _checksums(warehouse)
    changed = {table for table in before if before[table] != after.get(table)}
    # what other sources were read up to, and what their contracts measured
    assert changed <= {"raw._pulls", "state.contract_metrics"}


def test_a_reader_never_blocks_a_run_and_a_run_never_blocks_a_reader(home: Home) -> None:
    command = [sys.executable, "-m", "tests.integration.reader"]
    with subprocess.Popen(
        [*command, str(home.run.settings.published_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "reading\n"
        result = run_tick(home.run, home.instance, LATER)
        said, _ = reader.communicate("stop\n", timeout=300)
    assert reader.returncode == 0
    assert result.succeeded, result
    answers, held, fresh = said.split()
    print(f"\n{answers} answers during the run, about {held}; opened anew it tells of {fresh}")
    assert int(answers) > 10
    assert datetime.fromisoformat(held) < datetime.fromisoformat(fresh)
    assert datetime.fromisoformat(fresh) == LATER.replace(tzinfo=None)


def test_a_broken_critical_promise_stops_models_and_sends(home: Home) -> None:
    # the last one: raw keeps the broken rows until the source changes them again
    settings, _ = play_demo(home.run.outside, AS_OF)
    database = Path(settings.admin_database_url.removeprefix("sqlite:///"))
    kept = database.read_bytes()
    with sqlite3.connect(database) as admin:
        admin.execute("update orders set status = 'teleported', updated_at = '2026-11-20 13:49:00'")
    sent = _sent(home)
    try:
        result = run_tick(home.run, home.instance, LATER)
    finally:
        database.write_bytes(kept)
    assert not result.succeeded
    print("\n" + "\n".join(f"BLOCKED {table}: {reason}" for table, reason in result.blocked))
    assert not result.failures
    tables = {table for table, _ in result.blocked}
    assert "raw/admin_orders" in tables
    assert any("status" in reason for _, reason in result.blocked)
    assert {"build_models", "activation__whatsapp"} <= set(result.skipped)
    assert _sent(home) == sent
