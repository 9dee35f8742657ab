from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from orchestration.sources import admin, crm, ga4
from orchestration.sources.admin.tables import BY_RAW_NAME
from orchestration.sources.latest import read_latest_moment
from tests.sources.ga4.exports import event, write_json
from tests.sources.helpers import NOON


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_an_empty_warehouse_shows_no_moment(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert read_latest_moment(warehouse) is None
    crm.pull(warehouse, crm.CrmConfig(), as_of=NOON)
    assert read_latest_moment(warehouse) is None


@pytest.mark.parametrize(
    ("table", "column", "text", "moment"),
    [
        ("admin_orders", "updated_at", "2026-10-31 23:15:31", "2026-10-31 17:45:31"),
        ("admin_consents", "changed_at", "2026-10-31 23:15:31.5", "2026-10-31 17:45:31.500000"),
        ("crm_messages", "sent_at", "2026-10-31T15:29:38Z", "2026-10-31 15:29:38"),
        ("crm_contacts", "created_at", "2026-10-31T15:29:38.250Z", "2026-10-31 15:29:38.250000"),
    ],
)
def test_each_system_s_clock_is_read_in_its_own_zone(
    warehouse: duckdb.DuckDBPyConnection, table: str, column: str, text: str, moment: str
) -> None:
    warehouse.execute("create schema raw")
    warehouse.execute(f"create table raw.{table} as select '{text}' as {column}")
    for other in BY_RAW_NAME[table].spec.column_names if "admin" in table else ():
        if other != column:
            warehouse.execute(f"alter table raw.{table} add column {other} varchar")
    assert read_latest_moment(warehouse) == _utc(moment)


def test_promised_slots_and_unreadable_times_do_not_count(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    warehouse.execute("create schema raw")
    warehouse.execute(
        "create table raw.admin_pickups as select '2026-11-02 18:00:00' as slot_start,"
        " '2026-10-31 10:00:00' as created_at, 'tomorrow' as updated_at"
    )
    assert read_latest_moment(warehouse) == _utc("2026-10-31 04:30:00")


def test_events_count_with_their_correction_and_only_within_their_day(
    warehouse: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    def at(text: str) -> int:
        return int(_utc(text).timestamp() * 1_000_000)

    rows = [
        event("fine", event_timestamp=at("2026-10-30 12:00:00")),
        event(
            "slow clock",
            event_timestamp=at("2026-10-30 08:00:00"),
            event_server_timestamp_offset=5 * 3_600_000_000,
        ),
        event("fast clock", event_timestamp=at("2026-10-30 18:30:00")),
        event("far future", event_timestamp=at("2031-01-01 00:00:00")),
    ]
    write_json(tmp_path / "events_20261030.json", rows)
    ga4.pull(warehouse, ga4.Ga4Config(uri=str(tmp_path)), as_of=NOON)
    assert read_latest_moment(warehouse) == _utc("2026-10-30 13:00:00")
    assert read_latest_moment(warehouse, tenant_timezone="UTC") == _utc("2026-10-30 18:30:00")


def test_a_company_s_data_ends_just_before_its_last_moment(
    warehouse: duckdb.DuckDBPyConnection, shared_data: Path, tmp_path: Path
) -> None:
    company = shared_data / "recommerce"
    for path in (company / "ga4").glob("events_*2026103*.parquet"):
        (tmp_path / path.name).symlink_to(path)
    ga4.pull(warehouse, ga4.Ga4Config(uri=str(tmp_path)), as_of=NOON)
    config = admin.AdminConfig(url=f"sqlite:///{company / 'admin' / 'admin.sqlite'}")
    admin.pull(warehouse, config, as_of=NOON)
    crm.pull(warehouse, crm.parse_crm_uri(str(company / "crm")), as_of=NOON)
    latest = read_latest_moment(warehouse)
    assert latest is not None
    assert latest <= datetime.fromisoformat("2026-11-01T00:00:00+05:30")
    assert latest >= datetime.fromisoformat("2026-10-31T23:30:00+05:30")
