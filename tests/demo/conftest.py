"""Worlds are expensive: one of each size a session, copied before anything changes it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from orchestration.demo.world import World

IST = timezone(timedelta(hours=5, minutes=30))
#: Ten o'clock on a Sunday morning.
START = datetime(2026, 11, 1, 10, 0, tzinfo=IST)

CopyWorld = Callable[[], World]


def read_sources(home: Path) -> dict[str, Any]:
    """Everything a pipeline can see: file contents, and rows of the admin tables."""
    seen: dict[str, Any] = {
        f"{folder}/{path.name}": path.read_bytes()
        for folder in ("ga4", "crm")
        for path in sorted((home / folder).iterdir())
    }
    with closing(sqlite3.connect(home / "admin" / "admin.sqlite")) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (name,) in tables.fetchall():
            rows = connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2, 3").fetchall()
            seen[f"admin.{name}"] = rows
    return seen


def query(home: Path, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a query on the admin database."""
    with closing(sqlite3.connect(home / "admin" / "admin.sqlite")) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> World:
    """2,000 people, as at the start; read only."""
    home = tmp_path_factory.mktemp("town")
    return World.create(home, people=2000, seed=11, start=START)


@pytest.fixture(scope="session")
def _village_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("village")
    World.create(home, people=400, seed=5, start=START, history_days=30)
    return home


@pytest.fixture
def copy_village(_village_home: Path, tmp_path: Path) -> CopyWorld:
    """Makes a fresh copy of a world of 400 people each time it is called."""
    made = 0

    def copy() -> World:
        nonlocal made
        made += 1
        home = tmp_path / f"village{made}"
        shutil.copytree(_village_home, home)
        return World.open(home)

    return copy
