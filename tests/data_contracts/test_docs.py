from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pytest

from data_contracts.docs import build_data_docs, page_of
from data_contracts.validator import ContractResult, validate
from tests.data_contracts.contracts import contract
from tests.data_contracts.raw_tables import create_table

AS_OF = datetime(2026, 10, 31, 18, 30, tzinfo=UTC)
Warehouse = duckdb.DuckDBPyConnection

PROMISES: dict[str, Any] = {
    "key": ["thing_id"],
    "columns": {"kind": {"allowed": {"values": ["a"], "warning_above": 0, "critical_above": 1}}},
    "quarantine": {
        "warning_above": 0,
        "rules": [{"reason": "no_thing_id", "when": "thing_id is null", "description": "no id"}],
    },
    "volume": [
        {"per": "run", "min_ratio": 0.5, "min_history": 3, "min_rows": 5, "severity": "critical"}
    ],
}
PROMISED = contract(**PROMISES)


def found(connection: Warehouse, *kinds: str, hours: int = 0) -> ContractResult:
    create_table(connection, PROMISED)
    for position, kind in enumerate(kinds):
        connection.execute(
            "insert into raw.things (thing_id, kind) values (?, ?)", [position, kind]
        )
    return validate(connection, PROMISED, as_of=AS_OF + timedelta(hours=hours))


class References(HTMLParser):
    """Everything a browser would fetch or follow."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(page: Path) -> References:
    parser = References()
    parser.feed(page.read_text())
    return parser


def words(page: Path) -> str:
    return re.sub(r"\s+", " ", " ".join(parsed(page).text))


def test_pages_need_no_network_and_lead_only_to_each_other(connection: Warehouse, tmp_path: Path):
    index = build_data_docs([found(connection, "a", "b", "c")], tmp_path)
    page = page_of(tmp_path, "raw.things")
    for path in (index, page):
        text = path.read_text()
        assert "http://" not in text
        assert "https://" not in text
        assert "url(" not in text
        assert "<link" not in text
        for reference in parsed(path).found:
            target = (path.parent / reference.split("#")[0]).resolve()
            assert reference.startswith("#") or target.is_file(), reference


def test_a_page_says_what_failed_what_to_do_and_what_was_kept(
    connection: Warehouse, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING):
        build_data_docs([found(connection, "a", "b", "c")], tmp_path)
    assert caplog.records == []
    text = words(page_of(tmp_path, "raw.things"))
    assert "kind_allowed (critical): raw.things, column kind: expected that kind is one of" in text
    assert "2 bad of 3 rows" in text
    assert "Next: ask the owner" in text
    assert "thing_id is never empty and names one row only (at most 0 bad rows)" in text
    assert "Not judged yet volume_per_run" in text
    assert "An unexpected Exception" not in text


def test_the_index_tells_broken_from_kept(connection: Warehouse, tmp_path: Path):
    good = found(connection, "a")
    index = build_data_docs([good], tmp_path)
    assert "1 tables: 0 broken, 0 with warnings" in words(index)
    build_data_docs([found(connection, "a", "b")], tmp_path)
    assert "1 tables: 0 broken, 1 with warnings" in words(index)
    build_data_docs([found(connection, "b", "c")], tmp_path)
    assert "broken: kind_allowed" in words(index)


def test_a_page_whose_findings_did_not_change_is_left_alone(connection: Warehouse, tmp_path: Path):
    build_data_docs([found(connection, "a")], tmp_path)
    page = page_of(tmp_path, "raw.things")
    page.write_text("as it was")
    index = build_data_docs([found(connection, "a", hours=1)], tmp_path)
    assert page.read_text() == "as it was"
    assert "2026-10-31 19:30 UTC" in words(index)
    build_data_docs([found(connection, "a", "b", hours=2)], tmp_path)
    assert "1 bad of 2 rows" in words(page)


def test_a_lost_page_is_written_again(connection: Warehouse, tmp_path: Path):
    result = found(connection, "a")
    build_data_docs([result], tmp_path)
    page_of(tmp_path, "raw.things").unlink()
    build_data_docs([result], tmp_path)
    assert page_of(tmp_path, "raw.things").is_file()


def test_a_manifest_cut_short_is_written_again(connection: Warehouse, tmp_path: Path):
    (tmp_path / "manifest.json").write_text('{"raw.thi')
    build_data_docs([found(connection, "a")], tmp_path)
    assert list(json.loads((tmp_path / "manifest.json").read_text())) == ["raw.things"]


def test_pages_of_other_tables_stay_until_their_contract_is_gone(
    connection: Warehouse, tmp_path: Path
):
    build_data_docs([found(connection, "a")], tmp_path)
    others = contract(**PROMISES, table="raw.others")
    create_table(connection, others)
    result = validate(connection, others, as_of=AS_OF)
    index = build_data_docs([result], tmp_path, tables=["raw.things", "raw.others"])
    assert "2 tables" in words(index)
    build_data_docs([result], tmp_path, tables=["raw.others"])
    assert "1 tables" in words(index)
    assert not page_of(tmp_path, "raw.things").exists()


def test_what_a_contract_says_is_text_and_not_markup(connection: Warehouse, tmp_path: Path):
    odd = contract(description="One row a <script>alert(1)</script> thing of the tests.")
    create_table(connection, odd)
    index = build_data_docs([validate(connection, odd, as_of=AS_OF)], tmp_path)
    for path in (index, page_of(tmp_path, "raw.things")):
        assert "<script>alert" not in path.read_text()


def test_an_absent_optional_table_has_a_page(connection: Warehouse, tmp_path: Path):
    absent = contract(optional=True)
    build_data_docs([validate(connection, absent, as_of=AS_OF)], tmp_path)
    assert "has no such table" in words(page_of(tmp_path, "raw.things"))
