"""WhatsApp webhooks: signature, statuses, replies, preferences. Pure.

Events come out of order and more than once: each status is keyed by (wamid, status), so repeats
land once, and nothing here depends on what came before. Meta echoes `biz_opaque_callback_data`,
our intent key, which settles a send whose answer was lost.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from activations.gateway.keywords import ReplyKind, classify_reply
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
from activations.rows import ConsentSource, ConsentStatement, InboundEvent, InboundKind

CHANNEL = "whatsapp"
UNDELIVERABLE_CODE = 131026
USER_STOPPED_CODE = 131050

_STATUSES: Mapping[str, InboundKind] = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "played": "read",
    "failed": "failed",
}
_WA_ID = re.compile(r"[1-9][0-9]{6,14}")
_NO_REPLY = frozenset({"system", "unsupported", "errors"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyRules:
    """Phrases that make a reply an opt-out or an opt-in."""

    stop_phrases: frozenset[str]
    start_phrases: frozenset[str]


def is_signed(secret: str, body: bytes, header: str | None) -> bool:
    """Whether `X-Hub-Signature-256` fits the raw body."""
    if not secret or not header:
        return False
    expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), header.strip().encode())


def read_webhook(document: Any, *, received_at: datetime, rules: ReplyRules) -> Reading:
    """Read all events of a webhook; an unreadable one becomes a reject, the others are kept.

    Raises:
        UnreadableEventError: the document is not a WhatsApp webhook at all.
    """
    if not isinstance(document, Mapping) or not isinstance(document.get("entry"), list):
        msg = "the body is not a WhatsApp webhook"
        raise UnreadableEventError(msg)
    items: list[Item] = []
    rejects: list[Reject] = []
    ignored = 0
    for kind, record in _records(document["entry"]):
        try:
            item = _read(kind, record, received_at, rules)
        except UnreadableEventError as error:
            rejects.append(
                Reject(channel=CHANNEL, reason=f"{kind}: {error}", body=dump_source(record))
            )
            continue
        if item is None:
            ignored += 1
        else:
            items.append(item)
    return Reading(items=tuple(items), rejects=tuple(rejects), ignored=ignored)


def _records(entries: list[Any]) -> Iterator[tuple[str, Any]]:
    for entry in entries:
        changes = entry.get("changes") if isinstance(entry, Mapping) else None
        if not isinstance(changes, list):
            yield "entry", entry
            continue
        for change in changes:
            value = change.get("value") if isinstance(change, Mapping) else None
            if not isinstance(value, Mapping):
                yield "change", change
                continue
            known = False
            for kind in ("statuses", "messages", "user_preferences"):
                records = value.get(kind)
                if isinstance(records, list):
                    known = True
                    for record in records:
                        yield kind, record
                elif records is not None:
                    known = True
                    yield kind, records
            if not known:
                # Template reviews, quality, account news: not about a person.
                yield "other", change


def _read(kind: str, record: Any, received_at: datetime, rules: ReplyRules) -> Item | None:
    if kind == "other":
        return None
    if not isinstance(record, Mapping) or kind in ("entry", "change"):
        msg = "not an object of the expected shape"
        raise UnreadableEventError(msg)
    if kind == "statuses":
        return _read_status(record, received_at)
    if kind == "messages":
        return _read_reply(record, received_at, rules)
    return _read_preference(record, received_at)


def _read_status(record: Mapping[str, Any], received_at: datetime) -> Item | None:
    wamid = read_text(record, "id")
    status = read_text(record, "status")
    event = _STATUSES.get(status)
    if event is None:
        return None
    occurred_at = read_epoch(record, "timestamp")
    address = _address(record.get("recipient_id"))
    code, reason = _failure(record) if event == "failed" else (None, None)
    statements: tuple[ConsentStatement, ...] = ()
    if code == USER_STOPPED_CODE and address:
        statements = (
            _statement(
                address,
                "opt_out",
                "provider",
                occurred_at,
                received_at,
                evidence=f"{USER_STOPPED_CODE} on {wamid}",
            ),
        )
    return Item(
        events=(
            InboundEvent(
                event_id=f"wa:{wamid}:{status}",
                channel=CHANNEL,
                event=event,
                provider_message_id=wamid,
                intent_key=read_optional_text(record, "biz_opaque_callback_data"),
                address=address,
                occurred_at=occurred_at,
                received_at=received_at,
                reason=reason,
            ),
        ),
        statements=statements,
        undeliverable=address or "" if code == UNDELIVERABLE_CODE else "",
        source=dump_source(record),
    )


def _failure(record: Mapping[str, Any]) -> tuple[int | None, str]:
    errors = record.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, Mapping):
        return None, "unknown"
    given = first.get("code")
    code = given if isinstance(given, int) else None
    title = first.get("title") or first.get("message") or ""
    return code, f"{code if code is not None else 'unknown'} {safe_sentence(str(title))}".strip()


def _read_reply(record: Mapping[str, Any], received_at: datetime, rules: ReplyRules) -> Item | None:
    kind = read_text(record, "type")
    if kind in _NO_REPLY:
        return None
    inbound_id = read_text(record, "id")
    address = _address(record.get("from"))
    if address is None:
        msg = "from is no phone number"
        raise UnreadableEventError(msg)
    occurred_at = read_epoch(record, "timestamp")
    context = record.get("context")
    answered = read_optional_text(context, "id") if isinstance(context, Mapping) else None
    asked = classify_reply(
        _reply_text(kind, record),
        stop_phrases=rules.stop_phrases,
        start_phrases=rules.start_phrases,
    )

    def event(name: InboundKind, suffix: str = "") -> InboundEvent:
        return InboundEvent(
            event_id=f"wa:{inbound_id}{suffix}",
            channel=CHANNEL,
            event=name,
            provider_message_id=answered,
            address=address,
            occurred_at=occurred_at,
            received_at=received_at,
            # What was written stays out of the ledger; that it was a command does not.
            reason=None if asked == ReplyKind.OTHER else f"keyword {asked}",
        )

    events = [event("reply")]
    statements: tuple[ConsentStatement, ...] = ()
    if asked != ReplyKind.OTHER:
        status = "opt_out" if asked == ReplyKind.STOP else "opt_in"
        events.append(event(status, f":{status}"))
        statements = (
            _statement(
                address, status, "stop_reply", occurred_at, received_at, evidence=inbound_id
            ),
        )
    return Item(events=tuple(events), statements=statements, source=dump_source(record))


def _reply_text(kind: str, record: Mapping[str, Any]) -> str:
    part = record.get(kind)
    if not isinstance(part, Mapping):
        return ""
    if kind == "interactive":
        part = part.get(str(part.get("type")))
        if not isinstance(part, Mapping):
            return ""
        return str(part.get("title") or "")
    return str(part.get("body") or part.get("text") or "")


def _read_preference(record: Mapping[str, Any], received_at: datetime) -> Item | None:
    if record.get("category") != "marketing_messages":
        return None
    value = read_text(record, "value")
    if value not in ("stop", "resume"):
        msg = "value is neither stop nor resume"
        raise UnreadableEventError(msg)
    address = _address(record.get("wa_id"))
    if address is None:
        msg = "wa_id is no phone number"
        raise UnreadableEventError(msg)
    occurred_at = read_epoch(record, "timestamp")
    status = "opt_out" if value == "stop" else "opt_in"
    # Preferences carry no id of their own; a hash keeps the number out of the key.
    digest = hashlib.sha256(f"{address}|{value}|{int(occurred_at.timestamp())}".encode())
    event_id = f"wa:preference:{digest.hexdigest()[:32]}"
    lifts = ()
    if value == "resume":
        lifts = (Lift(address=address, channel=CHANNEL, scope="promotional", at=occurred_at),)
    return Item(
        events=(
            InboundEvent(
                event_id=event_id,
                channel=CHANNEL,
                event=status,
                address=address,
                occurred_at=occurred_at,
                received_at=received_at,
                reason=f"user_preferences {value}",
            ),
        ),
        statements=(
            _statement(address, status, "provider", occurred_at, received_at, evidence=event_id),
        ),
        lifts=lifts,
        source=dump_source(record),
    )


def _statement(
    address: str,
    status: Literal["opt_in", "opt_out"],
    source: ConsentSource,
    stated_at: datetime,
    received_at: datetime,
    *,
    evidence: str,
) -> ConsentStatement:
    return ConsentStatement(
        address=address,
        channel=CHANNEL,
        purpose="promotional",
        status=status,
        source=source,
        stated_at=stated_at,
        received_at=received_at,
        evidence=evidence,
    )


def _address(wa_id: Any) -> str | None:
    """E.164 of a wa_id; None for a business-scoped user id, which is no number."""
    return f"+{wa_id}" if isinstance(wa_id, str) and _WA_ID.fullmatch(wa_id) else None
