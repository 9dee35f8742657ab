"""Rows that cross the ledger's boundary.

Belongs here: frozen dataclasses handed in and out of `activations.ledger.Ledger`. Addresses never
appear in a repr. Does not belong here: the tables (`activations.ledger.schema`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal, Self

from activations.outcomes import SendOutcome

InboundKind = Literal[
    "sent",
    "delivered",
    "read",
    "open",
    "click",
    "reply",
    "failed",
    "bounce",
    "complaint",
    "opt_out",
    "opt_in",
]
ConsentPurpose = Literal["promotional", "service", "all"]
ConsentStatus = Literal["opt_in", "opt_out"]
ConsentSource = Literal[
    "stop_reply", "one_click_unsubscribe", "provider", "preference_centre", "complaint"
]


class _FromMapping:
    """Builds a row from a warehouse row."""

    __slots__ = ()

    @classmethod
    def from_mapping(cls, row: Mapping[str, Any]) -> Self:
        """Build the row from a mapping; other keys are ignored, naive instants are read as UTC.

        Args:
            row: Column name to value, as the warehouse returns it.

        Raises:
            TypeError: When a column without a default is missing.
        """
        values = {}
        for item in fields(cls):  # type: ignore[arg-type]
            if item.name in row:
                value = row[item.name]
                if isinstance(value, datetime) and value.tzinfo is None:
                    value = value.replace(tzinfo=UTC)
                values[item.name] = value
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(_FromMapping):
    """One decided intent, a row of ``decisions.int_decisions``.

    Attributes:
        variables: JSON text of an object of strings, the template's variables.
        address: E.164 phone with ``+`` or lower-case e-mail; None when nobody is reachable.
    """

    intent_key: str
    journey_key: str
    entry_key: str
    step_key: str
    customer_id: str
    arm: str | None
    variant: str | None
    channel: str | None
    address: str | None = field(repr=False)
    purpose: str
    template_id: str | None
    language: str | None
    variables: str | None = field(repr=False)
    priority: int
    due_at: datetime
    latest_useful_at: datetime
    outcome: str
    reason: str | None
    lost_to: str | None
    decided_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRow(_FromMapping):
    """One message to send, a row of ``sync.sync_<channel>_messages``.

    Attributes:
        variables: JSON text of an object of strings.
        consent_at: Instant of the opt-in the decision relied on. An opt-out in the ledger that is
            older than it does not block; None lets every opt-out in the ledger block.
    """

    intent_key: str
    journey_key: str
    entry_key: str
    step_key: str
    customer_id: str
    purpose: str
    template_id: str
    language: str
    address: str = field(repr=False)
    variables: str = field(repr=False)
    variant: str | None
    priority: int
    due_at: datetime
    latest_useful_at: datetime
    consent_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """An intent as the ledger knows it."""

    intent_key: str
    journey_key: str
    entry_key: str
    step_key: str
    customer_id: str
    arm: str | None
    variant: str | None
    channel: str | None
    address: str | None = field(repr=False)
    purpose: str
    template_id: str | None
    language: str | None
    variables: str | None = field(repr=False)
    priority: int
    due_at: datetime
    latest_useful_at: datetime
    outcome: str
    reason: str | None
    lost_to: str | None
    state: str | None
    run_as_of: datetime
    decided_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedMessage:
    """A message whose claim is committed: it may be handed to the provider, once."""

    attempt_id: str
    attempt_no: int
    intent_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A message that may not be sent now.

    Attributes:
        outcome: The intent's outcome after the refusal.
        reason: Why. For rows that stay planned: ``not_due``, ``rate_limited``, ``busy``,
            ``not_recorded``, ``stale_row`` or ``already_handled``; such a refusal changes nothing.
    """

    intent_key: str
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimResult:
    """What one claim transaction decided.

    Attributes:
        claimed: Messages to send now.
        refused: Messages not to send, each with its reason.
        postponed: Intent keys that passed every check but had no rate token left.
        wait_seconds: Real seconds until a token is there; 0 when none was missing.
    """

    claimed: tuple[ClaimedMessage, ...] = ()
    refused: tuple[Refusal, ...] = ()
    postponed: tuple[str, ...] = ()
    wait_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The verdict on one claimed attempt."""

    attempt_id: str
    intent_key: str
    outcome: SendOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """A token bucket.

    Attributes:
        destination: Whose bucket, shared by every process on this ledger.
        per_second: Tokens that flow in, a second.
        burst: Tokens the bucket holds.
    """

    destination: str
    per_second: float
    burst: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownAttempt:
    """A message handed over whose answer never came."""

    attempt_id: str
    intent_key: str
    journey_key: str
    step_key: str
    customer_id: str
    channel: str
    purpose: str
    claimed_at: datetime
    error_code: str | None
    error_detail: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundEvent:
    """Something a provider, or a person through the gateway, reported.

    Attributes:
        event_id: The provider's own dedupe key, or one made from the parts that identify it.
        occurred_at: When it happened, by the provider.
        received_at: When it reached us.
        is_machine: A machine opened or clicked (link scanners, privacy proxies); None if unknown.
    """

    event_id: str
    channel: str
    event: InboundKind
    provider_message_id: str | None = None
    intent_key: str | None = None
    address: str | None = field(default=None, repr=False)
    occurred_at: datetime
    received_at: datetime
    reason: str | None = None
    is_machine: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentStatement:
    """An opt-in or opt-out, by address."""

    address: str = field(repr=False)
    channel: str
    purpose: ConsentPurpose
    status: ConsentStatus
    source: ConsentSource
    stated_at: datetime
    received_at: datetime
    evidence: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression(_FromMapping):
    """An address that must not be tried on a channel.

    Attributes:
        scope: ``all`` messages or ``promotional`` ones.
        until: When it lifts by itself; None means until somebody lifts it.
    """

    address: str = field(repr=False)
    channel: str
    scope: Literal["all", "promotional"]
    reason: str
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A row a destination refused, or that could not be built for it.

    Attributes:
        row_key: The intent key of a message, the member key of an audience row.
        detail: A sentence for the operator, without any address.
    """

    row_key: str
    error_class: str
    error_code: str | None = None
    detail: str | None = None
    payload_hash: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFault:
    """A planned row that can never be sent as it is: it ends as skipped, with this reason."""

    intent_key: str
    reason: str
    error_code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceMember:
    """A row of an audience as its destination accepted it."""

    member_key: str
    payload_hash: int
    payload: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCounts:
    """Counters of a sync run."""

    planned: int = 0
    accepted: int = 0
    rejected: int = 0
    unknown: int = 0
    retried: int = 0
    skipped: int = 0
    added: int = 0
    updated: int = 0
    removed: int = 0
