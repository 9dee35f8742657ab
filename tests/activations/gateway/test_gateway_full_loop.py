"""The product's own channels send to the sandbox, people react, the ledger knows."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest

from activations.channels.base import Channel
from activations.channels.email import EmailChannel, EmailConfig
from activations.channels.whatsapp import WhatsAppChannel, WhatsAppConfig
from activations.gateway.rejects import inbound_rejects
from activations.ledger.schema import consent_statements, inbound_events, suppressions
from activations.rows import Decision, MessageRow
from activations.runner import SendReport, record_decisions, send_messages
from activations.sandbox.config import (
    DEFAULT_SENDGRID_API_KEY,
    DEFAULT_WHATSAPP_PHONE_NUMBER_ID,
    DEFAULT_WHATSAPP_TOKEN,
)
from activations.sandbox.records import Channel as SandboxChannel
from activations.sandbox.records import Fault, FaultKind, Receipt, RecipientRule
from activations.templates import Content, LinkSettings, load_templates
from tests.activations.gateway.test_gateway_webhooks import post_meta
from tests.activations.gateway.world import LINK_SECRET, NOW, World
from tests.activations.world import decision

TEMPLATES = ("apv_0", "apv_1", "apv_2", "pickup_0", "winback_0", "winback_1", "winback_2")


def send(
    world: World, channel_name: str, template_ids: tuple[str, ...] = TEMPLATES, **changes: Any
) -> SendReport:
    decisions: list[Decision] = [
        decision(
            number,
            **{
                "channel": channel_name,
                "template_id": template_id,
                "purpose": "service" if template_id == "pickup_0" else "promotional",
                "due_at": NOW,
                "latest_useful_at": NOW + timedelta(hours=6),
                "decided_at": NOW,
            }
            | changes,
        )
        for number, template_id in enumerate(template_ids, start=1)
    ]
    names = {item.name for item in fields(MessageRow)}
    rows = [
        MessageRow(
            **{item.name: getattr(each, item.name) for item in fields(each) if item.name in names}
        )
        for each in decisions
    ]
    record_decisions(world.ledger, decisions, NOW, clock=world.clock)
    base_url = world.sandbox.base_url
    channel: Channel
    if channel_name == "whatsapp":
        channel = WhatsAppChannel(
            WhatsAppConfig(
                phone_number_id=DEFAULT_WHATSAPP_PHONE_NUMBER_ID,
                access_token=DEFAULT_WHATSAPP_TOKEN,
                base_url=base_url,
            )
        )
    else:
        channel = EmailChannel(
            EmailConfig(
                api_key=DEFAULT_SENDGRID_API_KEY,
                from_email="hello@shop.example",
                base_url=base_url,
            )
        )
    content = Content(
        templates=load_templates(),
        links=LinkSettings(gateway_url=world.url, secret=LINK_SECRET),
    )
    return send_messages(
        world.ledger, channel, rows, content=content, run_as_of=NOW, clock=world.clock
    )


@pytest.mark.parametrize("channel", ["whatsapp", "email"])
def test_every_template_is_accepted_its_links_lead_on_and_receipts_come_back(
    any_world: World, channel: str
) -> None:
    world = any_world

    report = send(world, channel)

    assert (report.status, report.counts.accepted) == ("ok", len(TEMPLATES))
    messages = world.control.fetch_messages(channel=channel)
    assert {each.client_reference for each in messages} == {
        f"i{number:04d}" for number in range(1, len(TEMPLATES) + 1)
    }
    wrapped = {each.links[0] for each in messages}
    assert len(wrapped) == len(TEMPLATES)
    for link in wrapped:
        assert link.startswith(f"{world.url}/r/")
        answer = world.http.get(link, timeout=10, allow_redirects=False)
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith("https://shop.example/")
        assert "utm_source=crm" in answer.headers["Location"]
    receipts = [
        Receipt(event="delivered", occurred_at=NOW, message_id=each.message_id) for each in messages
    ]
    world.control.send_receipts(receipts, copies=2)
    landed = [row["event"] for row in world.rows(inbound_events)]
    assert sorted(landed) == ["click"] * len(TEMPLATES) + ["delivered"] * len(TEMPLATES)


def test_the_one_click_header_of_a_real_mail_unsubscribes_and_the_next_is_not_sent(
    any_world: World,
) -> None:
    world = any_world
    send(world, "email", ("apv_0",))
    [message] = world.control.fetch_messages()
    body = {"List-Unsubscribe": "One-Click"}

    for _ in range(2):
        answer = world.http.post(
            message.unsubscribe_url, data=body, timeout=10, allow_redirects=False
        )
        assert answer.status_code == 200
    report = send(world, "email", ("apv_1",), intent_key="later", entry_key="later")

    assert len(world.rows(consent_statements)) == 1
    assert report.refused == {"consent_withdrawn": 1}


def test_service_mail_carries_no_unsubscribe_header(world: World) -> None:
    send(world, "email", ("pickup_0",))

    assert world.control.fetch_messages()[0].unsubscribe_url == ""


@pytest.mark.parametrize("channel", ["whatsapp", "email"])
def test_a_lost_answer_is_unknown_until_its_receipt_and_never_sent_twice(
    world: World, channel: str
) -> None:
    world.control.program_faults(
        Fault(kind=FaultKind.DROP, times=None, channel=SandboxChannel(channel))
    )

    report = send(world, channel, ("apv_0",))
    again = send(world, channel, ("apv_0",))

    assert (report.counts.unknown, again.counts.accepted + again.counts.unknown) == (1, 0)
    [message] = world.control.fetch_messages()
    assert world.state("i0001") == "unknown"
    receipt = Receipt(event="delivered", occurred_at=NOW, message_id=message.message_id)
    world.control.send_receipts([receipt])
    assert world.state("i0001") == "accepted"


def test_a_number_off_whatsapp_is_skipped_at_once_or_suppressed_by_receipts(
    any_world: World,
) -> None:
    world = any_world
    world.control.program_recipients(
        RecipientRule(pattern=r"\+9198.*01"), RecipientRule(pattern=r"\+9198.*02", at="receipt")
    )

    report = send(world, "whatsapp", ("apv_0", "apv_0"))

    assert report.errors == {"PERM:131026": 1}
    [message] = world.control.fetch_messages()
    assert message.fate == "131026"
    for minutes in (1, 2):
        failed = Receipt(
            event="failed",
            occurred_at=NOW + timedelta(minutes=minutes),
            message_id=message.message_id,
        )
        world.control.send_receipts([failed])
    # The same status twice is one failure, however often it is told.
    assert world.rows(suppressions) == []
    send(world, "whatsapp", ("apv_1",), intent_key="j", entry_key="j", address=message.to)
    second = world.control.fetch_messages(after_seq=message.seq)[0]
    world.control.send_receipts(
        [Receipt(event="failed", occurred_at=NOW, message_id=second.message_id)]
    )
    assert [row["address"] for row in world.rows(suppressions)] == [message.to]


def test_what_cannot_be_read_is_kept_on_either_database(any_world: World) -> None:
    for body in (b"{", b"{", b'{"entry": [{"changes": 1}]}', b"\x00\xff"):
        post_meta(any_world, body)

    assert [row["reason"] for row in any_world.rows(inbound_rejects)] == [
        "the body is not JSON",
        "entry: not an object of the expected shape",
        "the body is not JSON",
    ]


def test_preferences_lift_suppressions_on_either_database(any_world: World) -> None:
    world = any_world
    for minutes, event in ((1, "opt_out"), (2, "opt_in"), (1, "opt_out")):
        world.control.send_receipts(
            [
                Receipt(
                    event=event,
                    occurred_at=NOW + timedelta(minutes=minutes),
                    channel="whatsapp",
                    address="+919812345678",
                )
            ]
        )

    assert [row["status"] for row in world.rows(consent_statements)] == ["opt_out", "opt_in"]
