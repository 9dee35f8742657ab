"""What comes back: inbound events, consent statements, suppressions, exits, kill switches.

Belongs here: idempotent landing. Does not belong here: reading a provider's webhook
(`activations.gateway`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, Table, delete
from sqlalchemy.dialects import postgresql, sqlite

from activations.ledger.schema import (
    consent_statements,
    entry_exits,
    inbound_events,
    kill_switches,
    suppressions,
)
from activations.ledger.settlements import confirm, write_suppressions
from activations.rows import ConsentStatement, InboundEvent, Suppression

# Any of these proves that the provider took the message, also when it could not deliver it.
_PROVES_HANDOVER = frozenset(
    {"sent", "delivered", "read", "open", "click", "failed", "bounce", "complaint"}
)


def land_events(connection: Connection, events: Sequence[InboundEvent], *, now: datetime) -> int:
    """Insert events not seen before and settle the unknowns they prove."""
    unique = {event.event_id: event for event in events}
    landed = insert_new(connection, inbound_events, [asdict(event) for event in unique.values()])
    proven = [
        event
        for event in unique.values()
        if event.intent_key is not None and event.event in _PROVES_HANDOVER
    ]
    if proven:
        confirm(
            connection,
            sorted({event.intent_key for event in proven if event.intent_key is not None}),
            provider_message_ids={
                event.intent_key: event.provider_message_id
                for event in proven
                if event.intent_key is not None and event.provider_message_id is not None
            },
            now=now,
        )
    return landed


def land_statements(connection: Connection, statements: Sequence[ConsentStatement]) -> int:
    """Append consent statements not recorded before."""
    return insert_new(connection, consent_statements, [asdict(row) for row in statements])


def suppress(connection: Connection, rows: Sequence[Suppression], *, now: datetime) -> None:
    """Upsert suppressions."""
    write_suppressions(connection, [asdict(row) | {"updated_at": now} for row in rows])


def lift_suppression(connection: Connection, *, address: str, channel: str, scope: str) -> int:
    """Delete a suppression; returns how many there were."""
    return connection.execute(
        delete(suppressions).where(
            suppressions.c.address == address,
            suppressions.c.channel == channel,
            suppressions.c.scope == scope,
        )
    ).rowcount


def record_exit(
    connection: Connection,
    *,
    journey_key: str,
    entry_key: str,
    customer_id: str,
    exited_at: datetime,
    reason: str,
) -> int:
    """Record that a customer left a journey entry; the first record stays."""
    return insert_new(
        connection,
        entry_exits,
        [
            {
                "journey_key": journey_key,
                "entry_key": entry_key,
                "customer_id": customer_id,
                "exited_at": exited_at,
                "reason": reason,
            }
        ],
    )


def set_kill_switch(connection: Connection, *, scope: str, reason: str, since: datetime) -> int:
    """Turn a kill switch on; one that is on stays as it is."""
    return insert_new(
        connection, kill_switches, [{"scope": scope, "reason": reason, "since": since}]
    )


def clear_kill_switch(connection: Connection, *, scope: str) -> int:
    """Turn a kill switch off."""
    return connection.execute(delete(kill_switches).where(kill_switches.c.scope == scope)).rowcount


def insert_new(connection: Connection, table: Table, rows: Sequence[dict[str, object]]) -> int:
    """Insert rows, leaving out those whose key is there; returns how many were new."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = 0
    for row in rows:
        # One statement a row: drivers do not report how many of a batch were new.
        new += connection.execute(
            dialect.insert(table).values(row).on_conflict_do_nothing()
        ).rowcount
    return new
