"""The key of the hashes that erased people are known by, and the ledger opened with it."""

from __future__ import annotations

import os
import secrets

from activations.ledger import Ledger
from orchestration.lib.settings import Settings

KEY_FILE = "erasure.key"


def read_erasure_key(settings: Settings) -> str:
    """Return the key, or '' where there is none yet."""
    path = settings.home / KEY_FILE
    if settings.erasure_key or not settings.is_sandbox or not path.exists():
        return settings.erasure_key
    return path.read_text(encoding="utf-8").strip()


def _ensure_key(settings: Settings) -> None:
    """Make the sandbox its own key, readable by its owner alone; production is given one by its settings."""
    if read_erasure_key(settings) or not settings.is_sandbox:
        return
    settings.home.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(settings.home / KEY_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return  # another process was faster
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(secrets.token_hex(32))


def open_ledger(settings: Settings) -> Ledger:
    """Open the ledger with the key that it needs once somebody was erased.

    The sandbox has its key from the start: a gateway that runs for days must know it too.

    Raises:
        ConfigurationError: Somebody was erased and the key is gone or another one.
    """
    _ensure_key(settings)
    return Ledger(settings.ledger_url, erasure_key=read_erasure_key(settings))
