"""What a thousand messages cost: ``python -m tests.bench.bench_send [MESSAGES]``.

Prints CPU seconds of the sender (its HTTP client's threads included), wall seconds and peak memory,
for recording the decisions and for claim, send and settle. The provider is a process of its own on
loopback that answers at once. Nothing is asserted: numbers belong to a machine.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from activations.channels.base import Channel, ChannelLimits
from activations.ledger import Ledger
from activations.rows import Decision
from activations.runner import send_messages
from tests.activations.provider import Provider, Received, Reply
from tests.activations.world import (
    CONTENT,
    NOON,
    accept_email,
    accept_whatsapp,
    clock,
    decision,
    email,
    row_of,
    whatsapp,
)

_LIMITS = ChannelLimits(max_in_flight=64, per_second=1e6, burst=1e6)


def _accept(request: Received) -> Reply:
    return accept_email(request) if request.path.endswith("/send") else accept_whatsapp(request)


def serve() -> None:
    """Answer until standard input closes."""
    with Provider(_accept) as provider:
        print(provider.url, flush=True)
        sys.stdin.read()


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _measure(label: str, messages: int, work: Callable[[], object]) -> None:
    cpu, wall = _cpu(), time.perf_counter()
    work()
    cpu, wall = _cpu() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    per = 1000 / messages
    print(
        f"{label:<28} {cpu * per:7.3f} CPU s and {wall * per:7.3f} s a thousand, "
        f"peak {peak:6.0f} MiB"
    )


def _bench(url: str, messages: int, build: Callable[[str, ChannelLimits], Channel]) -> None:
    channel = build(url, _LIMITS)
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(f"sqlite:///{Path(folder) / 'ledger.sqlite'}")
        decided: list[Decision] = [
            decision(number, channel=channel.name) for number in range(messages)
        ]
        rows = [row_of(item) for item in decided]

        def record() -> None:
            ledger.record_decisions(decided, run_as_of=NOON, now=NOON)

        def send() -> None:
            report = send_messages(
                ledger, channel, rows, content=CONTENT, run_as_of=NOON, clock=clock()
            )
            print(f"{channel.name}: {report.counts.accepted} of {messages} accepted")

        _measure(f"{channel.name} record", messages, record)
        _measure(f"{channel.name} record unchanged", messages, record)
        _measure(f"{channel.name} prepare only", messages, lambda: _prepare(channel, rows))
        _measure(f"{channel.name} claim+send+settle", messages, send)
        _measure(f"{channel.name} second run", messages, send)
        ledger.close()


def _prepare(channel: Channel, rows: list) -> None:
    for row in rows:
        channel.prepare(row, CONTENT)


def main(messages: int) -> None:
    """Run the benchmark for both channels."""
    command = [sys.executable, "-m", "tests.bench.bench_send", "serve"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        _bench(url, messages, whatsapp)
        _bench(url, messages, email)
        assert server.stdin is not None
        server.stdin.close()


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5_000)
