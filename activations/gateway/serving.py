"""Serving an ASGI app from a thread on a free port, and reading request bodies within a limit.

Belongs here: the two HTTP mechanics that the gateway and the sandbox share. What does not: routes,
providers, the ledger.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.requests import ClientDisconnect

from activations.errors import ActivationError

if TYPE_CHECKING:
    from starlette.requests import Request

START_TIMEOUT_SECONDS = 10.0
STOP_TIMEOUT_SECONDS = 10.0


class ServingError(ActivationError):
    """A server thread did not do as asked.

    Tree: `ServingError`
      - `ServerStartError`: the port is taken or the thread died at start; the operator picks
        another port, a plain retry does not help.
      - `BodyTooLargeError`: the caller sent more bytes than the route takes; the caller must split.
      - `BodyCutShortError`: the connection ended inside the body; the caller retries.
    """


class ServerStartError(ServingError):
    """The server thread did not come up."""


class BodyTooLargeError(ServingError):
    """A request body is larger than the limit of its route."""


class BodyCutShortError(ServingError):
    """The peer went away before its body was complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAddress:
    """Where a server listens."""

    host: str
    port: int

    @property
    def base_url(self) -> str:
        """`http://host:port`, without a slash at the end."""
        return f"http://{self.host}:{self.port}"


def server_settings() -> dict[str, Any]:
    """Settings of every server of this package, in a thread or in the foreground.

    No access log: paths carry tokens, and bodies and queries carry phones and e-mails. No
    websockets and no lifespan: nothing here uses them, and each costs start-up time.
    """
    return {
        "access_log": False,
        "log_config": None,
        "log_level": "warning",
        "lifespan": "off",
        "ws": "none",
        "server_header": False,
        "timeout_keep_alive": 75,
        "timeout_graceful_shutdown": 3,
    }


def bind_socket(host: str, port: int) -> socket.socket:
    """Open a listening socket; port 0 takes a free one.

    Raises:
        ServerStartError: the address is in use or not allowed.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # From here on callers queue instead of being refused, so the address may be told.
        listener.listen(2048)
    except OSError as error:
        listener.close()
        msg = f"cannot listen on {host}:{port}: {error.strerror}; choose another port"
        raise ServerStartError(msg) from error
    return listener


@contextlib.contextmanager
def serving(app: Any, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[ServerAddress]:
    """Serve `app` from a daemon thread for as long as the `with` block runs.

    Args:
        app: an ASGI application.
        host: address to listen on.
        port: port, 0 for a free one.

    Yields:
        The address, when the server answers.

    Raises:
        ServerStartError: it did not start within 10 seconds.
    """
    listener = bind_socket(host, port)
    address = ServerAddress(host=host, port=listener.getsockname()[1])
    server = uvicorn.Server(uvicorn.Config(app, **server_settings()))
    thread = threading.Thread(
        target=server.run, args=([listener],), name=f"serve-{address.port}", daemon=True
    )
    thread.start()
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    try:
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                msg = f"the server on {address.base_url} did not start"
                raise ServerStartError(msg)
            time.sleep(0.002)
        yield address
    finally:
        server.should_exit = True
        thread.join(STOP_TIMEOUT_SECONDS)
        listener.close()


def serve_in_foreground(app: Any, *, host: str, port: int, announce: str) -> None:
    """Serve until interrupted; prints one line `announce` with the address when it listens.

    Raises:
        ServerStartError: the address is taken.
    """
    listener = bind_socket(host, port)
    address = ServerAddress(host=host, port=listener.getsockname()[1])
    print(f"{announce} on {address.base_url}", flush=True)  # noqa: T201 - the programme's only output
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(uvicorn.Config(app, **server_settings())).run([listener])


async def read_body(request: Request, *, limit_bytes: int) -> bytes:
    """The raw body, as it came.

    A declared length over the limit is refused before a byte is read; an undeclared one as soon as
    it passes the limit.

    Raises:
        BodyTooLargeError: more than `limit_bytes`.
        BodyCutShortError: the peer closed before the end.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit_bytes:
        msg = f"body of {declared} bytes, at most {limit_bytes} are taken"
        raise BodyTooLargeError(msg)
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit_bytes:
                msg = f"body over {limit_bytes} bytes"
                raise BodyTooLargeError(msg)
            chunks.append(chunk)
    except ClientDisconnect as error:
        msg = "the connection ended inside the body"
        raise BodyCutShortError(msg) from error
    return b"".join(chunks)
