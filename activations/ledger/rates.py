"""Token buckets that every process on this ledger shares.

Belongs here: taking tokens, and blocking a destination that asked for patience. The instants are
real ones ("wall"), never business time: a provider counts real seconds. Does not belong here: how
fast to go (`activations.transport`).
"""

from __future__ import annotations

import math
from datetime import datetime

from sqlalchemy import Connection, case, select, update
from sqlalchemy.dialects import postgresql, sqlite

from activations.ledger.schema import rate_tokens
from activations.rows import RateLimit


def take(
    connection: Connection, limit: RateLimit, *, want: int, wall: datetime
) -> tuple[int, float]:
    """Take up to `want` tokens.

    Args:
        connection: An open write transaction.
        limit: The bucket and how it fills.
        want: Tokens asked for.
        wall: The real instant.

    Returns:
        Tokens granted, and the real seconds until there is one more when fewer were granted.
    """
    _ensure(connection, limit.destination, tokens=limit.burst, wall=wall)
    row = connection.execute(
        select(rate_tokens).where(rate_tokens.c.destination == limit.destination).with_for_update()
    ).one()
    if row.blocked_until is not None and row.blocked_until > wall:
        return 0, (row.blocked_until - wall).total_seconds()
    # Another machine's clock may be ahead of ours: time never runs backwards here.
    elapsed = max(0.0, (wall - row.updated_at).total_seconds())
    level = min(limit.burst, row.tokens + elapsed * limit.per_second)
    granted = min(want, math.floor(level))
    wait = 0.0
    if granted < want:
        wait = (1 - (level - granted)) / limit.per_second
    if granted or elapsed:
        connection.execute(
            update(rate_tokens)
            .where(rate_tokens.c.destination == limit.destination)
            .values(tokens=level - granted, updated_at=max(wall, row.updated_at))
        )
    return granted, wait


def block(connection: Connection, destination: str, *, until: datetime, wall: datetime) -> None:
    """Let no process call a destination before an instant; a later one already set stays."""
    _ensure(connection, destination, tokens=0.0, wall=wall)
    present = rate_tokens.c.blocked_until
    connection.execute(
        update(rate_tokens)
        .where(rate_tokens.c.destination == destination)
        .values(
            blocked_until=case((present > until, present), else_=until),
            # An empty bucket: the patience asked for does not end in a burst.
            tokens=0.0,
        )
    )


def _ensure(connection: Connection, destination: str, *, tokens: float, wall: datetime) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(
        dialect.insert(rate_tokens)
        .values(destination=destination, tokens=tokens, updated_at=wall)
        .on_conflict_do_nothing()
    )
