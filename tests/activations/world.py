"""Builders of decisions, rows and channels for the tests of activation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from activations.channels.base import Channel, ChannelLimits
from activations.channels.email import EmailChannel, EmailConfig
from activations.channels.whatsapp import WhatsAppChannel, WhatsAppConfig
from activations.clock import FixedClock
from activations.ledger import Ledger, SyncRun
from activations.outcomes import OutcomeClass, SendOutcome
from activations.rows import Decision, MessageRow, Settlement
from activations.templates import Content, LinkSettings, load_templates
from tests.activations.provider import Received, Reply

NOON = datetime(2026, 10, 30, 6, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECRET = "link-secret"
CONTENT = Content(
    templates=load_templates(),
    links=LinkSettings(gateway_url="https://go.example", secret=SECRET),
)
WIDE = ChannelLimits(max_in_flight=8, per_second=1e6, burst=1e6)

VARIABLES = {
    "first_name": "Asha",
    "category": "phone",
    "brand": "Apple",
    "model": "iPhone 12",
    "quote_value": "15500",
    "city": "Pune",
    "resume_url": "https://shop.example/quote/77",
    "slot_date": "3 November",
    "slot_window": "10:00 to 12:00",
    "address_line": "12 MG Road",
    "reschedule_url": "https://shop.example/pickup/9",
    "order_id": "O-1001",
    "offer_code": "BACK500",
    "link_url": "https://shop.example/sell",
}


def phone(number: int) -> str:
    return f"+9198{number:08d}"


def decision(number: int = 1, **changes: Any) -> Decision:
    """A planned promotional WhatsApp intent, due at NOON."""
    values: dict[str, Any] = {
        "intent_key": f"i{number:04d}",
        "journey_key": "abandoned_price_view",
        "entry_key": f"q{number}",
        "step_key": "0",
        "customer_id": f"c{number}",
        "arm": "treatment",
        "variant": None,
        "channel": "whatsapp",
        "address": phone(number),
        "purpose": "promotional",
        "template_id": "apv_0",
        "language": "en",
        "variables": json.dumps(VARIABLES),
        "priority": 55,
        "due_at": NOON,
        "latest_useful_at": NOON + 6 * HOUR,
        "outcome": "planned",
        "reason": None,
        "lost_to": None,
        "decided_at": NOON,
    }
    if changes.get("channel") == "email":
        values["address"] = f"person{number}@mail.example"
    return Decision(**(values | changes))


def row_of(planned: Decision, **changes: Any) -> MessageRow:
    """The message row of a planned decision."""
    names = {item.name for item in fields(MessageRow)}
    values = {
        item.name: getattr(planned, item.name) for item in fields(planned) if item.name in names
    }
    return MessageRow(**(values | changes))


def record(
    ledger: Ledger, decisions: Iterable[Decision], *, now: datetime = NOON
) -> list[MessageRow]:
    """Record decisions and return the rows of the planned ones."""
    decided = list(decisions)
    ledger.record_decisions(decided, run_as_of=now, now=now)
    return [row_of(item) for item in decided if item.outcome == "planned"]


def start(ledger: Ledger, *, now: datetime = NOON, channel: str = "whatsapp") -> SyncRun:
    return ledger.start_run(destination=channel, kind="messages", run_as_of=now, now=now)


def die(run: SyncRun) -> None:
    """What the end of a process does to its run: the lock goes, nothing is written."""
    run.lock.release()


def answer(kind: OutcomeClass, **details: Any) -> SendOutcome:
    return SendOutcome(outcome=kind, **details)


def settle_all(
    ledger: Ledger,
    run: SyncRun,
    rows: Sequence[MessageRow],
    verdict: SendOutcome,
    *,
    now: datetime = NOON,
) -> None:
    """Claim rows and settle all of them with one verdict."""
    claimed = ledger.claim(rows, channel="whatsapp", run=run, now=now).claimed
    assert len(claimed) == len(rows)
    ledger.settle(
        [
            Settlement(attempt_id=item.attempt_id, intent_key=item.intent_key, outcome=verdict)
            for item in claimed
        ],
        run=run,
        now=now,
    )


def whatsapp(url: str, limits: ChannelLimits = WIDE) -> Channel:
    return WhatsAppChannel(
        WhatsAppConfig(phone_number_id="1055", access_token="wa-token", base_url=url, limits=limits)
    )


def email(url: str, limits: ChannelLimits = WIDE) -> Channel:
    return EmailChannel(
        EmailConfig(api_key="sg-key", from_email="hello@shop.example", base_url=url, limits=limits)
    )


def accept_whatsapp(request: Received) -> Reply:
    """What the Cloud API answers when all is well."""
    key = request.json()["biz_opaque_callback_data"]
    return Reply.of_json(
        {
            "messaging_product": "whatsapp",
            "contacts": [{"input": "x", "wa_id": "x"}],
            "messages": [{"id": f"wamid.{key}", "message_status": "accepted"}],
        }
    )


def accept_email(request: Received) -> Reply:
    """What SendGrid answers when all is well."""
    key = request.json()["personalizations"][0]["custom_args"]["intent_key"]
    return Reply(status=202, headers={"X-Message-Id": f"sg-{key}"})


def clock(now: datetime = NOON) -> FixedClock:
    return FixedClock(now)
