"""The values that cross the control API: accepted messages, receipts, faults, recipient rules.

One definition for the server and the client, so the two cannot drift apart. Parsing is strict: an
unknown key in a fault or a receipt is an error, because a misspelt fault that never fires makes a
test pass for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from activations.errors import ActivationError


class ControlError(ActivationError):
    """The control API was asked for something it does not understand; the caller must mend it."""


class Channel(StrEnum):
    """Emulated channels."""

    WHATSAPP = "whatsapp"
    EMAIL = "email"
    META = "meta"
    SLACK = "slack"


class FaultKind(StrEnum):
    """What goes wrong."""

    RATE_LIMIT = "rate_limit"
    SERVER_ERROR = "server_error"
    UNAVAILABLE = "unavailable"
    DROP = "drop"
    DELAY = "delay"
    MALFORMED = "malformed"
    EXPIRED_TOKEN = "expired_token"  # noqa: S105 - the name of a fault
    PROVIDER_ERROR = "provider_error"


# A dropped answer and a garbled one are interesting because the message did go out.
_CARRIED_OUT_BY_DEFAULT = frozenset({FaultKind.DROP, FaultKind.MALFORMED, FaultKind.DELAY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A programmed fault.

    Attributes:
        kind: what goes wrong.
        channel: where, or None for everywhere.
        times: how often it fires at most; None for ever.
        address_pattern: regular expression searched in the recipient; None for all.
        probability: share of matching requests it hits, 0 to 1.
        seed: of the draw. The draw depends on seed, client reference and how often this reference
            was seen, not on the order of requests, so concurrent senders get a repeatable run.
        carried_out: whether the request takes effect before its answer is lost; None for the
            kind's own default (drop, malformed, delay: yes; the others: no).
        retry_after_seconds: of `rate_limit` and `unavailable`.
        delay_seconds: of `delay`, real seconds.
        code: error code of `provider_error` (WhatsApp, Meta) or HTTP status (SendGrid, Slack).
    """

    kind: FaultKind
    channel: Channel | None = None
    times: int | None = 1
    address_pattern: str | None = field(default=None, repr=False)
    probability: float = 1.0
    seed: int = 0
    carried_out: bool | None = None
    retry_after_seconds: int = 1
    delay_seconds: float = 0.0
    code: int = 131000

    def takes_effect(self) -> bool:
        """Whether the message goes out although the answer is bad."""
        if self.carried_out is not None:
            return self.carried_out
        return self.kind in _CARRIED_OUT_BY_DEFAULT

    def to_json(self) -> dict[str, Any]:
        """As posted to `/_sandbox/faults`."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Any) -> Fault:
        """Parse and check.

        Raises:
            ControlError: an unknown key or kind, a bad pattern, a number out of range.
        """
        values = _known_keys(document, cls, what="fault")
        try:
            values["kind"] = FaultKind(values.get("kind", ""))
            if values.get("channel") is not None:
                values["channel"] = Channel(values["channel"])
        except ValueError as error:
            msg = f"fault: {error}"
            raise ControlError(msg) from error
        pattern = values.get("address_pattern")
        if pattern is not None:
            try:
                re.compile(pattern)
            except (re.error, TypeError) as error:
                msg = "fault: address_pattern is no regular expression"
                raise ControlError(msg) from error
        fault = cls(**values)
        if fault.times is not None and (not isinstance(fault.times, int) or fault.times < 1):
            msg = "fault: times must be a whole number from 1, or null"
            raise ControlError(msg)
        if not 0.0 <= fault.probability <= 1.0:
            msg = "fault: probability must be from 0 to 1"
            raise ControlError(msg)
        return fault


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientRule:
    """What happens to messages to some recipients, until told otherwise.

    Attributes:
        pattern: regular expression that must match the whole recipient (`+91…` or an e-mail).
        code: WhatsApp error code (131026 not on WhatsApp, 131049 ecosystem cap, …), or for e-mail
            any number, with `reason` as the drop reason.
        at: `answer` refuses at once; `receipt` accepts, and shows the code as the message's `fate`.
        channel: whatsapp or email.
        reason: text beside the code.
    """

    pattern: str = field(repr=False)
    code: int = 131026
    at: str = "answer"
    channel: Channel = Channel.WHATSAPP
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """As posted to `/_sandbox/recipients`."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Any) -> RecipientRule:
        """Parse and check.

        Raises:
            ControlError: an unknown key, a bad pattern or value.
        """
        values = _known_keys(document, cls, what="recipient rule")
        try:
            re.compile(values.get("pattern") or "")
            values["channel"] = Channel(values.get("channel", Channel.WHATSAPP))
        except (re.error, TypeError, ValueError) as error:
            msg = "recipient rule: pattern or channel is not valid"
            raise ControlError(msg) from error
        if not values.get("pattern") or values.get("at", "answer") not in ("answer", "receipt"):
            msg = "recipient rule: needs a pattern, and `at` is `answer` or `receipt`"
            raise ControlError(msg)
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedMessage:
    """A message a provider took.

    Attributes:
        seq: rises by one with each accepted message, over all channels, also across a reset.
        channel: whatsapp, email or slack.
        message_id: wamid, or SendGrid's X-Message-Id (`ID.N` for the N-th further personalization).
        client_reference: `biz_opaque_callback_data`, or the custom arg `intent_key`.
        to: recipient, `+91…` or e-mail.
        template: WhatsApp template name, or SendGrid template id.
        language: of the template.
        category: marketing, utility… or the first e-mail category.
        subject: of an e-mail.
        variables: template parameters by place (1, 2, …), or the custom args of an e-mail.
        text: what the person reads: the filled-in body, or the plain text of an e-mail.
        links: http(s) addresses in it, in order, each once.
        unsubscribe_url: of the List-Unsubscribe header, empty for none.
        accepted_at: simulated instant.
        fate: reason why the provider will not deliver it (an error code), empty for none.
    """

    seq: int
    channel: str
    message_id: str
    client_reference: str
    to: str = field(repr=False)
    template: str = ""
    language: str = ""
    category: str = ""
    subject: str = ""
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    text: str = field(default="", repr=False)
    links: tuple[str, ...] = field(default=(), repr=False)
    unsubscribe_url: str = field(default="", repr=False)
    accepted_at: datetime
    fate: str = ""

    def to_json(self) -> dict[str, Any]:
        """As listed by `/_sandbox/messages`."""
        document = asdict(self)
        document["accepted_at"] = format_instant(self.accepted_at)
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> AcceptedMessage:
        """The inverse of `to_json`."""
        values = dict(document)
        values["links"] = tuple(values["links"])
        values["accepted_at"] = parse_instant(values["accepted_at"])
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Something that happened to a message, to be told to the gateway by webhook.

    Attributes:
        event: WhatsApp: sent, delivered, read, failed, reply, opt_out, opt_in. E-mail: processed,
            delivered, deferred, bounce, dropped, open, click, complaint, opt_out, opt_in.
        occurred_at: when, aware.
        message_id: of an accepted message; may be empty for reply, opt_out and opt_in that follow
            no message, then `channel` and `address` are needed.
        channel: only without `message_id`.
        address: only without `message_id`.
        detail: `code`, `title` (failed); `text` or `button` (reply); `type` bounce|blocked,
            `status`, `reason` (bounce); `reason` (dropped); `url` (click); `machine` (open);
            `event_id` (e-mail, to force the id).
    """

    event: str
    occurred_at: datetime
    message_id: str = ""
    channel: str = ""
    address: str = field(default="", repr=False)
    detail: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def to_json(self) -> dict[str, Any]:
        """As posted to `/_sandbox/receipts`."""
        document = asdict(self)
        document["occurred_at"] = format_instant(self.occurred_at)
        return document

    @classmethod
    def from_json(cls, document: Any) -> Receipt:
        """Parse and check.

        Raises:
            ControlError: an unknown key, no event, no time, or neither message nor address.
        """
        values = _known_keys(document, cls, what="receipt")
        if not values.get("event"):
            msg = "receipt: event is missing"
            raise ControlError(msg)
        values["occurred_at"] = parse_instant(values.get("occurred_at"))
        values["detail"] = values.get("detail") or {}
        if not values.get("message_id") and not (values.get("channel") and values.get("address")):
            msg = "receipt: needs message_id, or channel and address"
            raise ControlError(msg)
        return cls(**values)


def parse_instant(value: Any) -> datetime:
    """An aware UTC datetime from ISO text with zone, or from epoch seconds.

    Raises:
        ControlError: neither, or a time without a zone.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, tz=UTC)
        instant = datetime.fromisoformat(value)
    except (TypeError, ValueError, OverflowError, OSError) as error:
        msg = "a time must be ISO text with a zone, or epoch seconds"
        raise ControlError(msg) from error
    if instant.tzinfo is None:
        msg = "a time must carry its zone"
        raise ControlError(msg)
    return instant.astimezone(UTC)


def format_instant(instant: datetime) -> str:
    """ISO text in UTC."""
    return instant.astimezone(UTC).isoformat()


def _known_keys(document: Any, kind: type[Any], *, what: str) -> dict[str, Any]:
    if not isinstance(document, Mapping):
        msg = f"{what}: must be an object"
        raise ControlError(msg)
    unknown = sorted(set(document) - {item.name for item in fields(kind)})
    if unknown:
        msg = f"{what}: unknown {', '.join(map(str, unknown))}"
        raise ControlError(msg)
    return dict(document)
