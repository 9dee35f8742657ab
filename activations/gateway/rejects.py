"""Signed input that could not be used, kept so that nothing a provider told us is lost.

One row a content: a provider repeats what we refuse for days, and the hundredth copy says nothing
new. Somebody who mends the reader can read the bodies again from here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import BigInteger, Column, Engine, Integer, Table, Text, UniqueConstraint
from sqlalchemy.dialects import postgresql, sqlite

from activations.gateway.database import transaction
from activations.gateway.reading import Reject
from activations.ledger.schema import UtcDateTime, metadata

# SQLite numbers rows by itself only in a column typed INTEGER.
_RowNumber = BigInteger().with_variant(Integer, "sqlite")

inbound_rejects = Table(
    "inbound_rejects",
    metadata,
    Column("id", _RowNumber, primary_key=True, autoincrement=True),
    Column("channel", Text, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("reason", Text, nullable=False),
    Column("body_sha256", Text, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("channel", "body_sha256"),
)


def create_rejects_table(engine: Engine) -> None:
    """Create the table when the ledger was opened before this module was known."""
    with transaction(engine) as connection:
        inbound_rejects.create(connection, checkfirst=True)


def record_rejects(engine: Engine, rejects: Sequence[Reject], *, received_at: datetime) -> None:
    """Keep rejects; what is kept already stays as it was."""
    if not rejects:
        return
    dialect = postgresql if engine.dialect.name == "postgresql" else sqlite
    rows = [
        {
            "channel": reject.channel,
            "received_at": received_at,
            "reason": reject.reason,
            "body_sha256": hashlib.sha256(reject.body.encode()).hexdigest(),
            "body": reject.body,
        }
        for reject in rejects
    ]
    with transaction(engine) as connection:
        connection.execute(
            dialect.insert(inbound_rejects).on_conflict_do_nothing(
                index_elements=[inbound_rejects.c.channel, inbound_rejects.c.body_sha256]
            ),
            rows,
        )


def decode_body(body: bytes) -> str:
    """Raw bytes as text that every database stores; what is no UTF-8 is escaped, not lost."""
    return body.decode("utf-8", "backslashreplace").replace("\x00", "\\x00")
