"""What assets are given: the run they belong to, opened once a process and held for one run at a time.

No `from __future__ import annotations` here: Dagster reads the annotations of configurable resources.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from orchestration.lib.settings import read_settings
from orchestration.lib.steps import Run, finish_erasures, only_run, open_run

# The one writer of the warehouse file; `dagster.yaml` gives every pool one slot.
WAREHOUSE_POOL = "warehouse"
AS_OF_TAG = "lifecycle/as_of"
NO_SEND_TAG = "lifecycle/no_send"
ACCEPT_MERGES_TAG = "lifecycle/accept_merges"
FULL_TAG = "lifecycle/full"


# Dagster copies resources, and a copy loses what was put into it: the command line's opened run is handed over here.
_handed_over: list[Run] = []


@contextmanager
def hand_over(run: Run) -> Iterator[None]:
    """Let Dagster runs of this process work in a run that is open already (the command line's, over several ticks)."""
    _handed_over.append(run)
    try:
        yield
    finally:
        _handed_over.pop()


class LifecycleResource(dg.ConfigurableResource):
    """The run that assets work in: the one handed over, else one opened from the settings."""

    _run: Run | None = PrivateAttr(default=None)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["LifecycleResource"]:
        """Hold the home's run lock and the opened run for the length of one Dagster run."""
        del context
        with ExitStack() as stack:
            opened = _handed_over[-1] if _handed_over else None
            settings = opened.settings if opened else read_settings()
            stack.enter_context(only_run(settings.home))
            self._run = opened or stack.enter_context(open_run(settings))
            finish_erasures(self._run)
            yield self

    @property
    def run(self) -> Run:
        """The open run."""
        if self._run is None:
            raise dg.DagsterInvariantViolationError("the lifecycle resource is used outside a run")
        return self._run


def run_as_of(context: Any) -> datetime:
    """Return the moment a Dagster run is about, aware UTC: its tag, else when the run was created.

    Raises:
        dg.Failure: The tag is no instant.
    """
    text = context.run.tags.get(AS_OF_TAG)
    if text is None:
        record = context.instance.get_run_record_by_id(context.run.run_id)
        if record is None:
            return datetime.now(UTC)
        return record.create_timestamp.astimezone(UTC)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise dg.Failure(
            f"The run tag {AS_OF_TAG} is {text!r}, not an ISO instant such as 2026-11-01T00:00:00Z."
        ) from None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def reason_not_to_send(context: Any) -> str | None:
    """Say why a Dagster run must not send, or None: a backfill never does."""
    tags = context.run.tags
    if tags.get("dagster/backfill"):
        return "a backfill never sends"
    if tags.get(NO_SEND_TAG):
        return "the run was started with --no-send"
    return None
