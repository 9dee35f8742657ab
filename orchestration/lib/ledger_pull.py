"""Copying the ledger into the warehouse, where it is a source like any other.

Each table is replaced in one transaction, and only when it differs: pulling an unchanged ledger changes nothing.
"""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa
import sqlalchemy as sa

from activations.ledger import Ledger
from activations.ledger.schema import UtcDateTime, metadata
from orchestration.sources.landing import PullResult, ensure_raw, note_units, transaction

SOURCE = "ledger"
# What dbt reads. Rate tokens, retries and audience snapshots are the sender's own business.
LEDGER_TABLES = (
    "intents",
    "attempts",
    "decision_history",
    "inbound_events",
    "consent_statements",
    "suppressions",
    "kill_switches",
    "sync_runs",
    "sync_rejections",
)
CHANGES_BY = {
    "intents": "intent_key",
    "attempts": "intent_key",
    "inbound_events": "intent_key",
    "consent_statements": "address",
    "suppressions": "address",
}
"""As TableSpec.changes_by: what messages and consent are worked out again by."""
TABLES = tuple(f"ledger_{table}" for table in LEDGER_TABLES)
_CHUNK = 20_000


def load_ledger(connection: duckdb.DuckDBPyConnection, ledger: Ledger) -> list[PullResult]:
    """Bring `raw.ledger_*` up to what the ledger holds.

    Args:
        connection: Open warehouse, for writing.
        ledger: The ledger.

    Returns:
        One result a table.
    """
    ensure_raw(connection)
    with ledger.engine.connect() as source:
        return [_load_table(connection, source, metadata.tables[name]) for name in LEDGER_TABLES]


def _load_table(
    connection: duckdb.DuckDBPyConnection, source: sa.Connection, table: sa.Table
) -> PullResult:
    target = f"raw.ledger_{table.name}"
    fields = [(column.name, *_types(column)) for column in table.columns]
    declared = ", ".join(f'"{name}" {duck}' for name, duck, _ in fields)
    connection.execute(f"create table if not exists {target} ({declared})")
    connection.execute(f"create or replace temp table ledger_fresh ({declared})")
    read = 0
    result = source.execution_options(stream_results=True).execute(
        sa.select(table).order_by(*table.primary_key.columns)
    )
    while rows := result.fetchmany(_CHUNK):
        read += len(rows)
        columns = list(zip(*rows, strict=True))
        batch = pa.table(
            {
                name: pa.array([_plain(value) for value in values], arrow)
                for (name, _, arrow), values in zip(fields, columns, strict=True)
            }
        )
        connection.register("ledger_batch", batch)
        connection.execute("insert into ledger_fresh select * from ledger_batch")
        connection.unregister("ledger_batch")
    written = _count(connection, f"select * from ledger_fresh except all select * from {target}")
    removed = _count(connection, f"select * from {target} except all select * from ledger_fresh")
    if written or removed:
        with transaction(connection):
            if changes_by := CHANGES_BY.get(table.name):
                note_units(connection, f"{SOURCE}_{table.name}", changes_by, target, "ledger_fresh")
            connection.execute(f"delete from {target}")
            connection.execute(f"insert into {target} select * from ledger_fresh")
    connection.execute("drop table ledger_fresh")
    return PullResult(
        source=SOURCE,
        table=f"ledger_{table.name}",
        rows_read=read,
        rows_written=written,
        rows_removed=removed,
    )


def _count(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(f"select count(*) from ({query})").fetchone()
    assert row is not None  # noqa: S101 - an aggregate always has one row
    return int(row[0])


def _plain(value: Any) -> Any:
    return value.replace(tzinfo=None) if hasattr(value, "tzinfo") else value


def _types(column: sa.Column[Any]) -> tuple[str, pa.DataType]:
    if isinstance(column.type, UtcDateTime):
        return "TIMESTAMP", pa.timestamp("us")
    if isinstance(column.type, sa.Boolean):
        return "BOOLEAN", pa.bool_()
    if isinstance(column.type, sa.Integer):
        return "BIGINT", pa.int64()
    if isinstance(column.type, sa.Float):
        return "DOUBLE", pa.float64()
    return "VARCHAR", pa.string()
