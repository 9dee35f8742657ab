"""Running a sandbox: in a thread for tests and the demo, in the foreground for a person."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from activations.gateway.serving import serve_in_foreground, serving
from activations.sandbox.app import create_sandbox
from activations.sandbox.config import SandboxConfig
from activations.sandbox.state import SandboxState


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningSandbox:
    """A sandbox that answers.

    Attributes:
        base_url: `http://127.0.0.1:PORT`; the base URL of every emulated provider.
        state: its memory, for tests in the same process.
    """

    base_url: str
    state: SandboxState = field(repr=False)


@contextlib.contextmanager
def running_sandbox(
    config: SandboxConfig | None = None, *, port: int = 0
) -> Iterator[RunningSandbox]:
    """Serve a sandbox on loopback for as long as the `with` block runs.

    Raises:
        ServerStartError: the port is taken.
    """
    app = create_sandbox(config)
    with serving(app, port=port) as address:
        yield RunningSandbox(base_url=address.base_url, state=app.state.sandbox)


def serve_sandbox(config: SandboxConfig, *, host: str = "127.0.0.1", port: int = 8025) -> None:
    """Serve until interrupted.

    Raises:
        ServerStartError: the address is taken.
    """
    serve_in_foreground(create_sandbox(config), host=host, port=port, announce="sandbox")
