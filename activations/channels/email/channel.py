"""Builds mails for SendGrid and reads its answers.

Belongs here: the wire format. Does not belong here: codes (`activations.channels.email.errors`) and
words (`activations.templates`). Source: the v3 mail/send OpenAPI.

One personalization a request, though a thousand would fit: SendGrid answers a request as a whole,
so a single bad address would cost its 999 neighbours their outcome, and one id for all of them
cannot be matched to rows. There is no idempotency key; ``custom_args`` carries the intent key and
every event webhook brings it back.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from activations.channels.base import ChannelLimits, read_json_object
from activations.channels.email.errors import (
    BAD_ROW,
    BAD_SENDER,
    REDIRECTED,
    RULES,
    SENDER_FIELDS,
    UNKNOWN,
)
from activations.errors import ConfigurationError
from activations.guards import check_email
from activations.outcomes import OutcomeClass, Purpose, SendOutcome
from activations.rows import MessageRow
from activations.scrub import scrub
from activations.templates.content import Content
from activations.transport import HttpAnswer, HttpRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailConfig:
    """Settings of one e-mail sender.

    Attributes:
        api_key: SendGrid API key.
        from_email: A verified sender's address.
        from_name: Shown beside it; empty for none.
        reply_to: Where answers go; empty for the sender.
        base_url: Where the API is (EU accounts have another); the sandbox's address in tests.
        limits: SendGrid publishes none; these are cautious.
    """

    api_key: str = field(repr=False)
    from_email: str
    from_name: str = ""
    reply_to: str = ""
    base_url: str = "https://api.sendgrid.com"
    limits: ChannelLimits = field(
        default=ChannelLimits(max_in_flight=64, per_second=100.0, burst=100.0)
    )


class EmailChannel:
    """Sends one e-mail a request."""

    name = "email"

    def __init__(self, config: EmailConfig) -> None:
        """Prepare the channel.

        Raises:
            ConfigurationError: When the key or the sender's address is missing.
        """
        if not config.api_key or not config.from_email:
            raise ConfigurationError("e-mail needs an API key and a sender's address")
        self.destination = f"email:{config.from_email}"
        self.limits = config.limits
        self._url = f"{config.base_url.rstrip('/')}/v3/mail/send"
        self._headers = {
            "authorization": f"Bearer {config.api_key}",
            "content-type": "application/json",
        }
        self._sender: dict[str, Any] = {"from": _mailbox(config.from_email, config.from_name)}
        if config.reply_to:
            self._sender["reply_to"] = _mailbox(config.reply_to, "")

    def prepare(self, row: MessageRow, content: Content) -> HttpRequest:
        """Build the request of one message; see `activations.channels.base.Channel`."""
        check_email(row.address)
        filled = content.email(row)
        mail: dict[str, Any] = {
            "personalizations": [
                {
                    "to": [{"email": row.address}],
                    # Kept for long and shown to every user of the account: keys only, no people.
                    "custom_args": {
                        "intent_key": row.intent_key,
                        "journey_key": row.journey_key,
                        "step_key": row.step_key,
                        "template_id": row.template_id,
                    },
                }
            ],
            **self._sender,
            "subject": filled.subject,
            "content": [
                {"type": "text/plain", "value": filled.text},
                {"type": "text/html", "value": filled.html},
            ],
            "categories": [row.journey_key],
            # Links already lead through our own gateway, which needs no third party's rewrite.
            "tracking_settings": {"click_tracking": {"enable": False, "enable_text": False}},
        }
        if row.purpose == Purpose.PROMOTIONAL:
            # RFC 8058; both headers, or mailbox providers show no button and count it against us.
            mail["headers"] = {
                "List-Unsubscribe": f"<{filled.unsubscribe_url}>",
                "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            }
        return HttpRequest(
            method="POST",
            url=self._url,
            headers=self._headers,
            body=json.dumps(mail, ensure_ascii=False, separators=(",", ":")).encode(),
        )

    def classify(self, answer: HttpAnswer) -> SendOutcome:
        """Say what an answer means; see `activations.channels.base.Channel`."""
        code = f"http_{answer.status}"
        if 200 <= answer.status < 300:
            return SendOutcome(
                outcome=OutcomeClass.ACCEPTED,
                provider_message_id=answer.headers.get("x-message-id") or None,
                http_status=answer.status,
            )
        if answer.status == 429:
            return RULES[429].with_wait(_seconds_to_reset(answer)).apply(answer, code=code)
        if answer.status in RULES:
            return RULES[answer.status].apply(answer, code=code)
        if answer.status >= 500:
            return UNKNOWN.apply(answer, code=code)
        if answer.status < 400:
            return REDIRECTED.apply(answer, code=code)
        named, said = _first_error(answer.body)
        rule = BAD_SENDER if named.startswith(SENDER_FIELDS) else BAD_ROW
        where = f" ({scrub(named)})" if named else ""
        return rule.apply(
            answer, code=code, detail=f"{rule.meaning}{where}: {said}" if said else None
        )


def _mailbox(address: str, name: str) -> dict[str, str]:
    return {"email": address, "name": name} if name else {"email": address}


def _first_error(body: bytes) -> tuple[str, str]:
    errors = (read_json_object(body) or {}).get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        return "", ""
    return str(first.get("field") or ""), scrub(str(first.get("message") or ""))


def _seconds_to_reset(answer: HttpAnswer) -> float | None:
    """Return the seconds until the epoch second SendGrid names."""
    try:
        reset = float(answer.headers.get("x-ratelimit-reset", ""))
    except ValueError:
        return None
    # At most an hour: a wrong clock, theirs or ours, must not silence a channel for long.
    return min(3600.0, max(0.0, reset - answer.received_at.timestamp()))
