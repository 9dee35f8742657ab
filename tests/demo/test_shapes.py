"""The sources have exactly the shapes of the source description and of the example company."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from orchestration.demo.catalogue import EVENT_NAMES
from orchestration.demo.world import World

from .conftest import CopyWorld

_ADMIN = {
    "users": "user_id name phone email city created_at updated_at is_test whatsapp_opt_in "
    "sms_opt_in email_opt_in push_opt_in deleted_at",
    "consents": "user_id channel status source changed_at",
    "quotes": "quote_id user_id ga_client_id phone model_id category brand model quoted_price "
    "city platform created_at",
    "orders": "order_id user_id quote_id contact_phone model_id category brand quoted_price "
    "final_price status cancel_reason city source created_at updated_at completed_at",
    "order_status_history": "id order_id status changed_at changed_by",
    "pickups": "pickup_id order_id attempt_no city slot_start slot_end status failure_reason "
    "created_at updated_at",
    "documents": "order_id doc_type uploaded_at",
    "payouts": "payout_id order_id amount kind mode paid_at",
    "feedback": "order_id rating created_at",
}
_CRM = {
    "contacts": "contact_id external_id first_name phone email whatsapp_consent sms_consent "
    "email_consent push_consent source created_at purged",
    "journey_entries": "entry_id contact_id journey_key entered_at arm is_global_holdout "
    "experiment_id variant",
    "assignments": "contact_id experiment_id arm",
    "messages": "message_id entry_id contact_id campaign_key variant channel purpose to_address "
    "template_id sent_at cost_inr",
    "channel_events": "event_id message_id channel event ts_epoch_ms reason received_at",
}


def test_admin_tables_have_the_described_columns(town: World) -> None:
    with closing(sqlite3.connect(town.admin_path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        assert {name for (name,) in tables} == set(_ADMIN)
        for table, columns in _ADMIN.items():
            held = connection.execute(f"PRAGMA table_info({table})").fetchall()
            assert [row[1] for row in held] == columns.split()


def test_crm_files_have_the_described_columns(town: World) -> None:
    assert {path.stem for path in town.crm_folder.iterdir()} == set(_CRM)
    for name, columns in _CRM.items():
        assert pq.read_schema(town.crm_folder / f"{name}.parquet").names == columns.split()


def test_every_column_has_the_example_companys_type(town: World, shared_data: Path) -> None:
    example = shared_data / "recommerce"
    for name in _CRM:
        ours = pq.read_schema(town.crm_folder / f"{name}.parquet")
        theirs = pq.read_schema(example / "crm" / f"{name}.parquet").remove_metadata()
        assert ours.remove_metadata().equals(theirs), name
    with (
        closing(sqlite3.connect(town.admin_path)) as ours,
        closing(sqlite3.connect(example / "admin" / "admin.sqlite")) as theirs,
    ):
        for table in _ADMIN:
            kinds = [
                [row[1:3] for row in database.execute(f"PRAGMA table_info({table})")]
                for database in (ours, theirs)
            ]
            assert kinds[0] == kinds[1]


@pytest.mark.parametrize("kind", ["events_2", "events_intraday_2"])
def test_ga4_files_have_the_example_companys_schema(
    town: World, shared_data: Path, kind: str
) -> None:
    ours = sorted(town.ga4_folder.glob(f"{kind}*.parquet"))[0]
    theirs = sorted((shared_data / "recommerce" / "ga4").glob(f"{kind}*.parquet"))[0]
    assert str(pq.read_schema(ours)) == str(pq.read_schema(theirs).remove_metadata())


def test_ga4_events_and_parameters_are_the_described_ones(town: World) -> None:
    names: set[str] = set()
    keys: set[str] = set()
    for path in town.ga4_folder.glob("events_*.parquet"):
        table = pq.read_table(path, columns=["event_name", "event_params"])
        names |= set(table["event_name"].to_pylist())
        keys |= {param["key"] for row in table["event_params"].to_pylist() for param in row}
    assert names <= set(EVENT_NAMES)
    assert {"quote_viewed", "order_placed", "session_start", "first_open", "app_remove"} <= names
    assert keys == {
        "ga_session_id", "ga_session_number", "page_location", "page_title",
        "engagement_time_msec", "quote_value", "device_model", "category", "brand", "order_id",
        "source", "medium", "campaign", "consent_mode",
    }  # fmt: skip


def test_truth_has_the_example_companys_columns(copy_village: CopyWorld, shared_data: Path) -> None:
    world = copy_village()
    world.truth.write()
    for name in ("persons", "identifiers", "stages", "eligibility"):
        ours = pq.read_schema(world.home / "truth" / f"{name}.parquet")
        theirs = pq.read_schema(shared_data / "recommerce" / "expected" / f"{name}.parquet")
        assert ours.names == theirs.names
        kinds = zip(ours.types, theirs.types, strict=True)
        assert all(str(one).split("[")[0] == str(other).split("[")[0] for one, other in kinds)


def test_the_numbers_are_roughly_the_example_companys(town: World, shared_data: Path) -> None:
    with (
        closing(sqlite3.connect(town.admin_path)) as ours,
        closing(sqlite3.connect(shared_data / "recommerce" / "admin" / "admin.sqlite")) as theirs,
    ):
        for table in set(_ADMIN) - {"consents"}:
            counts = [
                database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for database in (ours, theirs)
            ]
            assert 0.6 < counts[0] / counts[1] < 1.5, table


def test_a_day_lives_through_intraday_first_export_and_re_exports(copy_village: CopyWorld) -> None:
    world = copy_village()
    intraday = world.ga4_folder / "events_intraday_20261101.parquet"
    daily = world.ga4_folder / "events_20261101.parquet"
    seen: list[tuple[bool, bool]] = []
    rows: list[int] = []
    for _ in range(14 * 6):
        world.advance(world.now + timedelta(hours=1))
        state = (intraday.exists(), daily.exists())
        if not seen or seen[-1] != state:
            seen.append(state)
        if daily.exists():
            count = pq.read_metadata(daily).num_rows
            if not rows or rows[-1] != count:
                rows.append(count)
        if intraday.exists() and not daily.exists():
            table = pq.read_table(intraday)
            assert table["traffic_source"].null_count == len(table)
            assert table["user_ltv"].null_count == len(table)
            assert table["is_active_user"].null_count == len(table)
            newest = max(table["event_timestamp"].to_pylist()) / 1e6
            assert newest < world.now.timestamp() - 15 * 60 + 9000
    assert (True, False) in seen
    assert (True, True) in seen
    assert seen[-1] == (False, True)
    assert rows == sorted(rows)
