from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import pytest
import requests

import activations
from activations.clock import FixedClock
from activations.gateway.config import GatewayConfig
from activations.gateway.server import running_gateway
from activations.ledger import Ledger
from activations.sandbox.client import SandboxClient
from activations.sandbox.config import SandboxConfig, WhatsAppTemplate, load_templates
from activations.sandbox.sendgrid import public_key
from activations.sandbox.server import RunningSandbox, running_sandbox
from tests.activations.gateway.world import APP_SECRET, LINK_SECRET, NOW, World


@pytest.fixture(scope="package")
def sandbox() -> Iterator[RunningSandbox]:
    template = WhatsAppTemplate(
        name="apv_0", language="en", category="marketing", body="Hi {{1}}, {{2}} {{3}} {{4}}"
    )
    folder = Path(activations.__file__).parent / "templates" / "whatsapp"
    config = SandboxConfig(
        templates=MappingProxyType({("apv_0", "en"): template} | dict(load_templates(folder))),
        whatsapp_per_second=0,
    )
    with running_sandbox(config) as running:
        yield running


@contextmanager
def _open_world(ledger: Ledger, sandbox: RunningSandbox) -> Iterator[World]:
    clock = FixedClock(NOW)
    config = GatewayConfig(
        link_secret=LINK_SECRET,
        whatsapp_app_secret=APP_SECRET,
        whatsapp_verify_token="verify-me",
        sendgrid_public_key=public_key(sandbox.state),
        brand_name="Re & Co",
        max_body_bytes=1_000_000,
        accepts_simulated_time=True,
    )
    with (
        running_gateway(ledger, config, clock) as address,
        SandboxClient(sandbox.base_url) as control,
        requests.Session() as http,
    ):
        http.trust_env = False
        control.reset()
        control.set_gateway(address.base_url)
        yield World(
            ledger=ledger,
            clock=clock,
            url=address.base_url,
            sandbox=sandbox,
            control=control,
            http=http,
        )


@pytest.fixture
def world(ledger: Ledger, sandbox: RunningSandbox) -> Iterator[World]:
    """On SQLite."""
    with _open_world(ledger, sandbox) as opened:
        yield opened


@pytest.fixture
def any_world(any_ledger: Ledger, sandbox: RunningSandbox) -> Iterator[World]:
    """Once on each database."""
    with _open_world(any_ledger, sandbox) as opened:
        yield opened
