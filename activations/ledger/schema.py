"""The ledger's tables.

Belongs here: table and column names, which are a contract with dbt staging and with the gateway.
Does not belong here: what may be written when (`activations.ledger.ledger`).

All instants are stored as naive UTC with microseconds and are aware UTC in Python.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime in Python, a timestamp without zone in the database."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(
        self,
        value: Any,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy passes it
    ) -> datetime | None:
        """Drop the zone of an aware datetime.

        Raises:
            ValueError: When the value has no zone: a guess here would move customers' messages.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("the ledger takes aware datetimes in UTC only")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(
        self,
        value: Any,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy passes it
    ) -> datetime | None:
        """Say that the stored instant is UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


# SQLite numbers rows by itself only in a column typed INTEGER.
_RowNumber = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()

intents = Table(
    "intents",
    metadata,
    Column("intent_key", Text, primary_key=True),
    Column("journey_key", Text, nullable=False),
    Column("entry_key", Text, nullable=False),
    Column("step_key", Text, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("arm", Text),
    Column("variant", Text),
    Column("channel", Text),
    Column("address", Text),
    Column("purpose", Text, nullable=False),
    Column("template_id", Text),
    Column("language", Text),
    Column("variables", Text),
    Column("priority", Integer, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("latest_useful_at", UtcDateTime, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text),
    Column("lost_to", Text),
    Column("state", Text),
    Column("run_as_of", UtcDateTime, nullable=False),
    Column("decided_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("ix_intents_address_template", "address", "template_id"),
    Index("ix_intents_channel_state", "channel", "state"),
    Index("ix_intents_customer", "customer_id"),
)

decision_history = Table(
    "decision_history",
    metadata,
    Column("id", _RowNumber, primary_key=True, autoincrement=True),
    Column("intent_key", Text, nullable=False, index=True),
    Column("run_as_of", UtcDateTime, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text),
    Column("lost_to", Text),
    Column("decided_at", UtcDateTime, nullable=False),
)

attempts = Table(
    "attempts",
    metadata,
    Column("attempt_id", Text, primary_key=True),
    Column("intent_key", Text, nullable=False, index=True),
    Column("attempt_no", Integer, nullable=False),
    Column("channel", Text, nullable=False),
    Column("run_as_of", UtcDateTime, nullable=False),
    # The sync run that holds the claim: whether that run still lives decides what the claim means.
    Column("claimed_by", Text, nullable=False),
    Column("claimed_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("status", Text, nullable=False),
    Column("provider_message_id", Text, index=True),
    Column("http_status", Integer),
    Column("error_class", Text),
    Column("error_code", Text),
    Column("error_detail", Text),
    Column("cost", Float),
    Column("currency", Text),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("ix_attempts_status_channel", "status", "channel"),
)

retries = Table(
    "retries",
    metadata,
    Column("intent_key", Text, primary_key=True),
    Column("not_before", UtcDateTime, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("error_class", Text, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

inbound_events = Table(
    "inbound_events",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("provider_message_id", Text),
    Column("intent_key", Text, index=True),
    Column("address", Text),
    Column("occurred_at", UtcDateTime, nullable=False),
    Column("received_at", UtcDateTime, nullable=False, index=True),
    Column("reason", Text),
    Column("is_machine", Boolean),
)

consent_statements = Table(
    "consent_statements",
    metadata,
    Column("id", _RowNumber, primary_key=True, autoincrement=True),
    Column("address", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("stated_at", UtcDateTime, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("evidence", Text),
    UniqueConstraint("address", "channel", "purpose", "status", "stated_at"),
)

suppressions = Table(
    "suppressions",
    metadata,
    Column("address", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("until", UtcDateTime),
    Column("updated_at", UtcDateTime, nullable=False),
)

entry_exits = Table(
    "entry_exits",
    metadata,
    Column("journey_key", Text, primary_key=True),
    Column("entry_key", Text, primary_key=True),
    Column("customer_id", Text, primary_key=True),
    Column("exited_at", UtcDateTime, nullable=False),
    Column("reason", Text, nullable=False),
)

kill_switches = Table(
    "kill_switches",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("since", UtcDateTime, nullable=False),
    Column("reason", Text, nullable=False),
)

audience_members = Table(
    "audience_members",
    metadata,
    Column("audience_key", Text, primary_key=True),
    Column("member_key", Text, primary_key=True),
    Column("payload_hash", BigInteger, nullable=False),
    # Hashed identifiers as the destination took them: a remove names exactly what was put there.
    Column("payload", Text, nullable=False),
    Column("accepted_at", UtcDateTime, nullable=False),
    Column("engine", Text, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

audience_meta = Table(
    "audience_meta",
    metadata,
    Column("audience_key", Text, primary_key=True),
    Column("engine", Text, nullable=False),
    Column("canary_hash", BigInteger, nullable=False),
)

sync_runs = Table(
    "sync_runs",
    metadata,
    Column("sync_run_id", Text, primary_key=True),
    Column("destination", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("run_as_of", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("status", Text, nullable=False),
    *(
        Column(name, Integer, nullable=False, server_default="0")
        for name in (
            "planned",
            "accepted",
            "rejected",
            "unknown",
            "retried",
            "skipped",
            "added",
            "updated",
            "removed",
        )
    ),
    Column("detail", Text),
    Column("updated_at", UtcDateTime, nullable=False),
)

sync_rejections = Table(
    "sync_rejections",
    metadata,
    Column("id", _RowNumber, primary_key=True, autoincrement=True),
    Column("sync_run_id", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("row_key", Text, nullable=False),
    Column("error_class", Text, nullable=False),
    Column("error_code", Text),
    Column("detail", Text),
    Column("occurred_at", UtcDateTime, nullable=False),
    # Of an audience row: a changed payload may be tried again at once, the same one only later.
    Column("payload_hash", BigInteger),
    Index("ix_sync_rejections_row", "destination", "row_key"),
)

rate_tokens = Table(
    "rate_tokens",
    metadata,
    Column("destination", Text, primary_key=True),
    Column("tokens", Float, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("blocked_until", UtcDateTime),
)

# People who asked to be forgotten: what was done where, and hashes by which they are known again.
# No column names a person once everything is done.

erasures = Table(
    "erasures",
    metadata,
    Column("erasure_id", Text, primary_key=True),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    # Tells whether the key of today is the one the hashes were made with.
    Column("key_check", Text, nullable=False),
)

erasure_steps = Table(
    "erasure_steps",
    metadata,
    Column("erasure_id", Text, primary_key=True),
    Column("system", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("status", Text, nullable=False),
    # What the step needs to know of the person; emptied the moment it is done.
    Column("payload", Text),
    Column("detail", Text),
    Column("next_step", Text),
    # JSON: table to rows.
    Column("counts", Text),
    Column("updated_at", UtcDateTime, nullable=False),
)

erased_identifiers = Table(
    "erased_identifiers",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("hash", Text, primary_key=True),
    # Empty for ids learned later, from rows that still come.
    Column("erasure_id", Text),
    Column("erased_at", UtcDateTime, nullable=False),
)
