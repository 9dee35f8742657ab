"""Pure guards: may this message leave now, may this run go on.

Belongs here: decisions over facts already read. Does not belong here: reading those facts
(`activations.ledger.claims`) or acting on the verdict (`activations.runner`).

These guards repeat, at the last moment, what the warehouse decided up to an hour ago; they never
decide that something new should be sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from activations.errors import InvalidAddressError, VolumeError
from activations.outcomes import FINAL_OUTCOMES, Outcome, Purpose, Reason, State
from activations.rows import ConsentStatement, Intent, MessageRow, Refusal, Suppression

# Same template at most once in this window to one address (CATALOGUE, failsafe).
DUPLICATE_TEMPLATE_WINDOW = timedelta(hours=18)

# A transactional message whose answer was lost may go again after this time: by then a receipt
# would have come. Anything else never does.
TRANSACTIONAL_RESEND_AFTER = timedelta(minutes=15)

# Hand-overs of one transactional message, the first included.
MAX_TRANSACTIONAL_ATTEMPTS = 3

_PHONE = re.compile(r"\+[1-9][0-9]{7,14}")
# Deliberately loose: syntax was judged in the warehouse; this keeps out what breaks a request.
_EMAIL = re.compile(r"[^\s@<>,;\"]+@[^\s@<>,;\"]+\.[^\s@<>,;\".]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimFacts:
    """What the ledger knows about one message at the moment of its claim.

    Attributes:
        statements: Consent statements of the address on the channel.
        suppressions: Suppressions of the address on the channel.
        has_exited: The customer left the journey entry.
        kill_switch: Scope of a kill switch that applies, or None.
        sent_recently: The same template went to the address within the window.
        not_before: When a retry is allowed, or None.
        attempts: Claims made so far.
        last_claimed_at: When the last of them was made.
        erased_at: When whoever had the address asked to be forgotten, or None.
    """

    statements: Sequence[ConsentStatement] = field(default=(), repr=False)
    suppressions: Sequence[Suppression] = field(default=(), repr=False)
    has_exited: bool = False
    kill_switch: str | None = None
    sent_recently: bool = False
    not_before: datetime | None = None
    attempts: int = 0
    last_claimed_at: datetime | None = None
    erased_at: datetime | None = None


def plan_claim(
    intent: Intent | None, row: MessageRow, facts: ClaimFacts, *, channel: str, now: datetime
) -> Refusal | None:
    """Decide whether a message may be claimed.

    Args:
        intent: The recorded intent, None when it was never recorded.
        row: The message to send.
        facts: What the ledger knows at this moment.
        channel: The channel about to send.
        now: The business instant.

    Returns:
        None when it may be sent, else the refusal. A refusal whose outcome equals the intent's
        present one changes nothing in the ledger.
    """
    key = row.intent_key
    if intent is None:
        return Refusal(intent_key=key, outcome=Outcome.PLANNED, reason="not_recorded")
    if not _is_open(intent, facts, now):
        return Refusal(intent_key=key, outcome=intent.outcome, reason="already_handled")
    if (intent.channel, intent.address, intent.template_id) != (
        channel,
        row.address,
        row.template_id,
    ):
        # A newer run decided otherwise while this one was under way.
        return Refusal(intent_key=key, outcome=intent.outcome, reason="stale_row")
    if intent.due_at > now or (facts.not_before is not None and facts.not_before > now):
        return Refusal(intent_key=key, outcome=intent.outcome, reason="not_due")
    if intent.latest_useful_at < now:
        return _skip(key, Reason.EXPIRED)
    if facts.kill_switch is not None:
        return Refusal(intent_key=key, outcome=Outcome.HELD, reason=Reason.KILL_SWITCH)
    if facts.has_exited:
        return _skip(key, Reason.EXITED)
    if is_erased(facts.erased_at, facts.statements, consent_at=row.consent_at):
        return _skip(key, Reason.SUPPRESSED)
    if is_opted_out(intent.purpose, facts.statements, consent_at=row.consent_at):
        return _skip(key, Reason.CONSENT_WITHDRAWN)
    if is_suppressed(intent.purpose, facts.suppressions, now=now):
        return _skip(key, Reason.SUPPRESSED)
    if facts.sent_recently:
        return _skip(key, Reason.DUPLICATE_TEMPLATE)
    return None


def _is_open(intent: Intent, facts: ClaimFacts, now: datetime) -> bool:
    if intent.state == State.UNKNOWN:
        return (
            intent.purpose == Purpose.TRANSACTIONAL
            and facts.attempts < MAX_TRANSACTIONAL_ATTEMPTS
            and facts.last_claimed_at is not None
            and facts.last_claimed_at + TRANSACTIONAL_RESEND_AFTER <= now
        )
    return intent.outcome == Outcome.PLANNED and intent.state in (State.PLANNED, State.RETRY)


def _skip(intent_key: str, reason: Reason) -> Refusal:
    return Refusal(intent_key=intent_key, outcome=Outcome.SKIPPED, reason=reason)


def is_opted_out(
    purpose: str,
    statements: Iterable[ConsentStatement],
    *,
    consent_at: datetime | None = None,
) -> bool:
    """Say whether the latest statement that concerns a purpose is an opt-out.

    A statement about ``all`` concerns every purpose; transactional messages follow those about
    ``service``. Of two statements at the same instant the opt-out wins.

    Args:
        purpose: The message's purpose.
        statements: Statements of one address on one channel, in any order.
        consent_at: Instant of an opt-in known from elsewhere, or None.
    """
    own = "promotional" if purpose == Purpose.PROMOTIONAL else "service"
    latest = max(
        (
            (statement.stated_at, statement.status == "opt_out")
            for statement in statements
            if statement.purpose in (own, "all")
        ),
        default=None,
    )
    if latest is None or not latest[1]:
        return False
    return consent_at is None or consent_at <= latest[0]


def is_erased(
    erased_at: datetime | None,
    statements: Iterable[ConsentStatement],
    *,
    consent_at: datetime | None = None,
) -> bool:
    """Say whether an address is closed because its owner asked to be forgotten and never opted in since.

    Args:
        erased_at: When the owner asked, None when nobody did.
        statements: Statements of the address on one channel, in any order.
        consent_at: Instant of an opt-in known from elsewhere, or None.
    """
    if erased_at is None:
        return False
    if consent_at is not None and consent_at > erased_at:
        return False
    return not any(
        statement.status == "opt_in" and statement.stated_at > erased_at for statement in statements
    )


def is_suppressed(purpose: str, suppressions: Iterable[Suppression], *, now: datetime) -> bool:
    """Say whether a suppression of the address blocks a message of this purpose now."""
    return any(
        (item.scope == "all" or purpose == Purpose.PROMOTIONAL)
        and (item.until is None or item.until > now)
        for item in suppressions
    )


def find_kill_switch(scopes: Iterable[str], *, journey_key: str, channel: str | None) -> str | None:
    """Return the kill switch that stops a message, or None.

    Args:
        scopes: The switches that are on: ``all``, ``journey:KEY``, ``channel:NAME``.
        journey_key: The message's journey.
        channel: The message's channel.
    """
    for scope in scopes:
        if scope in ("all", f"journey:{journey_key}", f"channel:{channel}"):
            return scope
    return None


def check_volume(planned: int, maximum: int | None, *, channel: str) -> None:
    """Stop a run that wants to send more than anybody expected.

    Args:
        planned: Messages the run would send.
        maximum: The absolute maximum of one run on this channel; None sets no limit.
        channel: The channel, for the message.

    Raises:
        VolumeError: When there are more. Nothing was sent; somebody must look at the plan first.
    """
    if maximum is not None and planned > maximum:
        raise VolumeError(
            f"{planned} {channel} messages are planned, the maximum of one run is {maximum}: "
            "nothing was sent. Look at sync_* in the warehouse; if the number is right, raise the "
            "maximum for this run"
        )


def check_phone(address: str) -> None:
    """Insist on an E.164 number with ``+``.

    Raises:
        InvalidAddressError: When it is anything else.
    """
    if not _PHONE.fullmatch(address):
        raise InvalidAddressError("the address is not an E.164 phone number with a leading +")


def check_email(address: str) -> None:
    """Insist on something a mail provider's request can carry.

    Raises:
        InvalidAddressError: When it is anything else.
    """
    if len(address) > 254 or not _EMAIL.fullmatch(address):
        raise InvalidAddressError("the address is not an e-mail address")


def is_final(outcome: str) -> bool:
    """Say whether an outcome never changes again."""
    return outcome in FINAL_OUTCOMES
