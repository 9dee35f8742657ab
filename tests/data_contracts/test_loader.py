from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_contracts.checks import plan_checks
from data_contracts.errors import ContractFileError
from data_contracts.loader import CONTRACTS_FOLDER, load_contract, load_contracts

VALID = """
table: raw.things
version: 1
description: One row a thing that tests make up.
owner: team:tests
key: [thing_id]
columns:
  thing_id: {type: integer}
  kind: {type: text, allowed: {values: [a, b], warning_above: 0, critical_above: 5%}}
  made_at: {type: text, clock: ist_text}
"""


def write(folder: Path, text: str, name: str = "things.yml") -> Path:
    path = folder / "raw" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_one_edge_can_be_loaded_alone():
    tables = {contract.table for contract in load_contracts(CONTRACTS_FOLDER / "sync")}
    assert tables == {c.table for c in load_contracts() if c.table.startswith("sync.")} != set()


def test_the_ga4_contract_names_every_column_of_the_current_export(shared_data: Path):
    schema = shared_data / "ga4_raw" / "ga4_export_schema_current.duckdb_columns.json"
    contract = load_contract(CONTRACTS_FOLDER / "raw" / "ga4_events.yml")
    ours = {"_table", "_table_date", "_is_intraday"}
    assert set(contract.columns) == set(json.loads(schema.read_text())) | ours


def test_personal_columns_are_marked_in_every_contract():
    names = {"phone", "email", "address", "contact_phone", "to_address", "name", "first_name"}
    unmarked = [
        f"{contract.table}.{name}"
        for contract in load_contracts()
        for name, column in contract.columns.items()
        if name in names and not column.personal
    ]
    assert unmarked == []


def test_no_check_shows_a_personal_column_as_an_example():
    shown = [
        f"{contract.table}.{name}"
        for contract in load_contracts()
        for name in contract.examples
        if contract.columns[name].personal
    ]
    assert shown == []


def test_opt_outs_are_never_put_in_quarantine():
    rules = {
        contract.table: {rule.reason: rule.when for rule in contract.quarantine.rules}
        for contract in load_contracts()
        if contract.quarantine
    }
    assert "status = 'opt_in'" in rules["raw.admin_consents"]["unreadable_changed_at"]
    assert "event <> 'opt_out'" in rules["raw.crm_channel_events"]["unreadable_time"]
    assert set(rules["raw.admin_users"]) == {"no_user_id"}
    assert set(rules["raw.crm_contacts"]) == {"no_contact_id"}


def test_check_names_fit_where_they_are_shown():
    for contract in load_contracts():
        names = [plan.name for plan in plan_checks(contract)]
        assert len(names) == len(set(names))
        assert all(name.replace("_", "a").isalnum() and len(name) <= 80 for name in names), names


def test_a_valid_file_is_read(tmp_path: Path):
    contract = load_contract(write(tmp_path, VALID))
    assert (contract.table, contract.name, contract.file) == (
        "raw.things",
        "things",
        "raw/things.yml",
    )
    assert str(contract.columns["kind"].allowed.critical_above) == "5 % of the rows"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("key:", "keys:"), "raw/things.yml: keys: unknown key"),
        (("type: integer", "type: integer, nulable: false"), "columns.thing_id.nulable: unknown"),
        (("type: integer", "type: bigint"), "columns.thing_id.type"),
        (("[thing_id]", "[thing_key]"), "key names the column thing_key"),
        (("clock: ist_text", "clock: ist"), "columns.made_at.clock"),
        (("clock: ist_text", "unreadable: {warning_above: 0}"), "columns.made_at: unreadable"),
        (("warning_above: 0, ", "warning_above: 10%, "), "warning_above is looser"),
        (("critical_above: 5%", "critical_above: yes"), "columns.kind.allowed.critical_above"),
        (("warning_above: 0, critical_above: 5%", ""), "say when it matters"),
        (("[a, b]", "[]"), "columns.kind.allowed.values"),
        (("version: 1", "version: 0"), "version"),
        (("team:tests", "somebody"), "owner"),
        (("raw.things", "raw.other"), "table: says raw.other"),
        (("version: 1", "version: 1\nversion: 2"), "the key 'version' is given twice"),
        (("version: 1", "version: 1\nfile: x"), "file: unknown key"),
        (("columns:", "columns: ["), "not valid YAML"),
    ],
)
def test_a_wrong_file_is_an_error_that_names_file_and_key(
    tmp_path: Path, change: tuple[str, str], says: str
):
    with pytest.raises(ContractFileError) as caught:
        load_contract(write(tmp_path, VALID.replace(*change)))
    assert says in str(caught.value)
    assert str(caught.value).startswith("raw/things.yml: ")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (
            "conditions:\n  odd: {check: 'thingid > 0', description: x, warning_above: 0}",
            "conditions.odd: DuckDB cannot read this SQL",
        ),
        (
            "conditions:\n  odd: {check: 'thing_id >', description: x, warning_above: 0}",
            "conditions.odd: DuckDB cannot read this SQL",
        ),
        (
            "conditions:\n  odd: {check: '{kind} is null', description: x, warning_above: 0}",
            "{kind} needs a declared column with a clock",
        ),
        (
            "quarantine:\n  warning_above: 0\n  rules:\n"
            "    - {reason: bad, when: 'made_at = 3 and', description: x}",
            "quarantine.bad: DuckDB cannot read this SQL",
        ),
        (
            "quarantine:\n  warning_above: 0\n  row_key: [thing_id]\n  rules:\n"
            "    - {reason: bad, when: 'kind is null', description: x}",
            "row_key must hold every column its rules judge; add kind",
        ),
        (
            "quarantine:\n  warning_above: 0\n  rules:\n"
            "    - {reason: bad, when: 'kind is null', description: x}\n"
            "    - {reason: bad, when: 'thing_id is null', description: x}",
            "each reason names one rule",
        ),
        (
            "freshness:\n  - {column: kind, max_age_hours: 1, expected_rows: 0, severity: warning}",
            "freshness reads kind as a time",
        ),
        (
            "freshness:\n"
            "  - {column: made_at, max_age_hours: 1, expected_rows: 0, severity: warning}\n"
            "  - {column: made_at, max_age_hours: 2, expected_rows: 0, severity: warning}",
            "the same check made_at_fresh",
        ),
        (
            "volume:\n  - {per: run, min_history: 1, min_rows: 1, severity: warning}",
            "give min_ratio, max_ratio or both",
        ),
        (
            "volume:\n"
            "  - {per: day, min_ratio: 0.5, min_history: 1, min_rows: 1, severity: warning}",
            "per: day needs the column",
        ),
        ("examples: [phone]", "examples names the column phone"),
    ],
)
def test_a_wrong_rule_is_an_error_that_names_it(tmp_path: Path, more: str, says: str):
    with pytest.raises(ContractFileError) as caught:
        load_contract(write(tmp_path, VALID + more))
    assert says in str(caught.value)


def test_an_empty_folder_is_an_error(tmp_path: Path):
    with pytest.raises(ContractFileError, match="holds no contract"):
        load_contracts(tmp_path)


def test_a_file_that_would_be_overlooked_is_an_error(tmp_path: Path):
    write(tmp_path, VALID)
    write(tmp_path, VALID, name="others.yaml")
    with pytest.raises(ContractFileError, match=r"others.yaml: name it .yml"):
        load_contracts(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ContractFileError, match=r"raw/nothing.yml: cannot be read"):
        load_contract(tmp_path / "raw" / "nothing.yml")
