"""The whole project on a company that has no data yet: it builds, and every unit test holds."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from activations.ledger import Ledger
from orchestration.lib import dbt
from orchestration.lib.dbt import DbtProject, explain_failures
from orchestration.lib.ledger_pull import load_ledger
from orchestration.lib.warehouse import open_warehouse
from orchestration.sources.admin.tables import ADMIN_TABLES
from orchestration.sources.crm.tables import CRM_TABLES
from orchestration.sources.ga4 import schema as ga4_schema
from orchestration.sources.landing import ensure_table
from tests.dbt_project.building import BuildReport, run_dbt

AS_OF = datetime(2026, 10, 31, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def empty_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse whose raw tables exist and hold nothing."""
    home = tmp_path_factory.mktemp("empty_company")
    ledger = Ledger(f"sqlite:///{home / 'ledger.sqlite'}")
    with open_warehouse(home / "warehouse.duckdb") as connection:
        specs = [ga4_schema.EVENTS, *(table.spec for table in ADMIN_TABLES), *CRM_TABLES]
        for spec in specs:
            ensure_table(connection, spec)
        load_ledger(connection, ledger)
    ledger.engine.dispose()
    return home / "warehouse.duckdb"


@pytest.fixture(scope="module")
def build(empty_warehouse: Path) -> BuildReport:
    return run_dbt(empty_warehouse, "build", as_of=AS_OF)


def test_an_empty_company_builds_and_every_test_passes(build):
    assert build.bad == {}, build.output
    assert len(build.named("model")) > 80


def test_every_unit_test_ran(build):
    assert len(build.named("unit_test")) >= 50


def test_an_empty_company_has_nobody_and_sends_nothing(build, empty_warehouse):
    assert build.bad == {}
    with duckdb.connect(str(empty_warehouse), read_only=True) as connection:
        for table in (
            "marts.dim_customers",
            "marts.journey_entries",
            "sync.sync_whatsapp_messages",
        ):
            assert connection.execute(f"select count(*) from {table}").fetchone() == (0,), table
        assert connection.execute("select sum(size) from marts.segments").fetchone() == (0,)


def test_without_any_source_the_segments_that_rest_on_one_are_dormant_and_say_why(
    build, empty_warehouse
):
    assert build.bad == {}
    with duckdb.connect(str(empty_warehouse), read_only=True) as connection:
        found = connection.execute(
            """
            select segments.key, segments.status, segments.dormant_reason
            from marts.segments as segments
            where (segments.status = 'dormant') <> (segments.key in (select segment_key from seeds.segment_needs))
                or (segments.status = 'dormant') <> (segments.dormant_reason is not null)
            """
        ).fetchall()
        assert found == []
        assert connection.execute(
            "select dormant_reason from marts.segments where key = 'uninstalled'"
        ).fetchone() == ("The GA4 export has no app stream",)


@pytest.mark.usefixtures("dbt_in_process")
@pytest.mark.filterwarnings("ignore")
def test_a_warehouse_without_enough_memory_says_which_setting_to_raise(tmp_path):
    with open_warehouse(tmp_path / "warehouse.duckdb"):
        pass
    project = DbtProject(
        warehouse=tmp_path / "warehouse.duckdb", target=tmp_path / "dbt", memory="16MB"
    )
    results = project.build(as_of=AS_OF, timezone="Asia/Kolkata", select=["segment_catalogue"])
    assert explain_failures(results) == (
        "segment_catalogue: needs more memory than the warehouse may take."
        " Next step: raise LIFECYCLE_MEMORY (.env) and run again; the table of before stays"
    )


@pytest.mark.usefixtures("dbt_in_process")
@pytest.mark.filterwarnings("ignore")
def test_a_checkout_that_was_moved_builds_on(tmp_path, monkeypatch):
    with open_warehouse(tmp_path / "warehouse.duckdb"):
        pass
    before, after = tmp_path / "before", tmp_path / "after"
    shutil.copytree(dbt.PROJECT, before)
    for place in (before, after):
        if place == after:
            before.rename(after)
        monkeypatch.setattr(dbt, "PROJECT", place)
        project = DbtProject(warehouse=tmp_path / "warehouse.duckdb", target=tmp_path / "dbt")
        # as a new process does
        project.parse()
        results = project.build(
            as_of=AS_OF,
            timezone="Asia/Kolkata",
            select=["journey_catalogue"],
            exclude=["resource_type:test"],
        )
        assert explain_failures(results) == ""
