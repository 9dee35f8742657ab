from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

import pytest
import requests

from activations.sandbox.client import SandboxClient
from activations.sandbox.config import SandboxConfig, WhatsAppTemplate
from activations.sandbox.server import RunningSandbox, running_sandbox

_TEMPLATES = (
    WhatsAppTemplate(
        name="apv_0",
        language="en",
        category="marketing",
        body="Hi {{1}}, your {{2}} is worth {{3}}. {{4}}",
    ),
    WhatsAppTemplate(
        name="pickup_0", language="en", category="utility", body="Pickup on {{1}} at {{2}}."
    ),
    WhatsAppTemplate(
        name="named", language="en", category="utility", body="{{first_name}}: {{order_id}}"
    ),
    WhatsAppTemplate(
        name="with_button",
        language="en",
        category="marketing",
        header="For {{1}}",
        body="See {{1}}",
        url_buttons=MappingProxyType({0: "https://go.example/{{1}}"}),
    ),
    WhatsAppTemplate(name="paused", language="en", category="marketing", body="x", status="PAUSED"),
    WhatsAppTemplate(
        name="disabled", language="en", category="marketing", body="x", status="DISABLED"
    ),
    WhatsAppTemplate(
        name="pending", language="en", category="marketing", body="x", status="PENDING"
    ),
)


@pytest.fixture(scope="package")
def sandbox() -> Iterator[RunningSandbox]:
    config = SandboxConfig(
        templates={(each.name, each.language): each for each in _TEMPLATES},
        whatsapp_per_second=0,
        slack_per_second=0,
        sendgrid_sender_domains=frozenset({"shop.example"}),
        sendgrid_max_bytes=1_000_000,
        meta_audience_ids=frozenset({"777", "778"}),
        slack_paths=frozenset({"services/T1/B1/x"}),
        max_kept_bodies=2,
    )
    with running_sandbox(config) as running:
        yield running


@pytest.fixture
def control(sandbox: RunningSandbox) -> Iterator[SandboxClient]:
    with SandboxClient(sandbox.base_url) as client:
        client.reset()
        yield client


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session
