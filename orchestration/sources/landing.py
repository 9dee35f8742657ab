"""How rows reach the `raw` schema: canonical tables, one transaction a unit, and the pull state.

What belongs here: the shape of a raw table, the two ways of landing (replace a window, upsert by
key), and `raw._pulls`, which remembers how far each unit was read. The state is a table of the
warehouse so that rows and the cursor that says they were read commit together. What does not: any
knowledge of a particular source.

Both ways of landing compare first and write only differences: pulling an unchanged source again
changes nothing, neither a row nor the pull state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import pyarrow as pa

RAW_SCHEMA = "raw"
PULLS_TABLE = "raw._pulls"
CHANGES_TABLE = "raw._changes"
EVERY_UNIT = "*"
"""Unit of a change to so much of a table that it is read as a whole."""
MOST_UNITS = 1_000_000
"""A landing that changes more units than this notes `EVERY_UNIT`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a raw table.

    Attributes:
        name: Its name, in the source and in raw alike.
        type: Its DuckDB type in raw.
        is_required: Whether a source without it is an error; otherwise it reads as NULL.
        is_time: Whether it holds a moment as text (`YYYY-MM-DD HH:MM:SS[.ffffff]`, source's zone).
    """

    name: str
    type: str
    is_required: bool = True
    is_time: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSpec:
    """A raw table: its columns and, where rows have one, their key.

    Attributes:
        name: Table name without the schema: the source's name, `_`, the source's own name of the table.
        columns: All columns, in order.
        key: Columns that identify a row; empty means that the whole row is its own identity.
        changes_by: Column whose values are noted as changed when rows of theirs are, for staging
            models that read only these again. None where staging reads the whole table.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    changes_by: str | None = None

    @property
    def qualified(self) -> str:
        """Name for SQL, with the schema."""
        return f"{RAW_SCHEMA}.{quote(self.name)}"

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of all columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def identity(self) -> tuple[str, ...]:
        """The key, or all columns of a table without one."""
        return self.key or self.column_names


@dataclass(frozen=True, slots=True, kw_only=True)
class PullResult:
    """What one pull did to one raw table.

    Attributes:
        source: Name of the source (`ga4`, `admin`, `crm`).
        table: Name of the raw table, without the schema.
        rows_read: Rows the source handed over.
        rows_written: Rows inserted or changed in raw; of a replaced window, all its new rows.
        rows_removed: Rows deleted from raw because the source no longer has them; of a replaced
            window, all its old rows.
        rows_erased: Rows the source handed over of people who were erased: left out.
        cursor: How far the source has been read now (a moment, an id or a table name).
        note: What a person should know (absent optional table, ignored columns), or None.
    """

    source: str
    table: str
    rows_read: int = 0
    rows_written: int = 0
    rows_removed: int = 0
    rows_erased: int = 0
    cursor: str | None = None
    note: str | None = None

    @property
    def has_changed(self) -> bool:
        """Whether the raw table differs from what it was before."""
        return bool(self.rows_written or self.rows_removed)


@dataclass(frozen=True, slots=True, kw_only=True)
class PullState:
    """How far one unit of a table (a file, an export table, or the whole) has been read.

    Attributes:
        cursor: Highest cursor value read, as text.
        fingerprint: What the unit looked like at the source when it was read.
        row_count: Rows of the unit in raw.
        full_read_at: As-of (aware UTC) of the last read of the whole unit.
    """

    cursor: str | None = None
    fingerprint: str | None = None
    row_count: int | None = None
    full_read_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LandedCounts:
    """Rows written to and removed from a raw table by one landing."""

    written: int = 0
    removed: int = 0


def quote(identifier: str) -> str:
    """Return `identifier` quoted for SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return `text` as an SQL string literal, for the places where DuckDB binds no parameters."""
    return "'" + text.replace("'", "''") + "'"


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit what happens inside, or roll it back as a whole when anything is raised."""
    connection.execute("begin transaction")
    try:
        yield
    except BaseException:
        connection.execute("rollback")
        raise
    connection.execute("commit")


def ensure_raw(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the schema `raw` and the pull state table when they are not there."""
    connection.execute(f"create schema if not exists {RAW_SCHEMA}")
    connection.execute(
        f"""
        create table if not exists {PULLS_TABLE} (
            source varchar not null,
            table_name varchar not null,
            unit varchar not null,
            cursor varchar,
            fingerprint varchar,
            row_count bigint,
            full_read_at timestamp
        )
        """
    )
    connection.execute(
        f"""
        create table if not exists {CHANGES_TABLE} (
            change_id bigint not null,
            source varchar not null,
            table_name varchar not null,
            unit varchar not null
        )
        """
    )


def note_change(connection: duckdb.DuckDBPyConnection, source: str, table: str, unit: str) -> None:
    """Remember that a unit's rows in raw are not what they were; incremental models read it again.

    Call it in the transaction that changed them. Change ids grow by one from 1.
    """
    connection.execute(
        f"insert into {CHANGES_TABLE}"
        f" select coalesce(max(change_id), 0) + 1, ?, ?, ? from {CHANGES_TABLE}",
        [source, table, unit],
    )


def note_units(
    connection: duckdb.DuckDBPyConnection, table: str, changes_by: str, before: str, now: str
) -> None:
    """Note the units of a raw table whose rows differ between two relations, NULL left out.

    Call it in the transaction that changes them, before it does.

    Args:
        connection: Open warehouse.
        table: The raw table, without the schema, named after its source: `crm_messages`.
        changes_by: Column whose values are the units.
        before: A table name or parenthesised query.
        now: Another with the same columns in the same order.
    """
    unit = quote(changes_by)
    # sums of hashes: equal for equal multisets of rows, and nothing is sorted or joined
    connection.execute(
        f"""
        create or replace temp table _landing_units as
        select cast({unit} as varchar) as unit
        from (
            select {unit}, cast(hash(content) as hugeint) as digest, 1 as side
            from {now} as content
            union all
            select {unit}, -cast(hash(content) as hugeint), -1
            from {before} as content
        ) as sides
        where {unit} is not null
        group by {unit}
        having sum(side) <> 0 or sum(digest) <> 0
        """
    )
    source, _, _ = table.partition("_")
    if count_rows(connection, "_landing_units") > MOST_UNITS:
        note_change(connection, source, table, EVERY_UNIT)
    else:
        connection.execute(
            f"insert into {CHANGES_TABLE}"
            f" select (select coalesce(max(change_id), 0) + 1 from {CHANGES_TABLE}), ?, ?, unit"
            " from _landing_units",
            [source, table],
        )
    connection.execute("drop table _landing_units")


def ensure_table(connection: duckdb.DuckDBPyConnection, spec: TableSpec) -> None:
    """Create the raw table of `spec`, or add the columns that a newer version declares."""
    ensure_raw(connection)
    columns = ", ".join(f"{quote(column.name)} {column.type}" for column in spec.columns)
    connection.execute(f"create table if not exists {spec.qualified} ({columns})")
    present = {
        row[0]
        for row in connection.execute(
            "select column_name from duckdb_columns() where schema_name = ? and table_name = ?"
            " and database_name = current_database()",
            [RAW_SCHEMA, spec.name],
        ).fetchall()
    }
    for column in spec.columns:
        if column.name not in present:
            connection.execute(
                f"alter table {spec.qualified} add column {quote(column.name)} {column.type}"
            )


def read_states(
    connection: duckdb.DuckDBPyConnection, source: str, table: str
) -> dict[str, PullState]:
    """Return the pull state of every unit of a table, by unit."""
    rows = connection.execute(
        f"select unit, cursor, fingerprint, row_count, full_read_at from {PULLS_TABLE}"
        " where source = ? and table_name = ?",
        [source, table],
    ).fetchall()
    return {
        unit: PullState(
            cursor=cursor,
            fingerprint=fingerprint,
            row_count=row_count,
            full_read_at=None if full_read_at is None else full_read_at.replace(tzinfo=UTC),
        )
        for unit, cursor, fingerprint, row_count, full_read_at in rows
    }


def write_state(
    connection: duckdb.DuckDBPyConnection, source: str, table: str, unit: str, state: PullState
) -> None:
    """Store the pull state of a unit; does nothing when it is stored already."""
    if read_states(connection, source, table).get(unit) == state:
        return
    delete_state(connection, source, table, unit)
    full_read_at = state.full_read_at
    connection.execute(
        f"insert into {PULLS_TABLE} values (?, ?, ?, ?, ?, ?, ?)",
        [
            source,
            table,
            unit,
            state.cursor,
            state.fingerprint,
            state.row_count,
            None if full_read_at is None else full_read_at.astimezone(UTC).replace(tzinfo=None),
        ],
    )


def delete_state(connection: duckdb.DuckDBPyConnection, source: str, table: str, unit: str) -> None:
    """Forget the pull state of a unit."""
    connection.execute(
        f"delete from {PULLS_TABLE} where source = ? and table_name = ? and unit = ?",
        [source, table, unit],
    )


def count_rows(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    """Return the number of rows of a table or of a parenthesised query."""
    row = connection.execute(f"select count(*) from {relation}").fetchone()
    return 0 if row is None else int(row[0])


def digest(connection: duckdb.DuckDBPyConnection, relation: str) -> tuple[int, int, int]:
    """Return count, sum and xor of the row hashes: equal for equal multisets of rows.

    Reads every value once and keeps nothing, where `except all` would hold both sides in memory.
    The hash is DuckDB's own and may differ between its versions: compare it, never store it.

    Args:
        connection: Open warehouse.
        relation: A table name or a parenthesised query.
    """
    row = connection.execute(
        f"select count(*), coalesce(sum(hash(content)), 0), coalesce(bit_xor(hash(content)), 0)"
        f" from {relation} as content"
    ).fetchone()
    return (0, 0, 0) if row is None else (int(row[0]), int(row[1]), int(row[2]))


class Staging:
    """A temporary table with the columns of a raw table, filled chunk by chunk.

    It lives outside the transaction that applies it, so that a source that dies half-way has
    touched nothing. Used through `open_staging`.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, spec: TableSpec) -> None:
        self._connection = connection
        self.spec = spec
        self.name = quote(f"_incoming_{spec.name}")
        self.rows = 0
        columns = ", ".join(f"{quote(column.name)} {column.type}" for column in spec.columns)
        connection.execute(f"create or replace temp table {self.name} ({columns})")

    def append(self, chunk: pa.Table) -> None:
        """Add the rows of an Arrow table whose columns are those of the raw table, by name."""
        view = "_incoming_chunk"
        self._connection.register(view, chunk)
        try:
            self._connection.execute(f"insert into {self.name} by name select * from {view}")
        finally:
            self._connection.unregister(view)
        self.rows += chunk.num_rows

    def append_rows(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Add rows given as dictionaries; a missing column reads as NULL."""
        if not rows:
            return
        arrays = {
            column.name: pa.array([row.get(column.name) for row in rows], arrow_type(column.type))
            for column in self.spec.columns
        }
        self.append(pa.table(arrays))


def arrow_type(duckdb_type: str) -> pa.DataType:
    """Return the Arrow type of one of the scalar types raw tables use."""
    return {
        "VARCHAR": pa.string(),
        "BIGINT": pa.int64(),
        "DOUBLE": pa.float64(),
        "BOOLEAN": pa.bool_(),
    }[duckdb_type]


@contextmanager
def open_staging(connection: duckdb.DuckDBPyConnection, spec: TableSpec) -> Iterator[Staging]:
    """Give a `Staging` for the table of `spec` and drop it at the end, whatever happened."""
    staging = Staging(connection, spec)
    try:
        yield staging
    finally:
        connection.execute(f"drop table if exists {staging.name}")


def _matches(left: str, right: str, columns: Sequence[str]) -> str:
    return " and ".join(
        f"{left}.{quote(name)} is not distinct from {right}.{quote(name)}" for name in columns
    )


def apply_upsert(
    connection: duckdb.DuckDBPyConnection,
    staging: Staging,
    *,
    newest_by: str | None = None,
    is_full: bool = False,
) -> LandedCounts:
    """Bring the staged rows into their raw table by key. Call it inside `transaction`.

    A key staged twice keeps the row that is newest by `newest_by`; among equals the order of all
    columns decides, so that the outcome does not depend on the order of arrival. A table without a
    key behaves as a set of rows.

    Args:
        connection: Open warehouse.
        staging: The rows that came.
        newest_by: Column by which one row of a key is newer than another.
        is_full: Whether the staged rows are all there are; then others are deleted from raw.

    Returns:
        Rows inserted or changed, and rows removed.
    """
    spec = staging.spec
    names = ", ".join(quote(name) for name in spec.column_names)
    identity = ", ".join(quote(name) for name in spec.identity)
    newest = f"{quote(newest_by)} desc nulls last, " if newest_by else ""
    tie = ", ".join(f"{quote(name)} desc nulls last" for name in spec.column_names)
    connection.execute(
        f"create or replace temp table _landing_latest as select {names} from {staging.name}"
        f" qualify row_number() over (partition by {identity} order by {newest}{tie}) = 1"
    )
    rest = [name for name in spec.column_names if name not in spec.identity]
    differs = " or ".join(
        f"latest.{quote(name)} is distinct from present.{quote(name)}" for name in rest
    )
    connection.execute(
        f"create or replace temp table _landing_changed as select latest.*"
        f" from _landing_latest as latest left join"
        f" (select *, true as _is_present from {spec.qualified}) as present"
        f" on {_matches('latest', 'present', spec.identity)}"
        f" where present._is_present is null{f' or {differs}' if differs else ''}"
    )
    removed = 0
    written = count_rows(connection, "_landing_changed")
    present = ", ".join(f"present.{quote(name)}" for name in spec.column_names)
    gone = (
        f"from {spec.qualified} as present where not exists (select 1"
        f" from _landing_latest as latest where {_matches('latest', 'present', spec.identity)})"
    )
    replaced = (
        f"from {spec.qualified} as present where exists (select 1"
        f" from _landing_changed as changed where {_matches('changed', 'present', spec.identity)})"
    )
    old = f"select {present} {replaced}"
    if is_full:
        old = f"{old} union all select {present} {gone}"
    if spec.changes_by is not None:
        note_units(connection, spec.name, spec.changes_by, f"({old})", "_landing_changed")
    if is_full:
        removed = _count_of(connection.execute(f"delete {gone}"))
    if written:
        if differs:
            connection.execute(f"delete {replaced}")
        connection.execute(
            f"insert into {spec.qualified} ({names}) select {names} from _landing_changed"
        )
    connection.execute("drop table _landing_changed")
    connection.execute("drop table _landing_latest")
    return LandedCounts(written=written, removed=removed)


def apply_replace(
    connection: duckdb.DuckDBPyConnection,
    spec: TableSpec,
    incoming: str,
    *,
    where: str = "true",
    incoming_digest: tuple[int, int, int] | None = None,
) -> LandedCounts:
    """Make the part of a raw table that `where` selects equal to `incoming`, as a multiset.

    Call it inside `transaction`. Writes nothing when the two are equal already.

    Args:
        connection: Open warehouse.
        spec: The raw table.
        incoming: A table name or parenthesised query with the columns of `spec`, in order.
        where: Condition on the raw table that selects the window.
        incoming_digest: `digest` of `incoming` when the caller has it already.

    Returns:
        Rows of the new and of the old window; both 0 when nothing changed.
    """
    names = ", ".join(quote(name) for name in spec.column_names)
    window = f"(select {names} from {spec.qualified} where {where})"
    new = incoming_digest or digest(connection, incoming)
    removed = count_rows(connection, window)
    if new[0] == removed and (removed == 0 or digest(connection, window) == new):
        return LandedCounts()
    if spec.changes_by is not None:
        note_units(connection, spec.name, spec.changes_by, window, incoming)
    if removed:
        connection.execute(f"delete from {spec.qualified} where {where}")
    if new[0]:
        connection.execute(f"insert into {spec.qualified} ({names}) select * from {incoming}")
    return LandedCounts(written=new[0], removed=removed)


def _count_of(result: duckdb.DuckDBPyConnection) -> int:
    row = result.fetchone()
    return 0 if row is None else int(row[0])


def require_aware(as_of: datetime) -> datetime:
    """Return `as_of` in UTC.

    Raises:
        ValueError: It has no zone.
    """
    if as_of.tzinfo is None:
        raise ValueError("as_of must be an aware datetime")
    return as_of.astimezone(UTC)
