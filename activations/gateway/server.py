"""Running a gateway: in a thread for tests and the demo, in the foreground in production."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from activations.clock import Clock
from activations.gateway.app import create_gateway
from activations.gateway.config import GatewayConfig
from activations.gateway.serving import ServerAddress, serve_in_foreground, serving
from activations.ledger import Ledger


@contextlib.contextmanager
def running_gateway(
    ledger: Ledger,
    config: GatewayConfig,
    clock: Clock,
    *,
    port: int = 0,
    host: str = "127.0.0.1",
) -> Iterator[ServerAddress]:
    """Serve a gateway from a thread for as long as the `with` block runs.

    Yields:
        Where it listens; `.base_url` is what links and webhooks need.

    Raises:
        ServerStartError: the port is taken.
        ConfigurationError: a key cannot be read.
    """
    with serving(create_gateway(ledger, config, clock), host=host, port=port) as address:
        yield address


def serve_gateway(
    ledger: Ledger, config: GatewayConfig, clock: Clock, *, host: str, port: int
) -> None:
    """Serve until interrupted.

    Raises:
        ServerStartError: the address is taken.
        ConfigurationError: a key cannot be read.
    """
    serve_in_foreground(
        create_gateway(ledger, config, clock), host=host, port=port, announce="gateway"
    )
