"""kill -9 while sending: nothing twice, nothing lost, what is unknown is listed and bounded."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from activations.ledger import Ledger
from tests.activations.kill_sender import WINDOW, main
from tests.activations.provider import Provider, Received, Reply
from tests.activations.world import accept_whatsapp, decision, record

MESSAGES = 120
REPOSITORY = Path(__file__).resolve().parents[2]


class _Killer:
    """A provider that kills its sender when the n-th request is there, or a little later."""

    def __init__(self, *, at: int, delay: float) -> None:
        self._at = at
        self._delay = delay
        self._seen = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._started = threading.Event()

    def watch(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._started.set()

    def __call__(self, request: Received) -> Reply:
        self._seen += 1
        if self._seen == self._at:
            assert self._started.wait(10)
            if self._delay:
                # Later by a moment: somewhere in answering, settling or claiming.
                threading.Timer(self._delay, self._kill).start()
            else:
                self._kill()
        return accept_whatsapp(request)

    def _kill(self) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)


def _kill_once(url: str, seed: int) -> tuple[int, int]:
    """Kill one run at a random moment, run again, and check the books."""
    chance = random.Random(seed)
    ledger = Ledger(url)
    keys = {row.intent_key for row in record(ledger, map(decision, range(MESSAGES)))}
    ledger.close()
    killer = _Killer(
        at=chance.randint(1, MESSAGES), delay=chance.choice([0.0, chance.uniform(0, 0.03)])
    )
    with Provider(killer) as provider:
        command = [sys.executable, "-m", "tests.activations.kill_sender"]
        process = subprocess.Popen([*command, url, provider.url, str(MESSAGES)], cwd=REPOSITORY)
        killer.watch(process)
        status = process.wait(60)
        before = len(provider.received)
        provider.handler = accept_whatsapp
        main(url, provider.url, MESSAGES)
        received = Counter(
            request.json()["biz_opaque_callback_data"] for request in provider.received
        )
    ledger = Ledger(url)
    unknown = {item.intent_key for item in ledger.list_unknown("whatsapp")}
    sent = {key for key in keys if (ledger.intent(key) or decision()).outcome == "sent"}
    ledger.close()

    assert status in (-signal.SIGKILL, 0)
    assert max(received.values()) == 1, "a message reached the provider twice"
    assert set(received) | unknown == keys, "a message was lost without a trace"
    assert len(unknown) <= WINDOW, "more unknown than were in flight"
    assert sent == keys
    return len(unknown), before


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_sender_sends_nothing_twice_and_loses_nothing(tmp_path: Path, seed: int) -> None:
    _kill_once(f"sqlite:///{tmp_path / 'ledger.sqlite'}", seed)


def test_a_killed_sender_on_the_servers_database(postgres_ledger_url: str) -> None:
    _kill_once(postgres_ledger_url, 99)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 140))
def test_forty_killed_senders(tmp_path: Path, seed: int) -> None:
    _kill_once(f"sqlite:///{tmp_path / 'ledger.sqlite'}", seed)
