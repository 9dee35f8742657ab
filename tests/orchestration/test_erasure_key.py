"""The key of the hashes: the sandbox makes its own, production must be given one."""

from __future__ import annotations

from pathlib import Path

import pytest

from activations.errors import ConfigurationError
from orchestration.lib.erasure_key import open_ledger, read_erasure_key
from orchestration.lib.settings import SettingsError, read_settings
from tests.orchestration.test_settings import PRODUCTION


def test_the_sandbox_makes_a_key_once_and_keeps_it_to_its_owner(tmp_path: Path) -> None:
    settings = read_settings({"LIFECYCLE_HOME": str(tmp_path)})
    assert read_erasure_key(settings) == ""
    open_ledger(settings).close()
    key = read_erasure_key(settings)
    assert len(key) == 64
    assert (tmp_path / "erasure.key").stat().st_mode & 0o777 == 0o600
    open_ledger(settings).close()
    assert read_erasure_key(settings) == key


def test_production_without_a_key_says_how_to_make_one(tmp_path: Path) -> None:
    settings = read_settings({**PRODUCTION, "LIFECYCLE_HOME": str(tmp_path)})
    ledger = open_ledger(settings)
    with pytest.raises(ConfigurationError, match=r"ERASURE_KEY is not set.*openssl"):
        _ = ledger.keyed
    ledger.close()
    assert not (tmp_path / "erasure.key").exists()


def test_a_short_key_stops_the_start_and_no_key_is_shown() -> None:
    with pytest.raises(SettingsError, match="ERASURE_KEY has 5 characters") as caught:
        read_settings({**PRODUCTION, "ERASURE_KEY": "abcde"})
    assert "abcde" not in str(caught.value)
    settings = read_settings({**PRODUCTION, "ERASURE_KEY": "x9" * 20})
    assert "x9x9" not in repr(settings)
