"""Snapshots of what each audience destination accepted.

Belongs here: reading a snapshot and moving it, row by row, to what was confirmed. Does not belong
here: the difference between snapshot and wish (`activations.audiences.diff`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from activations.ledger.schema import audience_members, audience_meta, sync_rejections
from activations.rows import AudienceMember

# Keys in one IN list. SQLite takes 32,766 parameters, PostgreSQL's driver has no such limit.
_CHUNK = 10_000


def read_members(connection: Connection, audience_key: str) -> list[AudienceMember]:
    """Return the snapshot of an audience, ordered by member."""
    return [
        AudienceMember(member_key=key, payload_hash=digest, payload=payload)
        for key, digest, payload in connection.execute(
            select(
                audience_members.c.member_key,
                audience_members.c.payload_hash,
                audience_members.c.payload,
            )
            .where(audience_members.c.audience_key == audience_key)
            .order_by(audience_members.c.member_key)
        )
    ]


def read_hashes(connection: Connection, audience_key: str) -> dict[str, int]:
    """Return the snapshot as member key to payload hash."""
    rows = connection.execute(
        select(audience_members.c.member_key, audience_members.c.payload_hash).where(
            audience_members.c.audience_key == audience_key
        )
    )
    return {key: digest for key, digest in rows}  # noqa: C416 - rows are not plain pairs to pyright


def read_payloads(
    connection: Connection, audience_key: str, member_keys: Sequence[str]
) -> dict[str, str]:
    """Return what was put there for some members."""
    found: dict[str, str] = {}
    for chunk in _chunks(member_keys):
        for row in connection.execute(
            select(audience_members.c.member_key, audience_members.c.payload).where(
                audience_members.c.audience_key == audience_key,
                audience_members.c.member_key.in_(chunk),
            )
        ):
            found[row.member_key] = row.payload
    return found


def commit_members(
    connection: Connection,
    audience_key: str,
    *,
    accepted: Sequence[AudienceMember],
    removed: Sequence[str],
    engine: str,
    now: datetime,
) -> None:
    """Move the snapshot by confirmed rows."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    if accepted:
        upsert = dialect.insert(audience_members)
        connection.execute(
            upsert.on_conflict_do_update(
                index_elements=list(audience_members.primary_key),
                set_={
                    name: upsert.excluded[name]
                    for name in ("payload_hash", "payload", "accepted_at", "engine", "updated_at")
                },
            ),
            [
                {
                    "audience_key": audience_key,
                    "member_key": member.member_key,
                    "payload_hash": member.payload_hash,
                    "payload": member.payload,
                    "accepted_at": now,
                    "engine": engine,
                    "updated_at": now,
                }
                for member in accepted
            ],
        )
    for chunk in _chunks(removed):
        connection.execute(
            delete(audience_members).where(
                audience_members.c.audience_key == audience_key,
                audience_members.c.member_key.in_(chunk),
            )
        )


def read_meta(connection: Connection, audience_key: str) -> tuple[str, int] | None:
    """Return the engine and canary hash the snapshot was made with."""
    row = connection.execute(
        select(audience_meta.c.engine, audience_meta.c.canary_hash).where(
            audience_meta.c.audience_key == audience_key
        )
    ).one_or_none()
    return None if row is None else (row.engine, row.canary_hash)


def write_meta(connection: Connection, audience_key: str, *, engine: str, canary_hash: int) -> None:
    """Record the engine and canary hash of the snapshot."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    values = {"engine": engine, "canary_hash": canary_hash}
    connection.execute(
        dialect.insert(audience_meta)
        .values(audience_key=audience_key, **values)
        .on_conflict_do_update(index_elements=[audience_meta.c.audience_key], set_=values)
    )


def read_rejections(
    connection: Connection, destination: str, row_prefix: str
) -> dict[str, list[tuple[datetime, int | None]]]:
    """Return refused audience rows: row key to (when, payload hash), oldest first."""
    found: dict[str, list[tuple[datetime, int | None]]] = {}
    for key, occurred_at, digest in connection.execute(
        select(
            sync_rejections.c.row_key,
            sync_rejections.c.occurred_at,
            sync_rejections.c.payload_hash,
        )
        .where(
            sync_rejections.c.destination == destination,
            func.substr(sync_rejections.c.row_key, 1, len(row_prefix)) == row_prefix,
        )
        .order_by(sync_rejections.c.id)
    ):
        found.setdefault(key[len(row_prefix) :], []).append((occurred_at, digest))
    return found


def _chunks(keys: Iterable[str]) -> Iterable[list[str]]:
    ordered = sorted(keys)
    for start in range(0, len(ordered), _CHUNK):
        yield ordered[start : start + _CHUNK]
