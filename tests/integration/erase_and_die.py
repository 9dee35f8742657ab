"""`lifecycle erase`, killed at a chosen instruction: ``python -m tests.integration.erase_and_die WHEN CUSTOMER``."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import click

from orchestration import cli
from orchestration.lib import erase_warehouse, erasure


def _die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def main(when: str, customer: str) -> None:
    """Run the command and die before or after a step, or while the warehouse file is put in place."""
    do = erasure._do

    def killing(settings: Any, ledger: Any, step: Any) -> Any:
        moment, _, system = when.partition(":")
        if system == step.system and moment == "before":
            _die()
        receipt = do(settings, ledger, step)
        if system == step.system and moment == "after":
            _die()
        return receipt

    erasure._do = killing
    if when == "replacing":
        erase_warehouse.os.replace = _die
    if when == "deleting":
        erase_warehouse.recount_pulls = _die
    command: click.Command = cli.main
    command.main(["erase", customer, "--yes"])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
