"""The ledger's connection: engine, transactions, and who is still alive.

Belongs here: everything that differs between SQLite and PostgreSQL. Does not belong here: what is
written (the other modules of this package).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, Table, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, InterfaceError, OperationalError
from sqlalchemy.pool import StaticPool

from activations.errors import ConfigurationError, LedgerUnavailableError
from activations.ledger.schema import metadata

# Real milliseconds a writer waits for another before it gives up. A write takes a few of them.
_BUSY_TIMEOUT_MS = 30_000


class Database:
    """An engine with short write transactions and locks that die with their process."""

    def __init__(self, url: str) -> None:
        parsed = _parse(url)
        self.is_postgres = parsed.get_backend_name() == "postgresql"
        self._in_memory = not self.is_postgres and parsed.database in (None, "", ":memory:")
        # One connection serves every thread of an in-memory database, so they take turns.
        self._turn = threading.RLock()
        self.engine = self._create_engine(parsed)
        self.locks: RunLocks = self._create_locks(parsed)
        with self.write() as connection:
            if self.is_postgres:
                # Two processes that create the same table at once fail in the catalogue.
                lock_for_transaction(connection, "schema")
            metadata.create_all(connection, checkfirst=True)

    def _create_engine(self, url: URL) -> Engine:
        # Parameters carry phone numbers: an error must not print them.
        if self.is_postgres:
            return create_engine(url, hide_parameters=True, pool_pre_ping=True)
        if self._in_memory:
            engine = create_engine(
                url,
                hide_parameters=True,
                poolclass=StaticPool,
                connect_args={"check_same_thread": False},
            )
        else:
            Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
            engine = create_engine(url, hide_parameters=True)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine

    def _create_locks(self, url: URL) -> RunLocks:
        if self.is_postgres:
            return _AdvisoryLocks(self.engine)
        if self._in_memory:
            return _ProcessLocks()
        return _FileLocks(Path(f"{url.database}.locks"))

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a write transaction, committed at the end and rolled back on an exception.

        Raises:
            LedgerUnavailableError: When the database is locked for too long or unreachable.
        """
        with self._transaction("IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a read transaction: one consistent picture, never in a writer's way.

        Raises:
            LedgerUnavailableError: When the database is unreachable.
        """
        with self._transaction("DEFERRED") as connection:
            yield connection

    @contextmanager
    def _transaction(self, mode: str) -> Iterator[Connection]:
        turn = self._turn if self._in_memory else _NO_TURN
        with turn:
            try:
                with self.engine.connect() as connection:
                    connection = connection.execution_options(sqlite_begin=mode)
                    with connection.begin():
                        yield connection
            except (OperationalError, InterfaceError) as error:
                raise LedgerUnavailableError(
                    "the ledger is locked or cannot be reached: see that its database is up and "
                    "that no other program holds a transaction open on it, then run again"
                ) from error

    def compact(self) -> bool:
        """Rewrite the files so that nothing deleted is left in them.

        Returns:
            False when another connection is in the way: try again later.
        """
        if self._in_memory:
            return True
        # VACUUM runs outside transactions.
        if self.is_postgres:
            autocommit = {"isolation_level": "AUTOCOMMIT"}
            with self.engine.connect().execution_options(**autocommit) as connection:
                connection.exec_driver_sql("VACUUM")
            return True
        plain = self.engine.raw_connection()
        try:
            cursor = plain.cursor()
            cursor.execute("VACUUM")
            row = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError:
            return False
        finally:
            plain.close()
        return row is not None and row[0] == 0

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """Return an INSERT that knows ON CONFLICT in this database's words."""
        return postgresql.insert(table) if self.is_postgres else sqlite.insert(table)

    def dispose(self) -> None:
        """Close the pooled connections."""
        self.engine.dispose()


class _NoTurn:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


_NO_TURN = _NoTurn()


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError(
            "the ledger's address is not a database URL: use sqlite:///PATH or postgresql://..."
        ) from error
    backend = parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise ConfigurationError(f"the ledger runs on sqlite or postgresql, not on {backend}")
    if backend == "postgresql" and parsed.drivername == "postgresql":
        # Newer SQLAlchemy reads the bare name as another driver than the one installed.
        parsed = parsed.set(drivername="postgresql+psycopg2")
    return parsed


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver must not open transactions by itself: `_begin_sqlite` says which kind.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    # FULL: a commit returns after the log is on disk. NORMAL would survive kill -9 as well, but
    # after a power cut it may forget the last commits, and a forgotten claim is a second message
    # to a customer. Claims are batched, so the price is one fsync per batch, not per message.
    cursor.execute("PRAGMA synchronous = FULL")
    # What is deleted is overwritten: an erased person must not be found in the file's free pages.
    cursor.execute("PRAGMA secure_delete = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE takes the write lock first: a transaction that reads, decides and writes must not
    # find at its end that another one wrote in between.
    mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")


def lock_for_transaction(connection: Connection, name: str) -> None:
    """Make transactions that name the same lock wait for each other, on PostgreSQL.

    SQLite's writers take turns anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _lock_key(name)})


def _lock_key(name: str) -> int:
    digest = hashlib.sha256(f"lifecycle-ledger:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


class RunLock(Protocol):
    """A lock held by a live run."""

    def release(self) -> None:
        """Let go. The end of the process does the same, however it ends."""
        ...


class RunLocks(Protocol):
    """Tells live runs from dead ones.

    A lease by time would be wrong twice: business time may be simulated, and a rerun right after a
    crash would have to wait for the lease. The operating system (or the database server) releases
    these locks the moment their process dies.
    """

    def acquire(self, run_id: str) -> RunLock:
        """Mark a run as alive. Run ids are never used twice."""
        ...

    def is_alive(self, run_id: str) -> bool:
        """Say whether the process of a run still holds its lock."""
        ...


class _FileLocks:
    """`flock` on one file a run, beside the SQLite file. Not for network file systems."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def acquire(self, run_id: str) -> RunLock:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / run_id
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return _FileLock(descriptor, path)

    def is_alive(self, run_id: str) -> bool:
        path = self._folder / run_id
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            path.unlink(missing_ok=True)
            return False
        finally:
            os.close(descriptor)


class _FileLock:
    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor: int | None = descriptor
        self._path = path

    def release(self) -> None:
        if self._descriptor is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None


class _AdvisoryLocks:
    """Session-level advisory locks: the server drops them with the connection.

    They need a direct connection; a pooler that shares sessions between clients breaks them. A
    connection that dies under a live run makes its claims look abandoned: they become unknown,
    which is safe, and the run's own answers still settle them.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def acquire(self, run_id: str) -> RunLock:
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text("select pg_advisory_lock(:key)"), {"key": _lock_key(run_id)})
        return _AdvisoryLock(connection)

    def is_alive(self, run_id: str) -> bool:
        key = {"key": _lock_key(run_id)}
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if not connection.execute(text("select pg_try_advisory_lock(:key)"), key).scalar():
                return True
            connection.execute(text("select pg_advisory_unlock(:key)"), key)
            return False


class _AdvisoryLock:
    def __init__(self, connection: Connection) -> None:
        self._connection: Connection | None = connection

    def release(self) -> None:
        if self._connection is not None:
            # Invalidated, not returned: a pooled connection would carry the lock on.
            self._connection.invalidate()
            self._connection.close()
            self._connection = None


class _ProcessLocks:
    """For a database that lives in this process alone."""

    def __init__(self) -> None:
        self._alive: set[str] = set()

    def acquire(self, run_id: str) -> RunLock:
        self._alive.add(run_id)
        return _ProcessLock(self._alive, run_id)

    def is_alive(self, run_id: str) -> bool:
        return run_id in self._alive


class _ProcessLock:
    def __init__(self, alive: set[str], run_id: str) -> None:
        self._alive = alive
        self._run_id = run_id

    def release(self) -> None:
        self._alive.discard(self._run_id)
