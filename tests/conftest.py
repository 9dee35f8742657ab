"""Fixtures that more than one test folder uses. A fixture for one folder lives in that folder."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

REPOSITORY = Path(__file__).resolve().parent.parent

# Properties are about what is right: a machine that is slow today breaks none of them.
settings.register_profile(
    "any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any_machine")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real and simulated example data beside the checkout; the test skips without it."""
    folder = Path(os.environ.get("SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"example data is not at {folder.name}/: set SHARED_DATA to its folder")
    return folder


@pytest.fixture(scope="module")
def dbt_in_process() -> Iterator[None]:
    """For modules that run Dagster or dbt in this process.

    Both leave event loops and sockets to the garbage collector, which warns; warnings are errors here.
    """
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()
