"""The words every part of activation shares: outcomes, states, reasons, and what an answer means.

Belongs here: enumerations stored in the ledger and read by dbt, and `SendOutcome`, the channel's
verdict on one provider answer. Does not belong here: which provider code means what (each channel
has its own table) and what the engine does about it (`activations.ledger`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What became of an intent. `SENT`, `GHOST` and `SKIPPED` are final."""

    PLANNED = "planned"
    HELD = "held"
    GHOST = "ghost"
    SENT = "sent"
    SKIPPED = "skipped"


FINAL_OUTCOMES = frozenset({Outcome.SENT, Outcome.GHOST, Outcome.SKIPPED})


class State(StrEnum):
    """Where a planned intent stands with its provider."""

    PLANNED = "planned"
    CLAIMED = "claimed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    RETRY = "retry"


class AttemptStatus(StrEnum):
    """What came of one claim."""

    CLAIMED = "claimed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    RETRY = "retry"


class Purpose(StrEnum):
    """The class of a message, which decides the consent it needs."""

    PROMOTIONAL = "promotional"
    SERVICE = "service"
    TRANSACTIONAL = "transactional"


class Reason(StrEnum):
    """Reasons this package writes. Those of the warehouse's decisions are listed in dbt.

    Attributes:
        SENT: The provider accepted the message.
        UNCONFIRMED: Handed over, the answer never came; a receipt settles it.
        CONSENT_WITHDRAWN: An opt-out arrived after the decision.
        SUPPRESSED: The address is not to be tried on this channel.
        EXITED: The customer left the journey entry after the decision.
        EXPIRED: The moment the message was useful has passed.
        DUPLICATE_TEMPLATE: The same template went to the same address within the window.
        KILL_SWITCH: Held: somebody stopped the journey, the channel or everything.
        PROVIDER_REJECTED: The provider will never take this message.
        INVALID_ADDRESS: The address has not the channel's form.
        INVALID_CONTENT: The variables do not fill the template.
    """

    SENT = "sent"
    UNCONFIRMED = "unconfirmed"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    SUPPRESSED = "suppressed"
    EXITED = "exited"
    EXPIRED = "expired"
    DUPLICATE_TEMPLATE = "duplicate_template"
    KILL_SWITCH = "kill_switch"
    PROVIDER_REJECTED = "provider_rejected"
    INVALID_ADDRESS = "invalid_address"
    INVALID_CONTENT = "invalid_content"


class OutcomeClass(StrEnum):
    """What a provider's answer means to the engine.

    Attributes:
        ACCEPTED: Taken. Accepted is not delivered.
        RETRY: Transient and not processed: try again later.
        HOLD: Valid, but not now (a cap of the user, a paused template): does not count as a try.
        UNKNOWN: It may have been processed: never resent blindly.
        PERM: This message will never pass.
        SUPPRESS: This address must not be tried again.
        STOP: The account, a template or our configuration is at fault: stop sending.
    """

    ACCEPTED = "ACCEPTED"
    RETRY = "RETRY"
    HOLD = "HOLD"
    UNKNOWN = "UNKNOWN"
    PERM = "PERM"
    SUPPRESS = "SUPPRESS"
    STOP = "STOP"


class StopScope(StrEnum):
    """How far a STOP reaches."""

    CHANNEL = "channel"
    TEMPLATE = "template"


class SuppressionScope(StrEnum):
    """Which messages a suppression blocks."""

    ALL = "all"
    PROMOTIONAL = "promotional"


@dataclass(frozen=True, slots=True, kw_only=True)
class SendOutcome:
    """A channel's verdict on one answer (or on the answer that never came).

    Attributes:
        outcome: What it means.
        provider_message_id: The provider's id of an accepted message.
        http_status: Status of the answer; None when there was none.
        error_code: The provider's own code, as text.
        error_detail: A sentence for the operator, without any address or token.
        retry_after: Seconds before the next try, when the answer or the table says so.
        max_tries: Tries after which a RETRY is given up; None means until it is no longer useful.
        throttled: The whole destination must go slower, not just this message.
        stop_scope: How far a STOP reaches; a HOLD of a whole template names it too.
        suppress_scope: Which messages a SUPPRESS blocks.
        suppress_for: Seconds a suppression lasts; None means until it is lifted.
        suppress_after: With PERM: suppress the address at this many answers of the same code.
        cost: Price of the accepted message in `currency`, when the provider says it.
        currency: ISO 4217 code of `cost`.
    """

    outcome: OutcomeClass
    provider_message_id: str | None = None
    http_status: int | None = None
    error_code: str | None = None
    error_detail: str | None = None
    retry_after: float | None = None
    max_tries: int | None = None
    throttled: bool = False
    stop_scope: StopScope | None = None
    suppress_scope: SuppressionScope = SuppressionScope.ALL
    suppress_for: float | None = None
    suppress_after: int | None = None
    cost: float | None = None
    currency: str | None = None
