"""Builds template messages and reads the Cloud API's answers.

Belongs here: the wire format. Does not belong here: codes (`activations.channels.whatsapp.errors`)
and words (`activations.templates`). Source: Graph API v23 OpenAPI; there is no idempotency key, so
``biz_opaque_callback_data`` carries the intent key and every status webhook brings it back.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from activations.channels.base import ChannelLimits, ErrorRule, read_json_object
from activations.channels.whatsapp.errors import PERMISSION, RULES
from activations.errors import ConfigurationError
from activations.guards import check_phone
from activations.outcomes import OutcomeClass, SendOutcome, StopScope
from activations.rows import MessageRow
from activations.scrub import scrub
from activations.templates.content import Content
from activations.transport import HttpAnswer, HttpRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatsAppConfig:
    """Settings of one WhatsApp sender.

    Attributes:
        phone_number_id: The sender's id at the provider (not its number).
        access_token: Bearer token.
        base_url: Where the API is; the sandbox's address in tests and in the demo.
        version: Graph API version.
        limits: 80 messages a second is what a number starts with.
    """

    phone_number_id: str
    access_token: str = field(repr=False)
    base_url: str = "https://graph.facebook.com"
    version: str = "v23.0"
    limits: ChannelLimits = field(
        default=ChannelLimits(max_in_flight=64, per_second=70.0, burst=70.0)
    )


class WhatsAppChannel:
    """Sends approved templates, marketing and utility, one recipient a request."""

    name = "whatsapp"

    def __init__(self, config: WhatsAppConfig) -> None:
        """Prepare the channel.

        Raises:
            ConfigurationError: When the sender or its token is missing.
        """
        if not config.phone_number_id or not config.access_token:
            raise ConfigurationError("WhatsApp needs a phone number id and an access token")
        self.destination = f"whatsapp:{config.phone_number_id}"
        self.limits = config.limits
        base = config.base_url.rstrip("/")
        self._url = f"{base}/{config.version}/{config.phone_number_id}/messages"
        self._headers = {
            "authorization": f"Bearer {config.access_token}",
            "content-type": "application/json",
        }

    def prepare(self, row: MessageRow, content: Content) -> HttpRequest:
        """Build the request of one message; see `activations.channels.base.Channel`."""
        check_phone(row.address)
        filled = content.whatsapp(row)
        components: list[dict[str, Any]] = []
        if filled.header:
            components.append({"type": "header", "parameters": _texts(filled.header)})
        if filled.body:
            components.append({"type": "body", "parameters": _texts(filled.body)})
        components += [
            {
                "type": "button",
                "sub_type": "url",
                "index": str(index),
                "parameters": _texts([text]),
            }
            for index, text in filled.buttons
        ]
        message: dict[str, Any] = {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": row.address.removeprefix("+"),
            "type": "template",
            "template": {
                "name": filled.template.name,
                "language": {"code": filled.template.language},
                "components": components,
            },
            "biz_opaque_callback_data": row.intent_key,
        }
        return HttpRequest(
            method="POST",
            url=self._url,
            headers=self._headers,
            body=json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode(),
        )

    def classify(self, answer: HttpAnswer) -> SendOutcome:
        """Say what an answer means; see `activations.channels.base.Channel`."""
        document = read_json_object(answer.body)
        if 200 <= answer.status < 300:
            return _accepted(answer, document or {})
        error = (document or {}).get("error")
        code = error.get("code") if isinstance(error, dict) else None
        if isinstance(code, int) and not isinstance(code, bool):
            rule = RULES.get(code) or (PERMISSION if 200 <= code <= 299 else None)
            if rule is not None:
                return rule.apply(answer, code=str(code))
            said = scrub(str(error.get("message", ""))) if isinstance(error, dict) else ""
            return _by_status(answer, code=str(code), detail=f"a code not in our table: {said}")
        return _by_status(
            answer, code=f"http_{answer.status}", detail="no error code in the answer"
        )


def _texts(texts: Sequence[str]) -> list[dict[str, str]]:
    return [{"type": "text", "text": text} for text in texts]


def _accepted(answer: HttpAnswer, document: Any) -> SendOutcome:
    messages = document.get("messages")
    first = messages[0] if isinstance(messages, list) and messages else None
    message_id = first.get("id") if isinstance(first, dict) else None
    if not isinstance(message_id, str) or not message_id or not isinstance(first, dict):
        return SendOutcome(
            outcome=OutcomeClass.UNKNOWN,
            http_status=answer.status,
            error_code="unreadable",
            error_detail="the answer says success but names no message",
        )
    status = first.get("message_status", "accepted")
    if status == "paused":
        # Taken, but its template is paused: whether it leaves later only a webhook will say.
        return SendOutcome(
            outcome=OutcomeClass.UNKNOWN,
            provider_message_id=message_id,
            http_status=answer.status,
            error_code="paused",
            error_detail="taken while its template is paused",
        )
    return SendOutcome(
        outcome=OutcomeClass.ACCEPTED,
        provider_message_id=message_id,
        http_status=answer.status,
        error_detail=None if status == "accepted" else scrub(str(status)),
    )


def _by_status(answer: HttpAnswer, *, code: str, detail: str) -> SendOutcome:
    if answer.status == 429:
        rule = ErrorRule(outcome=OutcomeClass.RETRY, meaning=detail, throttled=True)
    elif answer.status in (401, 403) or 300 <= answer.status < 400:
        rule = ErrorRule(outcome=OutcomeClass.STOP, meaning=detail, stop_scope=StopScope.CHANNEL)
    elif answer.status == 408 or answer.status >= 500:
        rule = ErrorRule(outcome=OutcomeClass.UNKNOWN, meaning=detail)
    else:
        rule = ErrorRule(outcome=OutcomeClass.PERM, meaning=detail)
    return rule.apply(answer, code=code)
