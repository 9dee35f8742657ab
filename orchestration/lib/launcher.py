"""`lifecycle ui`: webserver, daemon, gateway and, in the sandbox, the emulators; all stop together.

Belongs here: processes and signals. A shell that starts programs in the background makes them ignore Ctrl-C;
the handlers are put back before anything starts.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import FrameType

import click
import requests

from activations.clock import SystemClock
from activations.gateway.config import GatewayConfig
from activations.gateway.server import running_gateway
from orchestration.lib.erasure_key import open_ledger
from orchestration.lib.outside import Outside, start_sandbox
from orchestration.lib.settings import Settings
from orchestration.lib.ticks import prepare_dagster_home

START_SECONDS = 90
STOP_SECONDS = 15


class PortTakenError(click.ClickException):
    """The UI's or the gateway's port is in use."""


def serve_ui(settings: Settings) -> None:
    """Run until Ctrl-C or until one of the processes ends.

    Raises:
        PortTakenError: A port is in use; the message names the setting to change.
    """
    _require_free(settings.ui_port, "UI_PORT")
    _require_free(settings.gateway_port, "GATEWAY_PORT")
    _require_free(settings.reports_port, "REPORTS_PORT")
    stop = _Stop()
    with ExitStack() as stack:
        ledger = open_ledger(settings)
        stack.callback(ledger.close)
        if settings.is_sandbox:
            outside = stack.enter_context(
                start_sandbox(settings, ledger, gateway_port=settings.gateway_port)
            )
            click.echo(f"emulated channels  {outside.settings.whatsapp_base_url}")
        else:
            gateway = GatewayConfig(
                link_secret=settings.gateway_secret,
                whatsapp_app_secret=settings.whatsapp_app_secret,
                whatsapp_verify_token=settings.whatsapp_verify_token,
                sendgrid_public_key=settings.sendgrid_webhook_public_key,
                brand_name=settings.sendgrid_from_name,
            )
            stack.enter_context(
                running_gateway(ledger, gateway, SystemClock(), port=settings.gateway_port)
            )
            outside = Outside(settings=settings)
        click.echo(f"gateway            http://127.0.0.1:{settings.gateway_port}/healthz")
        stack.enter_context(_serving_reports(settings))
        click.echo(f"reports            http://127.0.0.1:{settings.reports_port}/data_docs/")
        environment = _child_environment(outside.settings)
        module = [sys.executable, "-m"]
        processes = [
            subprocess.Popen(
                [
                    *module,
                    "dagster_webserver",
                    "-w",
                    "workspace.yaml",
                    "-h",
                    "127.0.0.1",
                    "-p",
                    str(settings.ui_port),
                    "--log-level",
                    "warning",
                ],
                env=environment,
                start_new_session=True,
            ),
            subprocess.Popen(
                [
                    *module,
                    "dagster._daemon",
                    "run",
                    "-w",
                    "workspace.yaml",
                    "--log-level",
                    "warning",
                ],
                env=environment,
                start_new_session=True,
            ),
        ]
        stack.callback(_stop_all, processes)
        url = f"http://127.0.0.1:{settings.ui_port}"
        click.echo("Dagster is starting", nl=False)
        if _wait_for(url, processes, stop):
            click.echo(f"\nDagster UI         {url}\nCtrl-C stops all of it.")
        while not stop.asked and all(process.poll() is None for process in processes):
            time.sleep(0.3)
        if not stop.asked:
            click.echo("\nA Dagster process ended by itself; stopping the rest.", err=True)
        else:
            click.echo("\nstopping")


class _ReportHandler(SimpleHTTPRequestHandler):
    """Files of the reports folder, without a line a request on the screen."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


@contextmanager
def _serving_reports(settings: Settings) -> Iterator[None]:
    """Serve the reports on this machine only: a browser opens no file links from the UI."""
    settings.reports_path.mkdir(parents=True, exist_ok=True)
    handler = partial(_ReportHandler, directory=str(settings.reports_path))
    server = ThreadingHTTPServer(("127.0.0.1", settings.reports_port), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class _Stop:
    """Remembers that somebody asked to stop."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.asked = True


def _require_free(port: int, setting: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortTakenError(
                f"port {port} is in use: stop what uses it, or set {setting} to another."
            ) from error


def _child_environment(settings: Settings) -> dict[str, str]:
    return {
        **os.environ,
        "DAGSTER_HOME": str(prepare_dagster_home(settings.home)),
        "LIFECYCLE_HOME": str(settings.home),
        "WHATSAPP_BASE_URL": settings.whatsapp_base_url,
        "SENDGRID_BASE_URL": settings.sendgrid_base_url,
        "META_BASE_URL": settings.meta_base_url,
        "GATEWAY_BASE_URL": settings.gateway_base_url,
    }


def _wait_for(url: str, processes: list[subprocess.Popen[bytes]], stop: _Stop) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and not stop.asked:
        if any(process.poll() is not None for process in processes):
            return False
        try:
            if requests.get(f"{url}/server_info", timeout=2).ok:
                return True
        except requests.RequestException:
            click.echo(".", nl=False)
        time.sleep(1)
    return False


def _stop_all(processes: list[subprocess.Popen[bytes]]) -> None:
    """End the processes and what they started: politely, then firmly."""
    for process in processes:
        _signal(process, signal.SIGINT)
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _signal(process, signal.SIGKILL)
            process.wait()
    for process in processes:
        _signal(process, signal.SIGKILL)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
