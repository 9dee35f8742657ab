"""One whole run without the UI: the same Dagster job, in this process, recorded in the same storage.

The job is imported where it is used: Dagster and dbt take seconds to import, and `lifecycle segments` needs neither.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.lib.steps import Run

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from dagster_shared.error import SerializableErrorInfo

DAGSTER_YAML = """\
# Written by lifecycle; edit freely, it is written only when absent.
telemetry:
  enabled: false
event_log_storage:
  module: orchestration.lib.dagster_storage
  class: PooledSqliteEventLogStorage
# One slot in every pool: the warehouse file has one writer.
concurrency:
  pools:
    default_limit: 1
  runs:
    max_concurrent_runs: 1
retention:
  schedule:
    purge_after_days: 90
  sensor:
    purge_after_days:
      skipped: 7
      failure: 30
      success: 90
nux:
  enabled: false
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TickResult:
    """How a run ended.

    Attributes:
        run_id: Dagster's id, shown in the UI.
        succeeded: Whether every step did.
        failures: (step, reason in words) of the steps that failed.
        skipped: Steps that did not run because of a failure or a blocking check before them.
        blocked: (table, what was promised and broken) of blocking contract checks that failed.
        warned: The same of checks whose failure stops nothing by itself.
    """

    run_id: str
    succeeded: bool
    failures: Sequence[tuple[str, str]]
    skipped: Sequence[str]
    blocked: Sequence[tuple[str, str]]
    warned: Sequence[tuple[str, str]]


def prepare_dagster_home(home: Path) -> Path:
    """Create Dagster's storage folder with telemetry off and one writer; returns it."""
    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "dagster.yaml"
    if not config.exists():
        config.write_text(DAGSTER_YAML, encoding="utf-8")
    # Without it a fresh home opens the UI with a sign-up dialog.
    nux = folder / ".nux" / "nux.yaml"
    if not nux.exists():
        nux.parent.mkdir(exist_ok=True)
        nux.write_text("seen: 1\n", encoding="utf-8")
    return folder


@contextmanager
def open_instance(home: Path) -> Iterator[DagsterInstance]:
    """Open Dagster's storage of this home."""
    os.environ["DAGSTER_HOME"] = str(prepare_dagster_home(home))
    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        yield instance


def run_tick(
    run: Run,
    instance: DagsterInstance,
    as_of: datetime,
    *,
    no_send: bool = False,
    accept_merges: bool = False,
    is_full: bool = False,
) -> TickResult:
    """Run the hourly job once for a moment.

    Args:
        run: The opened run.
        instance: Dagster's storage, where the run is recorded.
        as_of: The moment, aware.
        no_send: Decide and show, tell nobody and leave the ledger alone.
        accept_merges: Merge customers even where the growth alarm of identity would not.
        is_full: Build everything anew, not only what changed.
    """
    from orchestration.definitions import defs
    from orchestration.defs.contracts import BLOCKING_CHECK
    from orchestration.defs.resources import (
        ACCEPT_MERGES_TAG,
        AS_OF_TAG,
        FULL_TAG,
        NO_SEND_TAG,
        hand_over,
    )

    wishes = {NO_SEND_TAG: no_send, ACCEPT_MERGES_TAG: accept_merges, FULL_TAG: is_full}
    tags = {
        AS_OF_TAG: as_of.isoformat(),
        **{tag: "true" for tag, is_set in wishes.items() if is_set},
    }
    job = defs.resolve_job_def("hourly")
    with hand_over(run):
        result = job.execute_in_process(
            instance=instance,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            tags=tags,
            raise_on_error=False,
        )
    failures: list[tuple[str, str]] = []
    started: set[str] = set()
    for event in result.all_events:
        if event.is_step_failure and event.step_key:
            data = event.step_failure_data
            if data.error is not None and data.error.cls_name == "DagsterAssetCheckFailedError":
                continue  # a blocking check: `blocked` says more
            said = data.user_failure_data.description if data.user_failure_data else None
            failures.append((event.step_key, said or _in_words(data.error)))
        elif event.is_step_start and event.step_key:
            started.add(event.step_key)
    # A step behind a failure is skipped; one behind a blocking check is not even mentioned.
    skipped = sorted(set(job.graph.node_dict) - started)
    broken = [check for check in result.get_asset_check_evaluations() if not check.passed]
    named = {
        is_blocking: [
            (check.asset_key.to_user_string(), check.description or check.check_name)
            for check in broken
            if (check.check_name == BLOCKING_CHECK) is is_blocking
        ]
        for is_blocking in (True, False)
    }
    return TickResult(
        run_id=result.run_id,
        # A step that was skipped had nothing to work on, whatever Dagster calls the run.
        succeeded=result.success and not skipped,
        failures=failures,
        skipped=skipped,
        blocked=named[True],
        warned=named[False],
    )


def _in_words(error: SerializableErrorInfo | None) -> str:
    """Return what the step itself raised: Dagster wraps it in an error of its own."""
    if error is None:
        return "no reason was given"
    return (error.cause or error).message.strip()
