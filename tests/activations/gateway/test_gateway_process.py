"""Both servers as processes of their own: they start, answer, and end on a signal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from activations.gateway.serving import ServerStartError, bind_socket, serving
from activations.sandbox.app import create_sandbox
from activations.sandbox.client import SandboxClient


@contextmanager
def run(module: str, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("LEDGER_URL", "GATEWAY_SECRET")
    }
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-m", module, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=inherited | environment,
    ) as process:
        try:
            yield process
        finally:
            # Only a failed test finds it running; waiting for it would hide the failure.
            process.kill()


def wait_for_address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    found = re.search(r"http://\S+", process.stdout.readline())
    assert found is not None
    return found.group()


def test_the_gateway_process_serves_and_ends_quietly_on_interrupt(tmp_path: Path) -> None:
    ledger_url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    with run(
        "activations.gateway", "--port=0", LEDGER_URL=ledger_url, GATEWAY_SECRET="x"
    ) as process:
        address = wait_for_address(process)
        assert requests.get(f"{address}/healthz", timeout=10).json() == {"status": "ok"}
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)

    assert (process.returncode, out, err) == (0, "", "")


def test_the_gateway_process_names_what_it_lacks() -> None:
    with run("activations.gateway", "--port=0", LEDGER_URL="") as process:
        _, err = process.communicate(timeout=300)

    assert process.returncode == 2
    assert err == "gateway: the gateway needs LEDGER_URL, GATEWAY_SECRET in the environment\n"


def test_the_sandbox_process_serves_templates_of_a_folder(tmp_path: Path) -> None:
    template = "name: t\nlanguage: en\ncategory: utility\nbody: hi\n"
    (tmp_path / "t.en.yaml").write_text(template, encoding="utf-8")
    with run("activations.sandbox", "--port=0", f"--templates={tmp_path}") as process:
        address = wait_for_address(process)
        with SandboxClient(address) as client:
            assert client.fetch_messages() == []
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)

    assert (process.returncode, out, err) == (0, "", "")


def test_a_taken_port_is_said_so() -> None:
    with serving(create_sandbox()) as address, pytest.raises(ServerStartError, match="listen on"):
        bind_socket("127.0.0.1", address.port)


def test_a_stopped_server_gives_its_port_back() -> None:
    with serving(create_sandbox()) as address:
        first = address.port
    with serving(create_sandbox(), port=first) as address:
        assert address.port == first
