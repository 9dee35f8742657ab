"""One transaction around several statements. What belongs: joining or opening one on DuckDB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Runs the block in one transaction: the caller's if one is open, else one of its own.

    An error rolls back only a transaction opened here; the caller's is the caller's to end.
    """
    if _is_open(connection):
        yield
        return
    connection.execute("begin transaction")
    try:
        yield
    except BaseException:
        connection.execute("rollback")
        raise
    connection.execute("commit")


def _is_open(connection: duckdb.DuckDBPyConnection) -> bool:
    # Asking with a second "begin" would abort the caller's transaction. Outside of one, every
    # statement has a transaction, and so a number, of its own.
    first = connection.execute("select txid_current()").fetchone()
    return first == connection.execute("select txid_current()").fetchone()
