"""Rows of erased people never land, however often a source shows them."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from activations.erasure import ErasedIndex, KeyedHash, Kind, Person
from activations.erasure.identifiers import hashes_of
from orchestration.sources import admin, crm, ga4
from orchestration.sources.crm.tables import BY_NAME
from orchestration.sources.erased import MARKS, drop_erased
from orchestration.sources.landing import PullResult
from tests.sources.admin.panel import Panel, order, user
from tests.sources.crm.hubspot_stand_in import TOKEN, running_hubspot
from tests.sources.ga4.exports import event, param, write_parquet
from tests.sources.helpers import NOON, snapshot

Connection = duckdb.DuckDBPyConnection
# Everything the builders make is from before.
ASKED = datetime(2026, 10, 31, tzinfo=UTC)
PHONE, SHARED = "+919812345678", "+919800000001"


def _index(**values: str) -> ErasedIndex:
    person = Person(values={Kind(kind): tuple(text.split()) for kind, text in values.items()})
    keyed = KeyedHash("k" * 32)
    entries: dict[Kind, dict[str, datetime]] = {}
    for kind, digest in hashes_of(person, keyed):
        entries.setdefault(kind, {})[digest] = ASKED
    return ErasedIndex(keyed, entries)


ASHA: dict[str, str] = {
    "user": "1",
    "phone": PHONE,
    "email": "asha@mail.example",
    "contact": "h1",
    "device": "1.2",
}


@pytest.fixture
def panel(tmp_path: Path) -> Panel:
    made = Panel(f"sqlite:///{tmp_path / 'admin.sqlite'}")
    made.create(with_optional=True)
    # a family: users 1 and 2 share a phone
    made.insert("users", user(1, phone=SHARED, email="asha@mail.example"), user(2, phone=SHARED))
    made.insert("consents", {"user_id": 1, "channel": "email", "changed_at": "2026-10-02 10:00:00"})
    made.insert(
        "quotes",
        *(
            {"quote_id": number, "created_at": "2026-10-02 10:00:00", **fields}
            for number, fields in enumerate(
                [
                    {"user_id": 1},
                    {"phone": "098123 45678"},
                    {"ga_client_id": "1.2"},
                    {"user_id": 2, "phone": SHARED},
                    {"phone": "9812345679"},
                    {"user_id": 3, "phone": "98123-45678", "created_at": "2026-11-01 10:00:00"},
                ],
                start=1,
            )
        ),
    )
    made.insert(
        "orders",
        order("CK1", user_id=1),
        order("CK2", user_id=2, contact_phone=SHARED),
        order("CK3", user_id=None, quote_id=2),
    )
    for name in ("CK1", "CK2", "CK3"):
        number = int(name[2:])
        made.insert("pickups", {"pickup_id": number, "order_id": name, "updated_at": "2026-10-03"})
        made.insert("documents", {"order_id": name, "uploaded_at": "2026-10-03 10:00:00"})
        made.insert("payouts", {"payout_id": number, "order_id": name, "amount": 1.0})
        made.insert("feedback", {"order_id": name, "rating": 5, "created_at": "2026-10-03"})
        made.insert("order_status_history", {"id": number, "order_id": name, "status": "placed"})
    made.insert("push_tokens", {"user_id": 1, "token": "t1"}, {"user_id": 2, "token": "t2"})
    return made


def _pull_admin(
    warehouse: Connection, panel: Panel, erased: ErasedIndex | None, *, hours: int = 0
) -> dict[str, PullResult]:
    config = admin.AdminConfig(url=panel.url)
    results = admin.pull(warehouse, config, as_of=NOON + timedelta(hours=hours), erased=erased)
    return {result.table: result for result in results}


def _column(warehouse: Connection, table: str, column: str) -> set[Any]:
    return {row[0] for row in warehouse.execute(f"select {column} from raw.{table}").fetchall()}


def test_every_raw_table_that_names_people_has_marks() -> None:
    tables = {*admin.TABLES, *crm.TABLES, *ga4.TABLES}
    assert tables - set(MARKS) == {"admin_products"}
    assert set(MARKS) <= tables


def test_admin_rows_of_an_erased_person_stay_out_and_the_family_s_come_in(
    warehouse: Connection, panel: Panel
) -> None:
    results = _pull_admin(warehouse, panel, _index(**ASHA))
    assert _column(warehouse, "admin_users", "user_id") == {2}
    assert _column(warehouse, "admin_consents", "user_id") == set()
    assert _column(warehouse, "admin_push_tokens", "user_id") == {2}
    # another account, another number, and the same number in an account made afterwards
    assert _column(warehouse, "admin_quotes", "quote_id") == {4, 5, 6}
    assert _column(warehouse, "admin_orders", "order_id") == {"CK2"}
    for table in ("pickups", "documents", "payouts", "feedback", "order_status_history"):
        assert _column(warehouse, f"admin_{table}", "order_id") == {"CK2"}, table
    erased = {table: result.rows_erased for table, result in results.items() if result.rows_erased}
    assert erased["admin_users"] == 1
    assert erased["admin_quotes"] == 3
    assert erased["admin_pickups"] == 2


def test_the_cursor_passes_rows_that_are_left_out(warehouse: Connection, panel: Panel) -> None:
    index = _index(**ASHA)
    _pull_admin(warehouse, panel, index)
    panel.update("users", {"user_id": 1}, updated_at="2026-10-31 12:00:00", city="Pune")
    panel.insert("orders", order("CK9", user_id=1, updated_at="2026-10-31 12:30:00"))
    panel.insert("pickups", {"pickup_id": 9, "order_id": "CK9", "updated_at": "2026-10-31"})
    again = _pull_admin(warehouse, panel, index, hours=1)
    assert again["admin_users"].cursor == "2026-10-31 12:00:00"
    assert _column(warehouse, "admin_users", "user_id") == {2}
    # an order made after the erasure is learned, and so is what hangs on it
    assert "CK9" not in _column(warehouse, "admin_pickups", "order_id")
    before = snapshot(warehouse)
    assert not any(
        result.has_changed for result in _pull_admin(warehouse, panel, index, hours=1).values()
    )
    assert snapshot(warehouse) == before


def test_with_nobody_erased_everything_comes_in_and_nothing_is_looked_up(
    warehouse: Connection, panel: Panel
) -> None:
    results = _pull_admin(warehouse, panel, None)
    assert not any(result.rows_erased for result in results.values())
    assert _column(warehouse, "admin_users", "user_id") == {1, 2}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "crm"
    path.mkdir()
    old, new = "2026-10-01T00:00:00Z", "2026-11-02T00:00:00Z"
    rows: dict[str, list[dict[str, Any]]] = {
        "contacts": [
            {"contact_id": "h1", "created_at": old},
            {"contact_id": "h2", "external_id": "ck-1 ", "created_at": old},
            {"contact_id": "h3", "email": "Asha+x@Mail.example", "created_at": old},
            {"contact_id": "h4", "phone": "0 98123 45678", "created_at": old},
            {"contact_id": "h5", "phone": "98123 45678", "created_at": new},
            {"contact_id": "h6", "external_id": "CK-11", "created_at": old},
        ],
        "journey_entries": [{"entry_id": n, "contact_id": f"h{n}"} for n in range(1, 7)],
        "assignments": [{"contact_id": f"h{n}"} for n in range(1, 7)],
        "messages": [
            {"message_id": f"m{n}", "contact_id": f"h{n}", "sent_at": old} for n in range(1, 7)
        ],
        "channel_events": [{"event_id": f"e{n}", "message_id": f"m{n}"} for n in range(1, 7)],
    }
    for table, content in rows.items():
        names = BY_NAME[f"crm_{table}"].column_names
        with (path / f"{table}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(content)
    return path


def test_crm_rows_stay_out_by_contact_account_address_and_message(
    warehouse: Connection, folder: Path
) -> None:
    config = crm.CrmConfig(folder=crm.FolderConfig(folder=folder))
    results = crm.pull(warehouse, config, as_of=NOON, erased=_index(**ASHA))
    assert _column(warehouse, "crm_contacts", "contact_id") == {"h5", "h6"}
    for table in ("journey_entries", "assignments", "messages"):
        assert _column(warehouse, f"crm_{table}", "contact_id") == {"h5", "h6"}, table
    assert _column(warehouse, "crm_channel_events", "message_id") == {"m5", "m6"}
    assert {result.rows_erased for result in results} == {4}
    assert {result.rows_read for result in results} == {6}
    again = crm.pull(warehouse, config, as_of=NOON, erased=_index(**ASHA))
    assert not any(result.has_changed for result in again)


def test_hubspot_s_erased_contact_neither_comes_back_nor_stays_as_purged(
    warehouse: Connection,
) -> None:
    with running_hubspot() as account:
        account.save(1, 1_790_000_000_000, phone="098123 45678", external_id="CK-1")
        account.save(2, 1_790_000_000_000, phone="9812345679")
        config = crm.parse_crm_uri(
            account.url.replace("http:", "hubspot+http:"), access_token=TOKEN
        )
        erased = _index(user="1")
        for hours in (0, 1, 48):
            crm.pull(warehouse, config, as_of=NOON + timedelta(hours=hours), erased=erased)
            assert _column(warehouse, "crm_contacts", "contact_id") == {"2"}


@pytest.fixture
def export(tmp_path: Path) -> Path:
    path = tmp_path / "ga4"
    path.mkdir()
    late = (datetime(2026, 11, 1, 10, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        microseconds=1
    )
    rows = [
        event("by_device"),
        event("by_account", user_pseudo_id="9.9", user_id="1"),
        event(
            "by_order", user_pseudo_id=None, event_params=[param("order_id", string_value="CK1")]
        ),
        event("other_device", user_pseudo_id="1.3"),
        event("other_account", user_pseudo_id="9.9", user_id="2"),
        event("device_late", event_timestamp=late),
        event("device_handed_on", event_timestamp=late, user_id="2"),
    ]
    write_parquet(path / "events_20261030.parquet", rows)
    return path


def test_ga4_events_stay_out_by_device_account_and_order(
    warehouse: Connection, export: Path
) -> None:
    erased = _index(**ASHA, order="CK1")
    config = ga4.Ga4Config(uri=str(export))
    (result,) = ga4.pull(warehouse, config, as_of=NOON, erased=erased)
    assert _column(warehouse, "ga4_events", "event_name") == {
        "other_device",
        "other_account",
        "device_handed_on",
    }
    assert (result.rows_read, result.rows_erased, result.note) == (7, 4, None)
    (again,) = ga4.pull(warehouse, config, as_of=NOON, erased=erased)
    assert not again.has_changed


def test_what_landed_before_goes_by_the_same_marks(warehouse: Connection, panel: Panel) -> None:
    _pull_admin(warehouse, panel, None)
    index = _index(**ASHA)
    deleted = {
        table: drop_erased(warehouse, f"raw.{table}", table, index, timezone="Asia/Kolkata")
        for table in MARKS
        if table.startswith("admin_")
    }
    after = {table: rows for table, rows in snapshot(warehouse).items() if table in deleted}
    with duckdb.connect() as other:
        _pull_admin(other, panel, _index(**ASHA))
        assert after == {table: rows for table, rows in snapshot(other).items() if table in deleted}
    assert deleted["admin_users"] == 1
