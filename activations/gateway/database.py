"""Reads and small writes beside the ledger's own API, with the ledger's own error.

The ledger has no query for what only the gateway asks (how often a number failed, when a
suppression began), and no table for rejects.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import InterfaceError, OperationalError

from activations.errors import LedgerUnavailableError


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction of the gateway's own, committed at the end.

    Raises:
        LedgerUnavailableError: locked or unreachable; a later retry helps.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except (OperationalError, InterfaceError) as error:
        msg = "the ledger is locked or cannot be reached"
        raise LedgerUnavailableError(msg) from error
