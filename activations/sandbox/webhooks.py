"""Telling the gateway: receipts become signed webhooks in each provider's own shape.

Many receipts travel in one webhook, as from the real providers. Nothing is retried here: the answer
of each webhook is handed back to whoever asked for the receipts.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

import requests

from activations.sandbox import sendgrid, whatsapp
from activations.sandbox.records import Channel, ControlError, Receipt
from activations.sandbox.state import SandboxState

STATUSES_PER_WEBHOOK = 500
TIMEOUT_SECONDS = 60.0

SignatureMode = Literal["valid", "wrong", "missing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRequest:
    """One signed request to the gateway."""

    channel: Channel
    path: str
    body: bytes = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What came of one batch of receipts.

    Attributes:
        events: receipts that are in webhooks answered with 200.
        statuses: HTTP status of each webhook in order; 0 when no answer came.
        unknown: message ids that are not kept here (any more).
    """

    events: int
    statuses: tuple[int, ...]
    unknown: tuple[str, ...]


def build_requests(
    state: SandboxState, receipts: Iterable[Receipt], *, signature: SignatureMode
) -> tuple[list[WebhookRequest], tuple[str, ...]]:
    """Group receipts by channel, in their order, and sign.

    Raises:
        ControlError: an event that the message's channel does not have.
    """
    by_channel: dict[Channel, list[Receipt]] = {}
    unknown: list[str] = []
    for receipt in receipts:
        channel = receipt.channel
        if receipt.message_id:
            found = state.find(receipt.message_id)
            if found is None:
                unknown.append(receipt.message_id)
                continue
            channel = found[0].channel
        if channel not in (Channel.WHATSAPP, Channel.EMAIL):
            msg = f"receipt: channel {channel!r} has no webhooks"
            raise ControlError(msg)
        by_channel.setdefault(Channel(channel), []).append(receipt)
    built: list[WebhookRequest] = []
    for channel, group in by_channel.items():
        for part in _batches(group, STATUSES_PER_WEBHOOK):
            if channel == Channel.WHATSAPP:
                body = whatsapp.build_webhook(state, part)
                path = "/webhooks/whatsapp"
                headers = _whatsapp_headers(state, body, signature)
            else:
                body = sendgrid.build_webhook(state, part)
                path = "/webhooks/sendgrid"
                headers = _sendgrid_headers(state, body, signature)
            headers["Content-Type"] = "application/json"
            built.append(
                WebhookRequest(
                    channel=channel, path=path, body=body, headers=headers, events=len(part)
                )
            )
    return built, tuple(unknown)


def deliver(
    state: SandboxState,
    receipts: Sequence[Receipt],
    *,
    signature: SignatureMode = "valid",
    copies: int = 1,
) -> Delivery:
    """Post receipts to the gateway now, each webhook `copies` times. Blocks; run in a thread.

    Raises:
        ControlError: no gateway is known, or a receipt makes no sense.
    """
    if not state.gateway_url:
        msg = "no gateway: set it by POST /_sandbox/gateway"
        raise ControlError(msg)
    base_url = state.gateway_url.rstrip("/")
    built, unknown = build_requests(state, receipts, signature=signature)
    statuses: list[int] = []
    taken = 0
    with requests.Session() as session:
        # The environment's proxies and .netrc have no say in a call to loopback.
        session.trust_env = False
        for request in built:
            for _ in range(copies):
                status = _post(session, base_url, request)
                statuses.append(status)
            taken += request.events if statuses[-1] == 200 else 0
    state.bump("webhooks.posted", len(statuses))
    state.bump("webhooks.events", taken)
    state.bump("webhooks.refused", sum(status != 200 for status in statuses))
    return Delivery(events=taken, statuses=tuple(statuses), unknown=unknown)


def _post(session: requests.Session, base_url: str, request: WebhookRequest) -> int:
    try:
        with session.post(
            base_url + request.path,
            data=request.body,
            headers=request.headers,
            timeout=TIMEOUT_SECONDS,
            allow_redirects=False,
        ) as response:
            return response.status_code
    except requests.RequestException:
        return 0


def _whatsapp_headers(state: SandboxState, body: bytes, signature: SignatureMode) -> dict[str, str]:
    if signature == "missing":
        return {}
    secret = state.config.whatsapp_app_secret + ("" if signature == "valid" else "-wrong")
    return {"X-Hub-Signature-256": whatsapp.sign(secret, body)}


def _sendgrid_headers(state: SandboxState, body: bytes, signature: SignatureMode) -> dict[str, str]:
    if signature == "missing":
        return {}
    timestamp = str(int(time.time()))
    signed = body if signature == "valid" else body + b" "
    return {
        "X-Twilio-Email-Event-Webhook-Signature": sendgrid.sign(state, timestamp, signed),
        "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
    }


def _batches(items: Sequence[Receipt], size: int) -> Iterator[list[Receipt]]:
    iterator = iter(items)
    while part := list(islice(iterator, size)):
        yield part
