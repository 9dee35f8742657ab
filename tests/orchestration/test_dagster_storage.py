"""Dagster's event log with kept connections: the same files, readable by Dagster's own class."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage

from orchestration.lib.dagster_storage import MAX_OPEN_FILES, PooledSqliteEventLogStorage
from orchestration.lib.ticks import open_instance

pytestmark = pytest.mark.filterwarnings("ignore")


@dg.asset
def counted() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"rows": 7})


@dg.asset_check(asset=counted)
def is_seven() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


JOB = dg.Definitions(
    assets=[counted], asset_checks=[is_seven], jobs=[dg.define_asset_job("all_of_it")]
).resolve_job_def("all_of_it")


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with open_instance(tmp_path) as opened:
        yield opened


def _pooled(instance: dg.DagsterInstance) -> PooledSqliteEventLogStorage:
    storage = instance.event_log_storage
    assert isinstance(storage, PooledSqliteEventLogStorage)
    return storage


def test_dagsters_own_class_reads_what_was_written(instance: dg.DagsterInstance) -> None:
    run = JOB.execute_in_process(instance=instance)
    own = SqliteEventLogStorage(_pooled(instance)._base_dir)
    own.register_instance(instance)
    said = [
        (e.event_log_entry.dagster_event_type) for e in own.get_records_for_run(run.run_id).records
    ]
    assert said == [
        e.event_log_entry.dagster_event_type
        for e in _pooled(instance).get_records_for_run(run.run_id).records
    ]
    assert dg.DagsterEventType.ASSET_MATERIALIZATION in said
    latest = own.get_latest_materialization_events([counted.key])[counted.key]
    assert latest is not None
    assert latest.run_id == run.run_id


def test_few_files_stay_open_and_every_run_stays_readable(instance: dg.DagsterInstance) -> None:
    runs = [JOB.execute_in_process(instance=instance).run_id for _ in range(MAX_OPEN_FILES + 3)]
    with ThreadPoolExecutor(4) as threads:
        logs = list(threads.map(lambda run: instance.all_logs(run), runs * 2))
    assert all(log[-1].dagster_event_type == dg.DagsterEventType.RUN_SUCCESS for log in logs)
    assert len(_pooled(instance)._engines) <= MAX_OPEN_FILES


def test_wiping_leaves_a_log_that_works(instance: dg.DagsterInstance) -> None:
    first = JOB.execute_in_process(instance=instance).run_id
    _pooled(instance).wipe()
    assert instance.all_logs(first) == []
    assert JOB.execute_in_process(instance=instance).success
