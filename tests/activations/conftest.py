"""Fixtures of the activation tests: ledgers on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from activations.ledger import Ledger
from tests.postgres import PostgresServer, postgres_server

__all__ = ["any_ledger", "any_ledger_url", "ledger", "postgres_server"]


@pytest.fixture(scope="session")
def postgres_database(postgres_server: PostgresServer) -> str:
    """URL of one database for all ledger tests: making one a test takes a second each."""
    postgres_server.run("create database ledger")
    return postgres_server.url("ledger")


@pytest.fixture
def postgres_ledger_url(postgres_database: str) -> str:
    """URL of an empty ledger on PostgreSQL."""
    engine = sa.create_engine(postgres_database, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("drop schema public cascade"))
        connection.execute(sa.text("create schema public"))
    return postgres_database


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger on SQLite."""
    opened = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def any_ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty ledger, once on each database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    return request.getfixturevalue("postgres_ledger_url")


@pytest.fixture
def any_ledger(any_ledger_url: str) -> Iterator[Ledger]:
    """An empty ledger, once on each database."""
    opened = Ledger(any_ledger_url)
    yield opened
    opened.close()
