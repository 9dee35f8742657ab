"""`python -m activations.sandbox --port 8025`: the sandbox as a process of its own."""

from __future__ import annotations

import argparse
from pathlib import Path

from activations.sandbox.config import SandboxConfig, load_templates
from activations.sandbox.server import serve_sandbox

DEFAULT_TEMPLATES = Path(__file__).resolve().parent.parent / "templates" / "whatsapp"


def main() -> None:
    """Parse the arguments and serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m activations.sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8025, help="port, 0 for a free one")
    parser.add_argument("--gateway-url", default=None, help="base URL that gets the webhooks")
    parser.add_argument(
        "--templates",
        type=Path,
        default=DEFAULT_TEMPLATES,
        help="folder of WhatsApp templates (*.yaml)",
    )
    parser.add_argument(
        "--whatsapp-per-second",
        type=float,
        default=80.0,
        help="throughput of the WhatsApp number, 0 for no limit",
    )
    given = parser.parse_args()
    config = SandboxConfig(
        gateway_url=given.gateway_url,
        templates=load_templates(given.templates),
        whatsapp_per_second=given.whatsapp_per_second,
    )
    serve_sandbox(config, host=given.host, port=given.port)


if __name__ == "__main__":
    main()
