"""The contracts speak of the tables others write and read: the sources, the ledger, the staging."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from activations.ledger.schema import metadata
from data_contracts.loader import CONTRACTS_FOLDER, load_contracts
from data_contracts.models import Contract
from orchestration.sources.admin.tables import ADMIN_TABLES
from orchestration.sources.crm.tables import CRM_TABLES
from orchestration.sources.ga4.schema import EVENTS

LANDED = {
    spec.name: spec for spec in (EVENTS, *CRM_TABLES, *(table.spec for table in ADMIN_TABLES))
}
STAGING = Path(__file__).resolve().parents[2] / "dbt_project" / "models" / "staging"
FIT_ROWS = re.compile(
    r"fit_rows\(\s*'\w+'\s*,\s*'(\w+)'\s*(?:,\s*\[(.*?)\])?\s*(?:,\s*part=only_\w+\([^)]*\))?\s*\)",
    re.DOTALL,
)
RAW = load_contracts(CONTRACTS_FOLDER / "raw")
LEDGER = [contract for contract in RAW if contract.name.startswith("ledger_")]


def test_every_table_a_source_lands_has_a_contract():
    others = {contract.name for contract in RAW} - {contract.name for contract in LEDGER}
    assert others == set(LANDED)


@pytest.mark.parametrize("contract", [c for c in RAW if c not in LEDGER], ids=lambda c: c.name)
def test_a_contract_names_the_columns_its_source_lands(contract: Contract):
    assert set(contract.columns) == {column.name for column in LANDED[contract.name].columns}


@pytest.mark.parametrize("contract", LEDGER, ids=lambda c: c.name)
def test_a_contract_names_columns_and_key_of_the_ledger(contract: Contract):
    table = metadata.tables[contract.name.removeprefix("ledger_")]
    assert set(contract.columns) <= set(table.columns.keys())
    assert set(contract.key) == set(table.primary_key.columns.keys())


def test_staging_leaves_rows_out_by_the_key_they_were_set_apart_by():
    used: dict[str, tuple[str, ...]] = {}
    text = "".join(model.read_text() for model in STAGING.rglob("*.sql"))
    for model in STAGING.rglob("*.sql"):
        for table, columns in FIT_ROWS.findall(model.read_text()):
            used[table] = tuple(re.findall(r"'(\w+)'", columns)) or tuple(
                column.name for column in LANDED[table].columns
            )
    expected = {
        contract.name: contract.row_key_columns
        for contract in RAW
        if contract.quarantine is not None and f"'{contract.name}'" in text
    }
    assert not set(expected) - set(used), "staging reads these past their quarantine: use fit_rows"
    assert used == expected
    assert "ga4_events" in used
