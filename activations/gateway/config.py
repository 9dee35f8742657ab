"""What a gateway is told at start."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from activations.errors import ConfigurationError
from activations.gateway.keywords import START_PHRASES, STOP_PHRASES


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayConfig:
    """Secrets and rules of one gateway. Its repr shows no secret.

    Attributes:
        link_secret: signs redirect and unsubscribe tokens; the sender has the same.
        whatsapp_app_secret: verifies `X-Hub-Signature-256`; empty turns the WhatsApp webhook off.
        whatsapp_verify_token: answers the subscription handshake.
        sendgrid_public_key: verifies the event webhook, base64 DER or PEM as SendGrid shows it;
            empty turns the SendGrid webhook off.
        brand_name: shown on the pages people see.
        undeliverable_limit: WhatsApp failures 131026 after which the number is suppressed.
        undeliverable_for: how long; people install WhatsApp later.
        stop_phrases: replies that are an opt-out, see `keywords`.
        start_phrases: replies that are an opt-in.
        max_body_bytes: of a webhook; Meta's may have 3 MB.
        accepts_simulated_time: believe the header `X-Sandbox-Now` on clicks and unsubscribes. For
            the demo only: anybody may send a header.
    """

    link_secret: str = field(repr=False)
    whatsapp_app_secret: str = field(default="", repr=False)
    whatsapp_verify_token: str = field(default="", repr=False)
    sendgrid_public_key: str = field(default="", repr=False)
    brand_name: str = "Our shop"
    undeliverable_limit: int = 2
    undeliverable_for: timedelta = timedelta(days=90)
    stop_phrases: frozenset[str] = field(default=STOP_PHRASES, repr=False)
    start_phrases: frozenset[str] = field(default=START_PHRASES, repr=False)
    max_body_bytes: int = 8 * 1024 * 1024
    accepts_simulated_time: bool = False

    def __post_init__(self) -> None:
        """Check what can be checked without a request.

        Raises:
            ConfigurationError: no link secret, or a limit below 1.
        """
        if not self.link_secret:
            msg = "the gateway needs the secret that signs links"
            raise ConfigurationError(msg)
        if self.undeliverable_limit < 1 or self.max_body_bytes < 1:
            msg = "the gateway's undeliverable_limit and max_body_bytes must be at least 1"
            raise ConfigurationError(msg)
