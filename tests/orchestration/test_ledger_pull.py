"""The ledger as a source: copied whole, and only when it differs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from activations.ledger import Ledger
from activations.rows import ConsentStatement
from orchestration.lib.ledger_pull import TABLES, load_ledger
from orchestration.lib.warehouse import open_warehouse

AT = datetime(2026, 11, 1, 10, 30, tzinfo=UTC)


def test_a_pull_of_an_unchanged_ledger_changes_nothing(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    ledger.record_statements(
        [
            ConsentStatement(
                address="+919812345678",
                channel="whatsapp",
                purpose="promotional",
                status="opt_out",
                source="stop_reply",
                stated_at=AT,
                received_at=AT,
            )
        ]
    )
    with open_warehouse(tmp_path / "w.duckdb") as connection:
        first = load_ledger(connection, ledger)
        second = load_ledger(connection, ledger)
        stated = connection.execute(
            "select stated_at from raw.ledger_consent_statements"
        ).fetchall()
    ledger.close()
    assert {result.table for result in first} == set(TABLES)
    assert [result.table for result in first if result.has_changed] == ["ledger_consent_statements"]
    assert not any(result.has_changed for result in second)
    assert stated == [(AT.replace(tzinfo=None),)]
