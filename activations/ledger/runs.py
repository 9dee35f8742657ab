"""Sync runs and the rows their destinations refused.

Belongs here: one row a run, its counters, its rejections, and what is left of runs that died.
Does not belong here: the liveness lock itself (`activations.ledger.database`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, insert, select, update

from activations.ledger.database import RunLock
from activations.ledger.schema import sync_rejections, sync_runs
from activations.rows import Rejection, RunCounts

RunKind = Literal["messages", "audience"]
RunStatus = Literal["ok", "partial", "stopped", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRun:
    """A run under way. Its lock dies with the process."""

    sync_run_id: str
    destination: str
    kind: RunKind
    run_as_of: datetime
    lock: RunLock = field(repr=False)


def start(
    connection: Connection,
    *,
    sync_run_id: str,
    destination: str,
    kind: RunKind,
    run_as_of: datetime,
    now: datetime,
) -> None:
    """Insert the row of a run that begins."""
    connection.execute(
        insert(sync_runs).values(
            sync_run_id=sync_run_id,
            destination=destination,
            kind=kind,
            run_as_of=run_as_of,
            started_at=now,
            status="running",
            updated_at=now,
        )
    )


def finish(
    connection: Connection,
    sync_run_id: str,
    *,
    status: RunStatus,
    counts: RunCounts,
    detail: str | None,
    now: datetime,
) -> None:
    """Write the end of a run and its counters."""
    connection.execute(
        update(sync_runs)
        .where(sync_runs.c.sync_run_id == sync_run_id)
        .values(status=status, detail=detail, finished_at=now, updated_at=now, **asdict(counts))
    )


def read_running(connection: Connection) -> list[str]:
    """Return the ids of runs that never wrote their end."""
    return list(
        connection.scalars(select(sync_runs.c.sync_run_id).where(sync_runs.c.status == "running"))
    )


def mark_dead(connection: Connection, sync_run_id: str, *, unknown: int, now: datetime) -> None:
    """Write the end a dead run could not write."""
    connection.execute(
        update(sync_runs)
        .where(sync_runs.c.sync_run_id == sync_run_id, sync_runs.c.status == "running")
        .values(
            status="failed",
            detail="the process ended before the run did",
            unknown=unknown,
            finished_at=now,
            updated_at=now,
        )
    )


def reject(
    connection: Connection,
    *,
    sync_run_id: str,
    destination: str,
    rejections: Sequence[Rejection],
    now: datetime,
) -> None:
    """Append refused rows."""
    if not rejections:
        return
    connection.execute(
        insert(sync_rejections),
        [
            asdict(rejection)
            | {"sync_run_id": sync_run_id, "destination": destination, "occurred_at": now}
            for rejection in rejections
        ],
    )
