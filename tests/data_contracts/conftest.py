"""Fixtures of the contract tests: an empty warehouse, and the shared example world loaded raw."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from data_contracts.loader import load_contracts
from tests.data_contracts.raw_tables import load_recommerce


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty warehouse."""
    with duckdb.connect(":memory:") as warehouse:
        warehouse.execute("set TimeZone = 'UTC'")
        yield warehouse


@pytest.fixture(scope="session")
def recommerce_file(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared example world, loaded once; nobody writes to it."""
    path = tmp_path_factory.mktemp("recommerce") / "warehouse.duckdb"
    with duckdb.connect(str(path)) as warehouse:
        warehouse.execute("set TimeZone = 'UTC'")
        load_recommerce(warehouse, shared_data, load_contracts())
    return path


@pytest.fixture
def recommerce(recommerce_file: Path, tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A copy of the shared example world that the test may damage."""
    path = tmp_path / "warehouse.duckdb"
    shutil.copyfile(recommerce_file, path)
    with duckdb.connect(str(path)) as warehouse:
        warehouse.execute("set TimeZone = 'UTC'")
        yield warehouse
