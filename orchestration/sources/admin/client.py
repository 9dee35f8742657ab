"""Pulls the admin panel's tables into `raw.admin_*`, from any database SQLAlchemy can reach.

What belongs here: connecting read-only, deciding how far back to read, streaming rows in, and
saying in our words what went wrong. What does not: the tables themselves (`tables`), value types
(`values`), cleaning (staging).

How far back a table is read:

* **Whole** at the first pull, when its declaration or the database changed, when
  `full_reread_every` has passed since the last whole read, and always when it has no cursor. Rows
  that are gone at the source are then deleted from raw. This is what catches changes that move no
  cursor (the panel corrects `orders.final_price` without touching `updated_at`) and deletions.
* **From the cursor** otherwise: rows at or above the highest cursor value seen minus an overlap,
  and rows whose cursor is NULL. "At or above" because several rows share one second; the overlap
  because a transaction that began earlier may commit later. Landing is by key, so rows read twice
  change nothing.

A cursor from a wrong clock (a moment after `as_of`) is not believed: the stored cursor never passes
`as_of`, else nothing would be new until that moment came.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote as quote_url
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from sqlalchemy.pool import NullPool

from orchestration.sources.admin.tables import ADMIN_TABLES, BY_RAW_NAME, AdminTable
from orchestration.sources.admin.values import UnfitValueError, to_array
from orchestration.sources.erased import Erased, drop_erased
from orchestration.sources.errors import (
    SourceAuthError,
    SourceConfigError,
    SourceError,
    SourceSchemaError,
    SourceUnreachableError,
    raise_collected,
)
from orchestration.sources.landing import (
    PullResult,
    PullState,
    Staging,
    apply_upsert,
    count_rows,
    ensure_table,
    open_staging,
    read_states,
    require_aware,
    transaction,
    write_state,
)

SOURCE = "admin"
TABLES = tuple(table.spec.name for table in ADMIN_TABLES)
_UNIT = "table"

_log = logging.getLogger(__name__)

_AUTH_SIGNS = (
    "password authentication failed",
    "no password supplied",
    "authentication failed",
    "no pg_hba.conf entry",
    "access denied",
    "permission denied",
    "is not permitted to log in",
    'role "',
)
_NO_DATABASE_SIGNS = ('database "', "unknown database")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminConfig:
    """Where the admin panel's database is and how carefully it is read.

    Attributes:
        url: Any SQLAlchemy URL; name the driver (`postgresql+psycopg2://…`). Never shown.
        tenant_timezone: Zone of the panel's times.
        schema: Schema of the tables, when it is not the connection's own.
        connect_timeout_seconds: Patience with a server that does not answer.
        chunk_rows: Rows held in memory at a time.
        full_reread_every: How old the last whole read of a table may be, by as-of.
        overlap: How far below a time cursor rows are read again.
        id_overlap: How far below an id cursor rows are read again.
    """

    url: str = field(repr=False)
    tenant_timezone: str = "Asia/Kolkata"
    schema: str | None = None
    connect_timeout_seconds: int = 10
    chunk_rows: int = 10_000
    full_reread_every: timedelta = timedelta(hours=24)
    overlap: timedelta = timedelta(minutes=15)
    id_overlap: int = 1_000


def pull(
    connection: duckdb.DuckDBPyConnection,
    config: AdminConfig,
    *,
    as_of: datetime,
    tables: Sequence[str] | None = None,
    erased: Erased | None = None,
) -> list[PullResult]:
    """Bring `raw.admin_*` up to what the panel's database holds.

    Args:
        connection: Open warehouse, for writing.
        config: Where the database is.
        as_of: The run's clock (aware): decides when a whole read is due.
        tables: Raw tables wanted (`admin_users`…); all when None. Each is a transaction of its own.
        erased: Who was erased: their rows are left out. None for nobody.

    Returns:
        One result a table.

    Raises:
        SourceError: The database cannot be reached, or some tables cannot be read. The others are
            pulled and committed then; `results` on the error says what was done.
    """
    as_of = require_aware(as_of)
    wanted = [_declared(name) for name in (TABLES if tables is None else tables)]
    for table in wanted:
        ensure_table(connection, table.spec)
    results: list[PullResult] = []
    failures: list[SourceError] = []
    with _open_database(config) as database:
        for table in wanted:
            try:
                results.append(_pull_table(connection, database, table, config, as_of, erased))
            except SourceUnreachableError as error:
                failures.append(error)
                break  # the server is the same for the tables that would follow
            except SourceError as error:
                _log.warning("%s", error)
                failures.append(error)
                # A query that failed has spoiled the source's transaction, not the connection.
                database.connection.rollback()
    raise_collected(failures, results)
    return results


def _declared(name: str) -> AdminTable:
    try:
        return BY_RAW_NAME[name]
    except KeyError as error:
        raise SourceConfigError(
            f"Admin source: {name}", "no such table", f"ask for one of {', '.join(TABLES)}"
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Database:
    """An open, read-only connection to the panel's database."""

    connection: sa.Connection
    name: str
    identity: str
    schema: str | None
    table_names: frozenset[str]


@contextmanager
def _open_database(config: AdminConfig) -> Iterator[_Database]:
    try:
        url = sa.make_url(config.url)
    except sa_exc.ArgumentError:
        # `from None`: SQLAlchemy quotes the URL, password and all.
        raise SourceConfigError(
            "ADMIN_DATABASE_URL",
            "is not a database URL",
            "write it as SQLAlchemy does: driver, ://, user, password, host, port, database",
        ) from None
    server = f"{url.host or 'file'}:{url.port}" if url.port else url.host or "file"
    name = f"Admin database {server}/{Path(url.database or '').name}"
    engine = _create_engine(url, config, name)
    try:
        with _explained(name), engine.connect() as plain:
            connection = plain
            if url.get_backend_name() == "postgresql":
                connection = connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
            elif url.get_backend_name() in {"mysql", "mariadb"}:
                connection.exec_driver_sql("set session transaction read only")
            inspector = sa.inspect(connection)
            names = {
                *inspector.get_table_names(schema=config.schema),
                *inspector.get_view_names(schema=config.schema),
            }
            yield _Database(
                connection=connection,
                name=name,
                identity=url.set(username=None, password=None, query={}).render_as_string(),
                schema=config.schema,
                table_names=frozenset(names),
            )
    finally:
        engine.dispose()


def _create_engine(url: sa.URL, config: AdminConfig, name: str) -> sa.Engine:
    backend = url.get_backend_name()
    try:
        if backend == "sqlite":
            path = Path(url.database or "")
            if not path.is_file():
                raise SourceUnreachableError(
                    name,
                    "there is no such file",
                    "check ADMIN_DATABASE_URL and that the file is mounted",
                )

            def connect() -> sqlite3.Connection:
                return sqlite3.connect(
                    f"file:{quote_url(str(path.absolute()))}?mode=ro",
                    uri=True,
                    timeout=config.connect_timeout_seconds,
                    check_same_thread=False,
                )

            return sa.create_engine(
                "sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True
            )
        arguments: dict[str, Any] = (
            {"connect_timeout": config.connect_timeout_seconds}
            if backend in {"postgresql", "mysql", "mariadb"}
            else {}
        )
        return sa.create_engine(
            url, poolclass=NullPool, hide_parameters=True, connect_args=arguments
        )
    except (sa_exc.NoSuchModuleError, ModuleNotFoundError) as error:
        raise SourceConfigError(
            "ADMIN_DATABASE_URL",
            f"names the driver {url.drivername}, which is not installed",
            "install the driver's package or name another one, for example postgresql+psycopg2",
        ) from error


@contextmanager
def _explained(thing: str) -> Iterator[None]:
    """Turn what the driver raises inside into our errors."""
    try:
        yield
    except sa_exc.DBAPIError as error:
        # `from None`: drivers quote hosts, users and values.
        raise _explain(thing, error) from None


def _explain(thing: str, error: sa_exc.DBAPIError) -> SourceError:
    text = str(error.orig).lower()
    code = getattr(error.orig, "pgcode", None) or ""
    if code.startswith("28") or code == "42501" or any(sign in text for sign in _AUTH_SIGNS):
        return SourceAuthError(
            thing,
            "the server refused the user, the password or the right to read",
            "check user and password in ADMIN_DATABASE_URL and grant it SELECT on the tables",
        )
    if code == "3D000" or (
        any(sign in text for sign in _NO_DATABASE_SIGNS) and "does not exist" in text
    ):
        return SourceConfigError(
            thing, "the server has no such database", "check the name in ADMIN_DATABASE_URL"
        )
    if isinstance(error.orig, sqlite3.DatabaseError) and (
        "not a database" in text or "malformed" in text
    ):
        return SourceConfigError(
            thing,
            "the file is not a SQLite database or is damaged",
            "copy the database again or check ADMIN_DATABASE_URL",
        )
    if isinstance(error, sa_exc.OperationalError | sa_exc.InterfaceError) or (
        error.connection_invalidated
    ):
        return SourceUnreachableError(
            thing,
            f"cannot be reached or broke off ({type(error.orig).__name__})",
            "check that the server runs and is open to this host; the next run tries again",
        )
    return SourceSchemaError(
        thing,
        f"the database refused a query ({type(error.orig).__name__}{code and ' ' + code})",
        "compare its tables and column types with those this pipeline declares",
    )


def _pull_table(
    connection: duckdb.DuckDBPyConnection,
    database: _Database,
    table: AdminTable,
    config: AdminConfig,
    as_of: datetime,
    erased: Erased | None,
) -> PullResult:
    spec = table.spec
    thing = f"{database.name}, table {table.source_name}"
    if table.source_name not in database.table_names:
        if not table.is_optional:
            raise SourceSchemaError(
                thing,
                "the database has no such table",
                "check the database and schema in ADMIN_DATABASE_URL, or ask who renamed it",
            )
        return _empty_absent(connection, table)
    with _explained(thing):
        present, types = _read_columns(database, table)
    missing = [
        column.name for column in spec.columns if column.is_required and column.name not in present
    ]
    if missing:
        raise SourceSchemaError(
            thing,
            f"has no column {', '.join(missing)}",
            "ask who changed the table; rename or restore the column, then start another pull",
        )
    _check_types(table, types, thing)
    state = read_states(connection, SOURCE, spec.name).get(_UNIT, PullState())
    fingerprint = _fingerprint(database, table)
    is_full = (
        table.cursor is None
        or state.cursor is None
        or state.fingerprint != fingerprint
        or state.full_read_at is None
        or not timedelta(0) <= as_of - state.full_read_at < config.full_reread_every
    )
    zone = ZoneInfo(config.tenant_timezone)
    query = _build_query(database, table, present, types, None if is_full else state.cursor, config)
    with open_staging(connection, spec) as staging:
        with _explained(thing):
            _stage_rows(database, table, query, present, staging, zone, config, thing)
        cursor = _next_cursor(connection, table, staging, state, as_of, zone, is_full=is_full)
        # After the cursor: that a row is left out does not mean that it was not read.
        left_out = drop_erased(
            connection, staging.name, spec.name, erased, timezone=config.tenant_timezone
        )
        with transaction(connection):
            counts = apply_upsert(connection, staging, newest_by=table.cursor, is_full=is_full)
            write_state(
                connection,
                SOURCE,
                spec.name,
                _UNIT,
                PullState(
                    cursor=cursor,
                    fingerprint=fingerprint,
                    row_count=count_rows(connection, spec.qualified),
                    full_read_at=as_of if is_full else state.full_read_at,
                ),
            )
        rows_read = staging.rows
    absent = [column.name for column in spec.columns if column.name not in present]
    if counts.written or counts.removed:
        _log.info("admin: %s: %d rows new or changed", table.source_name, counts.written)
    return PullResult(
        source=SOURCE,
        table=spec.name,
        rows_read=rows_read,
        rows_written=counts.written,
        rows_removed=counts.removed,
        rows_erased=left_out,
        cursor=cursor,
        note=f"optional columns absent: {', '.join(absent)}" if absent else None,
    )


def _empty_absent(connection: duckdb.DuckDBPyConnection, table: AdminTable) -> PullResult:
    spec = table.spec
    removed = count_rows(connection, spec.qualified)
    if removed:
        with transaction(connection):
            connection.execute(f"delete from {spec.qualified}")
            write_state(connection, SOURCE, spec.name, _UNIT, PullState(row_count=0))
    return PullResult(
        source=SOURCE,
        table=spec.name,
        rows_removed=removed,
        note=f"optional table {table.source_name} is absent at the source: what uses it is off",
    )


def _fingerprint(database: _Database, table: AdminTable) -> str:
    """Return a mark of the table's declaration and of the database it is read from."""
    declared = "|".join(f"{column.name} {column.type}" for column in table.spec.columns)
    text = f"{declared}|{table.cursor}|{database.identity}|{database.schema}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _read_columns(
    database: _Database, table: AdminTable
) -> tuple[dict[str, str], dict[str, sa.types.TypeEngine[Any]]]:
    """Return our column name → the source's own spelling, and → the source's type."""
    columns = sa.inspect(database.connection).get_columns(table.source_name, schema=database.schema)
    by_lower = {column["name"].lower(): column for column in columns}
    ours = [column.name for column in table.spec.columns if column.name in by_lower]
    return (
        {name: by_lower[name]["name"] for name in ours},
        {name: by_lower[name]["type"] for name in ours},
    )


def _check_types(table: AdminTable, types: dict[str, sa.types.TypeEngine[Any]], thing: str) -> None:
    """Refuse a time that became a number, and a rising id that became text.

    Values are checked as they come; these two are checked by type because the source itself
    compares them with the cursor.
    """
    for column in table.spec.columns:
        type_ = types.get(column.name)
        is_flipped = (
            isinstance(type_, sa.Integer | sa.Numeric | sa.Boolean | sa.LargeBinary)
            if column.is_time
            else column.name == table.cursor and isinstance(type_, sa.String)
        )
        if is_flipped:
            raise SourceSchemaError(
                thing,
                f"column {column.name} has type {type_} at the source and not"
                f" {'a time or text' if column.is_time else column.type}",
                "ask who changed the column's type; mend it, then start another pull",
            )


def _build_query(
    database: _Database,
    table: AdminTable,
    present: dict[str, str],
    types: dict[str, sa.types.TypeEngine[Any]],
    cursor: str | None,
    config: AdminConfig,
) -> sa.Select[Any]:
    # Untyped columns: values come as the driver gives them and `values` decides what they are.
    source = sa.table(
        table.source_name,
        *(sa.column(spelling) for spelling in present.values()),
        schema=database.schema,
    )
    query = sa.select(*(source.c[spelling] for spelling in present.values())).execution_options(
        stream_results=True, max_row_buffer=config.chunk_rows
    )
    if table.cursor is None or cursor is None:
        return query
    column = source.c[present[table.cursor]]
    start = _start_of(cursor, table, types[table.cursor], database, config)
    return query.where(sa.or_(column >= start, column.is_(None)))


def _start_of(
    cursor: str,
    table: AdminTable,
    source_type: sa.types.TypeEngine[Any],
    database: _Database,
    config: AdminConfig,
) -> object:
    """Return the lowest cursor value to read, in the type the source compares with."""
    if table.cursor_kind == "id":
        return int(cursor) - config.id_overlap
    moment = datetime.fromisoformat(cursor) - config.overlap
    is_text = database.connection.dialect.name == "sqlite" or not isinstance(
        source_type, sa.DateTime | sa.Date
    )
    if is_text:
        return moment.isoformat(sep=" ")
    if getattr(source_type, "timezone", False):
        return moment.replace(tzinfo=ZoneInfo(config.tenant_timezone))
    return moment


def _stage_rows(
    database: _Database,
    table: AdminTable,
    query: sa.Select[Any],
    present: dict[str, str],
    staging: Staging,
    zone: ZoneInfo,
    config: AdminConfig,
    thing: str,
) -> None:
    declared = {column.name: column for column in table.spec.columns}
    result = database.connection.execute(query)
    try:
        while rows := result.fetchmany(config.chunk_rows):
            arrays = {}
            for name, values in zip(present, zip(*rows, strict=True), strict=True):
                column = declared[name]
                try:
                    arrays[name] = to_array(column, values, zone)
                except UnfitValueError as error:
                    raise SourceSchemaError(
                        thing,
                        f"column {name} holds a value of type {error} that is no"
                        f" {'time' if column.is_time else column.type}",
                        "ask who changed the column's type; mend it, then start another pull",
                    ) from None
            staging.append(pa.table(arrays))
    finally:
        result.close()


def _next_cursor(
    connection: duckdb.DuckDBPyConnection,
    table: AdminTable,
    staging: Staging,
    state: PullState,
    as_of: datetime,
    zone: ZoneInfo,
    *,
    is_full: bool,
) -> str | None:
    """Return the cursor to keep: the highest believable value seen so far."""
    if table.cursor is None:
        return None
    if table.cursor_kind == "id":
        row = connection.execute(f"select max({table.cursor}) from {staging.name}").fetchone()
        seen = [row[0]] if row and row[0] is not None else []
        if not is_full and state.cursor is not None:
            seen.append(int(state.cursor))
        return str(max(seen)) if seen else None
    limit = as_of.astimezone(zone).replace(tzinfo=None)
    row = connection.execute(
        f"select max(try_cast({table.cursor} as timestamp)) from {staging.name}"
        f" where try_cast({table.cursor} as timestamp) <= ?",
        [limit],
    ).fetchone()
    moments = [row[0]] if row and row[0] is not None else []
    if not is_full and state.cursor is not None:
        moments.append(min(datetime.fromisoformat(state.cursor), limit))
    return max(moments).isoformat(sep=" ") if moments else None
