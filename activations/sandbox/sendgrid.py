"""SendGrid v3 mail send: what it accepts, how it refuses, what its event webhook looks like.

Facts from `sendgrid/sendgrid-oai` and the event webhook's reference. One `X-Message-Id` answers all
personalizations; events name a message by that id plus a suffix, with the custom args flattened
beside it. After a hard bounce, a complaint or an unsubscribe later mail to the address is taken
and then dropped, as in life. Erase jobs are taken and done at once. Not emulated: contents of
server-side templates, scheduling, the suppressions API.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from activations.sandbox.records import AcceptedMessage, Channel, ControlError, Receipt
from activations.sandbox.state import Answer, SandboxState
from activations.sandbox.whatsapp import find_links

MAX_PERSONALIZATIONS = 1000
MAX_RECIPIENTS = 1000
MAX_CUSTOM_ARGS_BYTES = 10_000
MAX_CATEGORIES = 10
MAX_CATEGORY_LENGTH = 255
MAX_SEND_AT = timedelta(hours=72)
MAX_ERASED = 5_000
MAX_ERASE_BYTES = 256 * 1024
HELP = "http://sendgrid.com/docs/API_Reference/Web_API_v3/Mail/errors.html"

_EMAIL = re.compile(r"[^@\s<>,;\"]{1,64}@[^@\s<>,;\"]+\.[^@\s<>,;\".]{2,}")
_RESERVED_HEADERS = frozenset(
    [
        "x-sg-id",
        "x-sg-eid",
        "received",
        "dkim-signature",
        "content-type",
        "content-transfer-encoding",
        "to",
        "from",
        "subject",
        "reply-to",
        "cc",
        "bcc",
    ]
)
_HREF = re.compile(r"""href\s*=\s*["']([^"']+)["']""", re.IGNORECASE)
_ANGLE_URL = re.compile(r"<(https?://[^>]+)>")

# Our event names -> SendGrid's.
_EVENTS: Mapping[str, str] = {
    "processed": "processed",
    "delivered": "delivered",
    "deferred": "deferred",
    "bounce": "bounce",
    "failed": "bounce",
    "dropped": "dropped",
    "open": "open",
    "click": "click",
    "complaint": "spamreport",
    "opt_out": "unsubscribe",
    "opt_in": "group_resubscribe",
}


class _Refusal(Exception):  # noqa: N818 - not an error of ours: the answer a provider gives
    """Raised inside validation, turned into the provider's answer."""

    def __init__(self, message: str, field: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.field = field
        self.status = status


def refusal(status: int, message: str, field: str | None = None, **headers: str) -> Answer:
    """SendGrid's error answer."""
    error = {"message": message, "field": field, "help": HELP if field else None}
    return Answer(
        status=status,
        body=json.dumps({"errors": [error]}).encode(),
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        outcome=f"error_{status}",
    )


def refuse_token() -> Answer:
    """401, as for a key that is wrong or was revoked."""
    return refusal(401, "The provided authorization grant is invalid, expired, or revoked")


def parties(payload: Any) -> tuple[str, str]:
    """First recipient and client reference of a request, for faults to match on."""
    if not isinstance(payload, Mapping):
        return "", ""
    people = payload.get("personalizations")
    first = people[0] if isinstance(people, list) and people else {}
    if not isinstance(first, Mapping):
        return "", ""
    to = first.get("to")
    head = to[0] if isinstance(to, list) and to and isinstance(to[0], Mapping) else {}
    arguments = first.get("custom_args") or payload.get("custom_args")
    reference = arguments.get("intent_key") if isinstance(arguments, Mapping) else ""
    return str(head.get("email") or "").lower(), str(reference or "")


def accept(state: SandboxState, *, payload: Any, now: datetime) -> Answer:
    """Validate a mail request whose key was good, and take or refuse it as a whole."""
    try:
        drafts = _validate(state, payload, now)
    except _Refusal as refused:
        return refusal(refused.status, str(refused), refused.field)
    request_id = base64.urlsafe_b64encode(state.new_id("mail")).decode()
    html = next((c["value"] for c in payload.get("content", []) if c["type"] == "text/html"), "")
    for number, (draft, arguments) in enumerate(drafts):
        message_id = request_id if number == 0 else f"{request_id}.{number}"
        extra = {
            "custom_args": arguments,
            "category": payload.get("categories", []),
            "request_id": request_id,
            "number": number,
        }
        state.accept(replace(draft, message_id=message_id), extra=extra, body=html)
    return Answer(status=202, media_type="text/plain", headers={"X-Message-Id": request_id})


def _validate(
    state: SandboxState, payload: Any, now: datetime
) -> list[tuple[AcceptedMessage, dict[str, str]]]:
    if not isinstance(payload, Mapping):
        raise _Refusal("Bad Request")
    people = payload.get("personalizations")
    if not isinstance(people, list) or not people:
        raise _Refusal(
            "The personalizations field is required and must have at least one personalization.",
            "personalizations",
        )
    if len(people) > MAX_PERSONALIZATIONS:
        raise _Refusal(
            f"The personalizations field may have at most {MAX_PERSONALIZATIONS}.",
            "personalizations",
        )
    _check_sender(state, payload.get("from"))
    template_id = payload.get("template_id") or ""
    _check_content(payload.get("content"), is_required=not template_id)
    categories = payload.get("categories", [])
    if not isinstance(categories, list) or len(categories) > MAX_CATEGORIES:
        raise _Refusal(f"There may be at most {MAX_CATEGORIES} categories.", "categories")
    if any(not isinstance(c, str) or len(c) > MAX_CATEGORY_LENGTH for c in categories):
        raise _Refusal("A category is text of at most 255 characters.", "categories")
    if len(set(categories)) != len(categories):
        raise _Refusal("Categories must be unique.", "categories")
    _check_send_at(payload.get("send_at"), now, "send_at")
    shared_headers = _check_headers(payload.get("headers"), "headers")
    shared_arguments = _check_arguments(payload.get("custom_args"), "custom_args")
    drafts: list[tuple[AcceptedMessage, dict[str, str]]] = []
    recipients = 0
    texts = {each["type"]: each["value"] for each in payload.get("content") or []}
    for number, person in enumerate(people):
        field = f"personalizations.{number}"
        if not isinstance(person, Mapping):
            raise _Refusal("A personalization must be an object.", field)
        recipients += _check_recipients(person, field)
        subject = person.get("subject") or payload.get("subject") or ""
        if not subject and not template_id:
            raise _Refusal(
                "The subject is required. You can get around this requirement if you use a "
                "template with a subject defined or if every personalization has a subject "
                "defined.",
                "subject",
            )
        arguments = shared_arguments | _check_arguments(
            person.get("custom_args"), f"{field}.custom_args"
        )
        _check_argument_size(arguments, field)
        _check_send_at(person.get("send_at"), now, f"{field}.send_at")
        headers = shared_headers | _check_headers(person.get("headers"), f"{field}.headers")
        drafts.append(
            (
                _draft(
                    state, person, subject, template_id, arguments, headers, texts, now, payload
                ),
                arguments,
            )
        )
    if recipients > MAX_RECIPIENTS:
        raise _Refusal(
            f"There may be at most {MAX_RECIPIENTS} recipients in a request.", "personalizations"
        )
    return drafts


def _draft(
    state: SandboxState,
    person: Mapping[str, Any],
    subject: str,
    template_id: str,
    arguments: Mapping[str, str],
    headers: Mapping[str, str],
    texts: Mapping[str, str],
    now: datetime,
    payload: Mapping[str, Any],
) -> AcceptedMessage:
    to = str(person["to"][0]["email"]).lower()
    fate = state.mail_suppressions.get(to, "")
    rule = state.rule_for(Channel.EMAIL, to)
    if rule is not None:
        if rule.at == "answer":
            raise _Refusal(rule.reason or "Recipient programmed in the sandbox", "personalizations")
        fate = rule.reason or str(rule.code)
    substitutions = person.get("substitutions") or {}
    html = _substitute(texts.get("text/html", ""), substitutions)
    text = _substitute(texts.get("text/plain", ""), substitutions)
    unsubscribe = _ANGLE_URL.search(headers.get("list-unsubscribe", ""))
    hrefs = [href.replace("&amp;", "&") for href in _HREF.findall(html)]
    return AcceptedMessage(
        seq=0,
        channel=Channel.EMAIL,
        message_id="",
        client_reference=arguments.get("intent_key", ""),
        to=to,
        template=template_id or arguments.get("template_id", ""),
        category=next(iter(payload.get("categories", [])), ""),
        subject=_substitute(subject, substitutions),
        variables=dict(arguments),
        text=text[:4000],
        links=find_links(*hrefs, text),
        unsubscribe_url=unsubscribe.group(1) if unsubscribe else "",
        accepted_at=now,
        fate=fate,
    )


def _substitute(text: str, substitutions: Mapping[str, str]) -> str:
    for mark, value in substitutions.items():
        text = text.replace(mark, str(value))
    return text


def _check_sender(state: SandboxState, sender: Any) -> None:
    email = sender.get("email") if isinstance(sender, Mapping) else None
    if not isinstance(email, str) or not _EMAIL.fullmatch(email):
        raise _Refusal("The from email does not contain a valid address.", "from.email")
    domains = state.config.sendgrid_sender_domains
    if domains is not None and email.rsplit("@", 1)[1].lower() not in domains:
        raise _Refusal(
            "The from address does not match a verified Sender Identity.", "from", status=403
        )


def _check_content(content: Any, *, is_required: bool) -> None:
    if content is None and not is_required:
        return
    if not isinstance(content, list) or not content:
        raise _Refusal(
            "Unless a valid template_id is provided, the content parameter is required.", "content"
        )
    kinds: list[str] = []
    for number, part in enumerate(content):
        kind = part.get("type") if isinstance(part, Mapping) else None
        value = part.get("value") if isinstance(part, Mapping) else None
        if not isinstance(kind, str) or "/" not in kind:
            raise _Refusal("The content type is required.", f"content.{number}.type")
        if not isinstance(value, str) or not value:
            raise _Refusal(
                "The content value must be a string at least one character in length.",
                f"content.{number}.value",
            )
        kinds.append(kind)
    order = [kind for kind in kinds if kind in ("text/plain", "text/html")]
    if order == ["text/html", "text/plain"]:
        raise _Refusal(
            "If present, text/plain must be first, followed by text/html, followed by any other "
            "content.",
            "content",
        )
    if len(set(kinds)) != len(kinds):
        raise _Refusal("A content type may stand only once.", "content")


def _check_recipients(person: Mapping[str, Any], field: str) -> int:
    seen: set[str] = set()
    total = 0
    for group in ("to", "cc", "bcc"):
        people = person.get(group)
        if people is None and group != "to":
            continue
        if not isinstance(people, list) or not people:
            raise _Refusal(f"The {group} array is required and must have at least one.", field)
        for number, each in enumerate(people):
            email = each.get("email") if isinstance(each, Mapping) else None
            if not isinstance(email, str) or not _EMAIL.fullmatch(email):
                raise _Refusal(
                    "Does not contain a valid address.", f"{field}.{group}.{number}.email"
                )
            if email.lower() in seen:
                raise _Refusal(
                    "Each email address in the personalization block should be unique between to, "
                    "cc, and bcc.",
                    field,
                )
            seen.add(email.lower())
            total += 1
    return total


def _check_arguments(arguments: Any, field: str) -> dict[str, str]:
    if arguments is None:
        return {}
    if not isinstance(arguments, Mapping):
        raise _Refusal("Custom args must be an object.", field)
    for name, value in arguments.items():
        if not isinstance(value, str):
            raise _Refusal("Custom arg values must be strings.", f"{field}.{name}")
    return dict(arguments)


def _check_argument_size(arguments: Mapping[str, str], field: str) -> None:
    size = len(json.dumps(arguments, ensure_ascii=False, separators=(",", ":")).encode())
    if size > MAX_CUSTOM_ARGS_BYTES:
        raise _Refusal(
            f"The combined custom args may have at most {MAX_CUSTOM_ARGS_BYTES} bytes.",
            f"{field}.custom_args",
        )


def _check_send_at(send_at: Any, now: datetime, field: str) -> None:
    if send_at is None:
        return
    if not isinstance(send_at, int) or isinstance(send_at, bool):
        raise _Refusal("send_at must be a unix timestamp.", field)
    if send_at > (now + MAX_SEND_AT).timestamp():
        raise _Refusal("send_at may be at most 72 hours ahead.", field)


def _check_headers(headers: Any, field: str) -> dict[str, str]:
    if headers is None:
        return {}
    if not isinstance(headers, Mapping):
        raise _Refusal("Headers must be an object.", field)
    found: dict[str, str] = {}
    for name, value in headers.items():
        if name.lower() in _RESERVED_HEADERS:
            raise _Refusal(f"{name} is a reserved header.", field)
        if not isinstance(value, str) or "\n" in value or "\r" in value or not name.isascii():
            raise _Refusal("A header must be one line of text.", f"{field}.{name}")
        found[name.lower()] = value
    return found


# -- erasure


def erase_recipients(state: SandboxState, *, payload: Any) -> Answer:
    """Take an erase job as a whole, as `POST /v3/recipients/erasejob` does.

    What the emulator keeps of these recipients goes at once: bodies and suppressions.
    """
    addresses = payload.get("email_addresses") if isinstance(payload, Mapping) else None
    if not isinstance(addresses, list) or not addresses:
        return refusal(400, "email_addresses is required.", "email_addresses")
    if len(addresses) > MAX_ERASED:
        return refusal(400, f"at most {MAX_ERASED} email addresses.", "email_addresses")
    if any(not isinstance(each, str) or not _EMAIL.fullmatch(each) for each in addresses):
        return refusal(400, "email_addresses holds no valid address.", "email_addresses")
    job = state.new_id("erase").hex()
    with state.lock:
        state.erase_jobs[job] = tuple(addresses)
        erased = {each.lower() for each in addresses}
        for address in erased:
            state.mail_suppressions.pop(address, None)
        for message in state.messages.values():
            if message.to in erased:
                state.bodies.pop(message.message_id, None)
    return Answer(status=202, body=json.dumps({"job_id": job}).encode())


# -- webhooks


def build_webhook(state: SandboxState, receipts: Sequence[Receipt]) -> bytes:
    """One event array that tells all `receipts`; ends in CRLF, as SendGrid's does.

    Raises:
        ControlError: an event SendGrid does not have, or a receipt without a message.
    """
    events = [_event(state, receipt) for receipt in receipts]
    return json.dumps(events, ensure_ascii=False, separators=(",", ":")).encode() + b"\r\n"


def _event(state: SandboxState, receipt: Receipt) -> dict[str, Any]:
    name = _EVENTS.get(receipt.event)
    if name is None:
        msg = f"receipt: e-mail has no event {receipt.event!r}"
        raise ControlError(msg)
    detail = receipt.detail
    found = state.find(receipt.message_id) if receipt.message_id else None
    message, extra = found if found else (None, {})
    email = message.to if message else receipt.address.lower()
    stamp = int(receipt.occurred_at.timestamp())
    key = json.dumps([receipt.message_id, email, name, stamp, sorted(detail.items())], default=str)
    digest = hashlib.sha256(key.encode()).digest()[:16]
    # The custom args come first so that they can never overwrite an event's own fields.
    event: dict[str, Any] = dict(extra.get("custom_args", {}))
    event |= {
        "email": email,
        "timestamp": stamp,
        "event": name,
        "sg_event_id": str(detail.get("event_id") or base64.urlsafe_b64encode(digest).decode()),
    }
    if message is not None:
        suffix = f"recvd-sandbox-{message.seq:x}.{extra['number']}"
        event["sg_message_id"] = f"{extra['request_id']}.{suffix}"
        event["smtp-id"] = f"<{extra['request_id']}@sandbox.invalid>"
        if extra["category"]:
            event["category"] = extra["category"]
    if name == "bounce":
        kind = str(detail.get("type", "bounce"))
        event |= {
            "type": kind,
            "status": str(detail.get("status", "5.1.1" if kind == "bounce" else "4.7.1")),
            "reason": str(detail.get("reason", "550 5.1.1 The account does not exist")),
            "bounce_classification": str(detail.get("classification", "Invalid Address")),
        }
        if kind == "bounce":
            state.mail_suppressions[email] = "Bounced Address"
    elif name == "dropped":
        event["reason"] = str(detail.get("reason") or (message and message.fate) or "Invalid")
    elif name == "deferred":
        event |= {"response": str(detail.get("response", "450 too busy")), "attempt": "1"}
    elif name == "delivered":
        event["response"] = "250 OK"
    elif name == "open":
        event["sg_machine_open"] = bool(detail.get("machine", False))
    elif name == "click":
        event["url"] = str(detail.get("url", ""))
    elif name == "spamreport":
        state.mail_suppressions[email] = "Spam Reporting Address"
    elif name == "unsubscribe":
        state.mail_suppressions[email] = "Unsubscribed Address"
    elif name == "group_resubscribe":
        state.mail_suppressions.pop(email, None)
    return event


def sign(state: SandboxState, timestamp: str, body: bytes) -> str:
    """Value of `X-Twilio-Email-Event-Webhook-Signature`: DER ECDSA over timestamp + body."""
    signature = state.sendgrid_key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    return base64.b64encode(signature).decode()


def public_key(state: SandboxState) -> str:
    """The verification key as SendGrid shows it: base64 of the DER SubjectPublicKeyInfo."""
    encoded = state.sendgrid_key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return base64.b64encode(encoded).decode()
