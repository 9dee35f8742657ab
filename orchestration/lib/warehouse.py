"""Opening the warehouse file, one writer at a time, always closed again; and publishing the copy people read.

One DuckDB file is one process's: an open reader makes the next writer fail. So runs open it only through here,
for as long as they need it, and everybody else reads the published copy.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb

SCHEMAS = (
    "raw",
    "quarantine",
    "state",
    "seeds",
    "staging",
    "intermediate",
    "marts",
    "segments",
    "journeys",
    "decisions",
    "sync",
)
# What people query. Raw rows, addresses in flight and state stay behind.
PUBLISHED_SCHEMAS = ("marts", "segments")
# DuckDB writes files for its oldest readers unless told otherwise. Since this version texts are kept as dictionaries,
# which a condition tries once per value instead of once per row. The published copy stays readable for older ones.
WAREHOUSE_FORMAT = "(storage_version 'v1.3.0')"
LOCK_WAIT_SECONDS = 20.0
DEFAULT_MEMORY = "2GB"


class WarehouseBusyError(Exception):
    """Another process holds the warehouse file. Close it (or wait for the run) and try again."""


class WarehouseMissingError(Exception):
    """There is no published copy yet. Run `lifecycle run` first."""


def as_sql_timestamp(instant: datetime) -> str:
    """Write an aware instant as the naive UTC text that `as_of` is given in: microseconds, no zone."""
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


@contextmanager
def open_warehouse(
    path: Path, *, read_only: bool = False, memory: str = DEFAULT_MEMORY
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the warehouse in UTC with its schemas, and close it whatever happens.

    Args:
        path: The DuckDB file.
        read_only: Whether to open it for reading.
        memory: Most memory to take; what does not fit is done on disk.

    Raises:
        WarehouseBusyError: Another process held the file for longer than LOCK_WAIT_SECONDS.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = _connect(path, read_only=read_only, memory=memory)
    try:
        if not read_only:
            for schema in SCHEMAS:
                connection.execute(f"create schema if not exists {schema}")
        yield connection
    finally:
        connection.close()


def _connect(path: Path, *, read_only: bool, memory: str) -> duckdb.DuckDBPyConnection:
    # The settings are those of dbt_project/profiles.yml: two connections of one process must agree.
    config = {
        "TimeZone": "UTC",
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "preserve_insertion_order": False,
        "memory_limit": memory,
        # DuckDB takes a process that another one spawned for a terminal, and draws in its log.
        "enable_progress_bar": False,
    }
    deadline = time.monotonic() + LOCK_WAIT_SECONDS
    while True:
        try:
            if not read_only and not path.exists():
                _create(path)
            connection = duckdb.connect(str(path), read_only=read_only)
        except duckdb.IOException as error:
            if "lock" not in str(error).lower():
                raise
            if time.monotonic() > deadline:
                raise WarehouseBusyError(
                    f"{path.name} is open in another process. If a run is going on, wait for it; if you opened "
                    f"it yourself, close it and read {path.with_name('published.duckdb').name} instead."
                ) from error
            time.sleep(0.2)
            continue
        for name, value in config.items():
            connection.execute(f"set {name} = {value!r}")
        return connection


def _create(path: Path) -> None:
    with duckdb.connect() as connection:
        attach_new(connection, path, "created")


def attach_new(
    connection: duckdb.DuckDBPyConnection, path: Path, name: str, *, options: str = WAREHOUSE_FORMAT
) -> None:
    """Attach a database file and make it if it is missing: a warehouse's, unless `options` of ATTACH say otherwise."""
    text = str(path).replace("'", "''")
    connection.execute(f"attach '{text}' as {name} {options}")


def publish(warehouse: Path, published: Path) -> int:
    """Replace the published copy by the warehouse's marts and segments, atomically.

    A reader that has the old copy open keeps it; the next one to open gets the new. Returns its size in bytes.
    """
    fresh = published.with_name(f".{published.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with open_warehouse(warehouse) as connection:
        attach_new(connection, fresh, "fresh", options="")
        try:
            for schema in PUBLISHED_SCHEMAS:
                connection.execute(f"create schema if not exists fresh.{schema}")
                tables = connection.execute(
                    "select table_name from information_schema.tables "
                    "where table_catalog = current_database() and table_schema = ? order by table_name",
                    [schema],
                ).fetchall()
                for (table,) in tables:
                    connection.execute(
                        f'create table fresh.{schema}."{table}" as select * from {schema}."{table}"'
                    )
            connection.execute("checkpoint fresh")
        finally:
            connection.execute("detach fresh")
    Path(f"{fresh}.wal").unlink(missing_ok=True)
    os.replace(fresh, published)
    return published.stat().st_size


@contextmanager
def open_published(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the published copy for reading.

    Raises:
        WarehouseMissingError: Nothing was published yet.
    """
    if not path.exists():
        raise WarehouseMissingError(
            f"There is no {path.name} in {path.parent.name}/ yet: run `lifecycle run` (or `make run`) first."
        )
    connection = duckdb.connect(str(path), read_only=True)
    connection.execute("set TimeZone = 'UTC'")
    try:
        yield connection
    finally:
        connection.close()
