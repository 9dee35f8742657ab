"""SendGrid event webhooks: signature and events. Pure.

`sg_event_id` is the dedupe key. `sg_message_id` is the id our send was answered with, plus a
suffix; our custom args, among them `intent_key`, stand flattened beside the event's own fields.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from activations.errors import ConfigurationError
from activations.gateway.reading import (
    Item,
    Lift,
    Reading,
    Reject,
    UnreadableEventError,
    dump_source,
    read_epoch,
    read_optional_text,
    read_text,
    safe_sentence,
)
from activations.rows import (
    ConsentSource,
    ConsentStatement,
    InboundEvent,
    InboundKind,
    Suppression,
)

CHANNEL = "email"

_EVENTS: Mapping[str, InboundKind] = {
    "processed": "sent",
    "delivered": "delivered",
    "open": "open",
    "click": "click",
    "bounce": "bounce",
    "dropped": "failed",
    "spamreport": "complaint",
    "unsubscribe": "opt_out",
    "group_unsubscribe": "opt_out",
    "group_resubscribe": "opt_in",
}
# Reasons of `dropped` that speak of the address, not of this message.
_DEAD_ADDRESS = re.compile(r"bounced address|invalid|spam reporting address", re.IGNORECASE)
_UNSUBSCRIBED = re.compile(r"unsubscribed address", re.IGNORECASE)
_MESSAGE_SUFFIX = re.compile(r"\.(?:recvd|filter|p3|ismtpd).*$")


def load_public_key(text: str) -> ec.EllipticCurvePublicKey:
    """The verification key, from base64 DER (as SendGrid shows it) or PEM.

    Raises:
        ConfigurationError: it is no public key on P-256.
    """
    try:
        if "BEGIN PUBLIC KEY" in text:
            key = serialization.load_pem_public_key(text.encode())
        else:
            key = serialization.load_der_public_key(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error, UnsupportedAlgorithm) as error:
        msg = "the SendGrid verification key is not a public key: copy it from the mail settings"
        raise ConfigurationError(msg) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        msg = "the SendGrid verification key is not of the P-256 curve"
        raise ConfigurationError(msg)
    return key


def is_signed(
    key: ec.EllipticCurvePublicKey, body: bytes, signature: str | None, timestamp: str | None
) -> bool:
    """Whether the signature fits timestamp and raw body, byte for byte.

    The age of the timestamp is not judged: SendGrid retries for a day, and a replay lands nothing,
    because its events are known.
    """
    if not signature or not timestamp:
        return False
    try:
        key.verify(
            base64.b64decode(signature, validate=True),
            timestamp.encode() + body,
            ec.ECDSA(hashes.SHA256()),
        )
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True


def read_webhook(document: Any, *, received_at: datetime) -> Reading:
    """Read all events of a webhook; an unreadable one becomes a reject, the others are kept.

    Raises:
        UnreadableEventError: the document is not an array.
    """
    if not isinstance(document, list):
        msg = "the body is not an array of events"
        raise UnreadableEventError(msg)
    items: list[Item] = []
    rejects: list[Reject] = []
    ignored = 0
    for record in document:
        try:
            item = _read(record, received_at)
        except UnreadableEventError as error:
            rejects.append(Reject(channel=CHANNEL, reason=str(error), body=dump_source(record)))
            continue
        if item is None:
            ignored += 1
        else:
            items.append(item)
    return Reading(items=tuple(items), rejects=tuple(rejects), ignored=ignored)


def _read(record: Any, received_at: datetime) -> Item | None:
    if not isinstance(record, Mapping):
        msg = "not an object"
        raise UnreadableEventError(msg)
    name = read_text(record, "event")
    event = _EVENTS.get(name)
    if event is None:
        return None
    address = read_text(record, "email").strip().lower()
    occurred_at = read_epoch(record, "timestamp")
    kind = str(record.get("type") or "bounce")
    if name == "bounce" and kind != "bounce":
        # The receiving server refused this one message; the mailbox exists.
        event = "failed"
    message_id = read_optional_text(record, "sg_message_id")
    reason = _reason(name, kind, record)
    statements, suppressions, lifts = _consequences(
        name, kind, reason or "", address, occurred_at, received_at, _event_id(record)
    )
    return Item(
        events=(
            InboundEvent(
                event_id=_event_id(record),
                channel=CHANNEL,
                event=event,
                provider_message_id=message_id and _MESSAGE_SUFFIX.sub("", message_id),
                intent_key=read_optional_text(record, "intent_key"),
                address=address,
                occurred_at=occurred_at,
                received_at=received_at,
                reason=reason,
                is_machine=_is_machine(name, record),
            ),
        ),
        statements=statements,
        suppressions=suppressions,
        lifts=lifts,
        source=dump_source(record),
    )


def _event_id(record: Mapping[str, Any]) -> str:
    given = read_optional_text(record, "sg_event_id")
    if given is not None:
        return f"sg:{given}"
    # Without an id, the same content is the same event.
    digest = hashlib.sha256(dump_source(sorted(record.items(), key=str)).encode())
    return f"sg:sha256:{digest.hexdigest()}"


def _is_machine(name: str, record: Mapping[str, Any]) -> bool | None:
    flag = record.get("sg_machine_open")
    return flag if name == "open" and isinstance(flag, bool) else None


def _reason(name: str, kind: str, record: Mapping[str, Any]) -> str | None:
    if name == "bounce":
        words = f"{record.get('status') or ''} {record.get('bounce_classification') or ''}"
        return f"{kind} {safe_sentence(words)}".strip()
    if name == "dropped":
        return f"dropped {safe_sentence(str(record.get('reason') or ''))}".strip()
    return None


def _consequences(
    name: str,
    kind: str,
    reason: str,
    address: str,
    occurred_at: datetime,
    received_at: datetime,
    evidence: str,
) -> tuple[tuple[ConsentStatement, ...], tuple[Suppression, ...], tuple[Lift, ...]]:
    def says(
        status: Literal["opt_in", "opt_out"], source: ConsentSource
    ) -> tuple[ConsentStatement, ...]:
        return (
            ConsentStatement(
                address=address,
                channel=CHANNEL,
                purpose="promotional",
                status=status,
                source=source,
                stated_at=occurred_at,
                received_at=received_at,
                evidence=evidence,
            ),
        )

    def never_again(why: str) -> tuple[Suppression, ...]:
        return (
            Suppression(
                address=address, channel=CHANNEL, scope="all", reason=why, since=occurred_at
            ),
        )

    match name:
        case "bounce" if kind == "bounce":
            return (), never_again("hard_bounce"), ()
        case "dropped" if _UNSUBSCRIBED.search(reason):
            return says("opt_out", "provider"), (), ()
        case "dropped" if _DEAD_ADDRESS.search(reason):
            return (), never_again("provider_dropped"), ()
        case "spamreport":
            return says("opt_out", "complaint"), never_again("complaint"), ()
        case "unsubscribe" | "group_unsubscribe":
            return says("opt_out", "provider"), (), ()
        case "group_resubscribe":
            lift = Lift(address=address, channel=CHANNEL, scope="promotional", at=occurred_at)
            return says("opt_in", "provider"), (), (lift,)
        case _:
            return (), (), ()
