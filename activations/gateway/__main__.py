"""`python -m activations.gateway --port 8026`: the gateway as a process of its own.

Secrets come from the environment only; a command line is read by every user of a machine.
"""

from __future__ import annotations

import argparse
import os
import sys

from activations.clock import SystemClock
from activations.errors import ActivationError, ConfigurationError
from activations.gateway.config import GatewayConfig
from activations.gateway.server import serve_gateway
from activations.ledger import Ledger

REQUIRED = ("LEDGER_URL", "GATEWAY_SECRET")


def build_config(environment: dict[str, str]) -> GatewayConfig:
    """Read the gateway's part of the environment.

    Raises:
        ConfigurationError: a required variable is missing; it is named.
    """
    missing = [name for name in REQUIRED if not environment.get(name)]
    if missing:
        msg = f"the gateway needs {', '.join(missing)} in the environment"
        raise ConfigurationError(msg)
    return GatewayConfig(
        link_secret=environment["GATEWAY_SECRET"],
        whatsapp_app_secret=environment.get("WHATSAPP_APP_SECRET", ""),
        whatsapp_verify_token=environment.get("WHATSAPP_VERIFY_TOKEN", ""),
        sendgrid_public_key=environment.get("SENDGRID_WEBHOOK_PUBLIC_KEY", ""),
        brand_name=environment.get("BRAND_NAME") or "Our shop",
    )


def main() -> int:
    """Parse the arguments and serve until interrupted; 2 when it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m activations.gateway", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8026, help="port, 0 for a free one")
    given = parser.parse_args()
    try:
        config = build_config(dict(os.environ))
        ledger = Ledger(os.environ["LEDGER_URL"], erasure_key=os.environ.get("ERASURE_KEY", ""))
        try:
            serve_gateway(ledger, config, SystemClock(), host=given.host, port=given.port)
        finally:
            ledger.close()
    except ActivationError as error:
        print(f"gateway: {error}", file=sys.stderr)  # noqa: T201 - the programme's only output
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
