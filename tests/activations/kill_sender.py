"""A sender in a process of its own, to be killed: ``python -m tests.activations.kill_sender``."""

from __future__ import annotations

import sys

from activations.channels.base import ChannelLimits
from activations.ledger import Ledger
from activations.runner import send_messages
from tests.activations.world import CONTENT, NOON, clock, decision, row_of, whatsapp

WINDOW = 16


def main(url: str, provider: str, number: int) -> None:
    """Send `number` messages, the same ones in each process."""
    ledger = Ledger(url)
    limits = ChannelLimits(max_in_flight=WINDOW, per_second=1e6, burst=1e6)
    send_messages(
        ledger,
        whatsapp(provider, limits),
        [row_of(decision(each)) for each in range(number)],
        content=CONTENT,
        run_as_of=NOON,
        clock=clock(),
    )
    ledger.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
