"""The product's own channels send, the world's people react, gateway and ledger hear of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select

import activations
from activations.channels.email import EmailChannel, EmailConfig
from activations.channels.whatsapp import WhatsAppChannel, WhatsAppConfig
from activations.clock import FixedClock
from activations.gateway.config import GatewayConfig
from activations.gateway.server import running_gateway
from activations.ledger import Ledger
from activations.ledger.schema import consent_statements, inbound_events, suppressions
from activations.rows import MessageRow
from activations.runner import record_decisions, send_messages
from activations.sandbox.client import SandboxClient
from activations.sandbox.config import (
    DEFAULT_SENDGRID_API_KEY,
    DEFAULT_WHATSAPP_APP_SECRET,
    DEFAULT_WHATSAPP_PHONE_NUMBER_ID,
    DEFAULT_WHATSAPP_TOKEN,
    SandboxConfig,
    load_templates,
)
from activations.sandbox.sendgrid import public_key
from activations.sandbox.server import running_sandbox
from activations.templates import Content, LinkSettings
from activations.templates import load_templates as load_content
from orchestration.demo.errors import SandboxUnreachableError
from orchestration.demo.outside import HttpSandbox
from orchestration.demo.world import World
from tests.activations.world import decision

from .conftest import START, CopyWorld

_SECRET = "link-secret"
_PEOPLE = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """Sandbox, gateway and ledger, joined."""

    ledger: Ledger
    clock: FixedClock
    gateway_url: str
    sandbox_url: str

    def rows(self, table: Any) -> list[dict[str, Any]]:
        with self.ledger.engine.begin() as connection:
            return [dict(row._mapping) for row in connection.execute(select(table))]

    def send(self, channel_name: str, addresses: list[str]) -> int:
        now = self.clock.now()
        decisions = [
            decision(
                number,
                intent_key=f"{channel_name}-{number}",
                channel=channel_name,
                address=address,
                template_id="apv_0",
                purpose="promotional",
                due_at=now,
                latest_useful_at=now + timedelta(hours=6),
                decided_at=now,
            )
            for number, address in enumerate(addresses)
        ]
        names = {item.name for item in fields(MessageRow)}
        rows = [
            MessageRow(
                **{
                    item.name: getattr(each, item.name)
                    for item in fields(each)
                    if item.name in names
                }
            )
            for each in decisions
        ]
        record_decisions(self.ledger, decisions, now, clock=self.clock)
        channel = (
            WhatsAppChannel(
                WhatsAppConfig(
                    phone_number_id=DEFAULT_WHATSAPP_PHONE_NUMBER_ID,
                    access_token=DEFAULT_WHATSAPP_TOKEN,
                    base_url=self.sandbox_url,
                )
            )
            if channel_name == "whatsapp"
            else EmailChannel(
                EmailConfig(
                    api_key=DEFAULT_SENDGRID_API_KEY,
                    from_email="hello@shop.example",
                    base_url=self.sandbox_url,
                )
            )
        )
        content = Content(
            templates=load_content(),
            links=LinkSettings(gateway_url=self.gateway_url, secret=_SECRET),
        )
        report = send_messages(
            self.ledger, channel, rows, content=content, run_as_of=now, clock=self.clock
        )
        return report.counts.accepted


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    folder = Path(activations.__file__).parent / "templates" / "whatsapp"
    config = SandboxConfig(templates=load_templates(folder), whatsapp_per_second=0)
    clock = FixedClock(START.astimezone(UTC))
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    with running_sandbox(config) as sandbox:
        gateway = GatewayConfig(
            link_secret=_SECRET,
            whatsapp_app_secret=DEFAULT_WHATSAPP_APP_SECRET,
            whatsapp_verify_token="verify",
            sendgrid_public_key=public_key(sandbox.state),
            accepts_simulated_time=True,
        )
        with (
            running_gateway(ledger, gateway, clock) as address,
            SandboxClient(sandbox.base_url) as control,
        ):
            control.set_gateway(address.base_url)
            control.set_clock(START)
            yield Loop(
                ledger=ledger,
                clock=clock,
                gateway_url=address.base_url,
                sandbox_url=sandbox.base_url,
            )
    ledger.close()


def _phones(world: World) -> list[str]:
    return [f"+91{number}" for number in world._people.own_phone(np.arange(_PEOPLE), 0).tolist()]


def test_whatsapp_receipts_clicks_and_stops_reach_the_ledger(
    copy_village: CopyWorld, loop: Loop
) -> None:
    world = copy_village()
    assert loop.send("whatsapp", _phones(world)) == _PEOPLE
    with HttpSandbox(loop.sandbox_url) as sandbox:
        report = world.advance(START + timedelta(days=2), sandbox)
    events = loop.rows(inbound_events)
    counts = Counter(row["event"] for row in events)
    assert counts["delivered"] + counts["failed"] == _PEOPLE
    assert counts["read"] > 0.3 * _PEOPLE
    clicks = sum(part.clicks for part in report.reactions)
    assert counts["click"] == clicks > 5
    begin, end = START, world.now
    assert all(begin <= row["occurred_at"] <= end for row in events)
    assert {row["is_machine"] for row in events if row["event"] == "click"} == {False}
    # Clicks in messages of the former tool may still come in, with or without ours.
    quiet = copy_village()
    quiet.advance(world.now)
    assert _landings(world) > _landings(quiet)


def _landings(world: World) -> int:
    count = 0
    for path in world.ga4_folder.glob("events_*2026110[123].parquet"):
        for row in pq.read_table(path).to_pylist():
            came = row["collected_traffic_source"] or {}
            named = came.get("manual_campaign_name") == "abandoned_price_view"
            count += named and row["event_name"] == "session_start"
    return count


def test_mail_bounces_opens_and_unsubscribes_reach_the_ledger(
    copy_village: CopyWorld, loop: Loop
) -> None:
    world = copy_village()
    addresses = world._people.emails(np.arange(300), 0)
    assert loop.send("email", addresses) == 300
    with HttpSandbox(loop.sandbox_url) as sandbox:
        world.advance(START + timedelta(days=3), sandbox)
    counts = Counter(row["event"] for row in loop.rows(inbound_events))
    assert counts["delivered"] > 270
    assert counts["bounce"] > 0
    assert counts["open"] > 40
    assert any(row["is_machine"] for row in loop.rows(inbound_events) if row["event"] == "open")
    bounced = {row["address"] for row in loop.rows(suppressions)}
    assert len(bounced) >= counts["bounce"]
    # One-click unsubscribes are rare at 300 mails; when there was one, the ledger has it.
    assert {row["status"] for row in loop.rows(consent_statements)} <= {"opt_out"}


def test_a_sandbox_that_is_not_there_is_named(copy_village: CopyWorld) -> None:
    world = copy_village()
    with (
        HttpSandbox("http://127.0.0.1:9") as sandbox,
        pytest.raises(SandboxUnreachableError, match="running"),
    ):
        world.react(sandbox)
    # The world itself is unharmed.
    world.advance(START + timedelta(hours=1))
