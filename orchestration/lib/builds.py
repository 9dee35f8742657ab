"""Whether a build of the models may go on from the last one, or must begin anew.

Incremental models look at what changed since the last complete build, and at nobody else. That is right only while
everything but the data stayed as it was and time went forward; this module says when it did. Belongs here: the one
row of `state.last_build`. Which rows changed is the models' own business (`macros/materializations/touched.sql`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb

from orchestration.sources.landing import CHANGES_TABLE, EVERY_UNIT, ensure_raw

REPOSITORY = Path(__file__).resolve().parents[2]
# Whatever is written here decides what tables hold: the rules, the thresholds, and what is set apart.
CODE = {
    "dbt_project": ("models/**/*", "macros/**/*", "seeds/*", "dbt_project.yml"),
    "data_contracts": ("**/*.yml", "**/*.yaml"),
}
CODE_SUFFIXES = {".sql", ".py", ".yml", ".yaml", ".csv"}
FULL_BUILD_AT = time(3, 0)
"""Local time of day after which the first run builds everything anew."""
CATCH_UP = timedelta(hours=6)
"""Longest time since the last build that an incremental one makes good: half a day's changes are as dear as everything,
and take more memory than everything anew."""

# dbt_project/macros/last_build.sql makes it too, for whoever runs dbt by hand.
_LAST_BUILD = """
create table if not exists state.last_build (
    as_of timestamp not null, full_at timestamp not null, change_id bigint not null, code varchar not null
);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """How the next build of all models goes.

    Attributes:
        as_of: The run's moment, aware UTC.
        full_at: Moment of the full build this one stands on; `as_of` when it is one itself.
        change_id: The last change of a raw table it sees.
        code: Fingerprint of the rules.
        reason: Why everything is built anew, in words for a person; None for an incremental build.
    """

    as_of: datetime
    full_at: datetime
    change_id: int
    code: str
    reason: str | None

    @property
    def is_full(self) -> bool:
        """Whether everything is built anew."""
        return self.reason is not None


def fingerprint_code(*settings: str) -> str:
    """Return a digest of every file that says what tables hold, and of the settings that do."""
    digest = hashlib.sha256("\0".join(settings).encode())
    for folder, patterns in CODE.items():
        base = REPOSITORY / folder
        for path in sorted({path for pattern in patterns for path in base.glob(pattern)}):
            if path.suffix in CODE_SUFFIXES:
                digest.update(str(path.relative_to(base)).encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()


def plan_build(
    connection: duckdb.DuckDBPyConnection,
    *,
    as_of: datetime,
    timezone: str,
    is_full: bool = False,
) -> BuildPlan:
    """Decide how to build, and forget the last build when this one does not stand on it.

    Args:
        connection: Warehouse opened by `open_warehouse`, for writing.
        as_of: The run's moment, aware.
        timezone: The tenant's IANA zone; the first run after 03:00 there builds everything anew.
        is_full: Whether somebody asked for a full build.
    """
    code = fingerprint_code(timezone)
    ensure_raw(connection)
    connection.execute(_LAST_BUILD)
    (change_id,) = connection.execute(
        f"select coalesce(max(change_id), 0) from {CHANGES_TABLE}"
    ).fetchone() or (0,)
    last = connection.execute("select as_of, full_at, code from state.last_build").fetchone()
    full_at, reason = as_of, None
    if last is None:
        reason = "there is no complete build to go on from"
    elif is_full:
        reason = "it was asked for"
    elif last[2] != code:
        reason = "models, seeds, contracts or settings changed"
    elif as_of < last[0].replace(tzinfo=UTC):
        reason = "the moment lies before the last build's"
    else:
        last_full = last[1].replace(tzinfo=UTC)
        flood = connection.execute(
            f"select min(table_name) from {CHANGES_TABLE} where unit = ? and change_id >"
            " (select change_id from state.last_build)",
            [EVERY_UNIT],
        ).fetchone() or (None,)
        if flood[0] is not None:
            reason = f"most of raw.{flood[0]} changed"
        elif as_of - last[0].replace(tzinfo=UTC) > CATCH_UP:
            reason = f"the last build lies more than {CATCH_UP // timedelta(hours=1)} hours back"
        elif _full_build_due(last_full, ZoneInfo(timezone)) <= as_of:
            reason = "it is the first run of the day"
        else:
            full_at = last_full
    if reason is not None:
        connection.execute("delete from state.last_build")
    return BuildPlan(
        as_of=as_of, full_at=full_at, change_id=int(change_id), code=code, reason=reason
    )


def record_build(connection: duckdb.DuckDBPyConnection, plan: BuildPlan) -> None:
    """Remember that everything was built as planned: the next build goes on from here."""
    connection.execute("begin transaction")
    touched = connection.execute(
        "select schema_name, table_name from duckdb_tables()"
        " where ends_with(table_name, '__touched') and database_name = current_database()"
    ).fetchall()
    for schema, table in touched:
        connection.execute(f'delete from "{schema}"."{table}"')
    connection.execute("delete from state.last_build")
    connection.execute(
        "insert into state.last_build values (?, ?, ?, ?)",
        [_naive(plan.as_of), _naive(plan.full_at), plan.change_id, plan.code],
    )
    # the newest stays: ids grow from it
    connection.execute(f"delete from {CHANGES_TABLE} where change_id < ?", [plan.change_id])
    connection.execute("commit")


def forget_build(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the next build a full one: rows were changed in a way the models do not notice."""
    connection.execute(_LAST_BUILD)
    connection.execute("delete from state.last_build")


def _full_build_due(full_at: datetime, zone: ZoneInfo) -> datetime:
    local = full_at.astimezone(zone)
    night = datetime.combine(local.date(), FULL_BUILD_AT, tzinfo=zone)
    return night if night > local else night + timedelta(days=1)


def _naive(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(tzinfo=None)
