"""What a webhook says, read but not yet written.

Belongs here: the values the pure readers return, and the checks on single fields that all readers
share. What does not: a provider's shape (`whatsapp`, `sendgrid`) and writing (`landing`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from activations.rows import ConsentStatement, InboundEvent, Suppression
from activations.scrub import scrub

# Year 2000 and 2100: outside, a number is no time of a message.
_EARLIEST = 946_684_800
_LATEST = 4_102_444_800
_MAX_KEY = 512


class UnreadableEventError(Exception):
    """One event of a webhook lacks what it needs; it is kept as a reject, the others land."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lift:
    """A suppression that an opt-in of `at` ends, when it is older."""

    address: str = field(repr=False)
    channel: str
    scope: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One event of a webhook with all it entails; lands as a whole or is rejected as a whole.

    Attributes:
        events: for `inbound_events`.
        statements: for `consent_statements`.
        suppressions: addresses not to try again.
        lifts: suppressions that end.
        undeliverable: address that counts one failure towards suppression, or empty.
        source: the provider's JSON, for a reject.
    """

    events: tuple[InboundEvent, ...] = ()
    statements: tuple[ConsentStatement, ...] = field(default=(), repr=False)
    suppressions: tuple[Suppression, ...] = field(default=(), repr=False)
    lifts: tuple[Lift, ...] = ()
    undeliverable: str = field(default="", repr=False)
    source: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """Something signed by the provider that could not be read or landed."""

    channel: str
    reason: str
    body: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """All that one webhook says.

    Attributes:
        items: readable events.
        rejects: unreadable ones.
        ignored: events that say nothing to us (for example `deferred`).
    """

    items: tuple[Item, ...] = ()
    rejects: tuple[Reject, ...] = ()
    ignored: int = 0


def read_text(record: Mapping[str, Any], name: str) -> str:
    """A required, storable text field.

    Raises:
        UnreadableEventError: missing, empty, no text, too long, or not storable.
    """
    value = record.get(name)
    if not isinstance(value, str) or not value:
        msg = f"{name} is missing"
        raise UnreadableEventError(msg)
    if not is_storable(value):
        msg = f"{name} is not storable text"
        raise UnreadableEventError(msg)
    return value


def read_optional_text(record: Mapping[str, Any], name: str) -> str | None:
    """A text field that may be missing; what is not storable counts as missing."""
    value = record.get(name)
    return value if isinstance(value, str) and value and is_storable(value) else None


def is_storable(text: str) -> bool:
    """Whether every database takes the text as a key: no NUL, no lone surrogate, not too long."""
    if len(text) > _MAX_KEY or "\x00" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_epoch(record: Mapping[str, Any], name: str) -> datetime:
    """An instant from epoch seconds, as number or digits.

    Raises:
        UnreadableEventError: missing, no number, or not a time of this century.
    """
    value = record.get(name)
    is_digits = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 12
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    seconds = float(value) if is_digits or is_number else -1.0  # type: ignore[arg-type]
    if not _EARLIEST <= seconds <= _LATEST:
        msg = f"{name} is no epoch time"
        raise UnreadableEventError(msg)
    return datetime.fromtimestamp(seconds, tz=UTC)


def parse_document(body: bytes) -> Any:
    """The JSON of a webhook.

    Raises:
        UnreadableEventError: it is none, or nested beyond reason.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        msg = "the body is not JSON"
        raise UnreadableEventError(msg) from error


def safe_sentence(text: str) -> str:
    """A provider's free text as every database stores it, without addresses and long numbers."""
    return scrub(text.replace("\x00", " ").encode("utf-8", "replace").decode())


def dump_source(record: Any) -> str:
    """The provider's JSON again, as text every database stores."""
    return json.dumps(record, ensure_ascii=True, default=str)
