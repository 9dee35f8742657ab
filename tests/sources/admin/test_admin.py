from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.sources.admin import TABLES, AdminConfig, pull
from orchestration.sources.errors import (
    SourceAuthError,
    SourceConfigError,
    SourcePartialError,
    SourceSchemaError,
    SourceUnreachableError,
)
from orchestration.sources.landing import PullResult
from tests.postgres import PostgresServer
from tests.sources.admin.panel import Panel, order, user
from tests.sources.helpers import NOON, dicts_of, snapshot

Connection = duckdb.DuckDBPyConnection
REQUIRED = [name for name in TABLES if name not in {"admin_push_tokens", "admin_products"}]


@pytest.fixture(params=["sqlite", "postgresql"])
def panel(request: pytest.FixtureRequest, tmp_path: Path) -> Panel:
    """An empty panel, on each kind of database."""
    if request.param == "sqlite":
        made = Panel(f"sqlite:///{tmp_path / 'admin.sqlite'}")
    else:
        made = Panel(request.getfixturevalue("postgres_url"))
    made.create()
    return made


@pytest.fixture
def sqlite_panel(tmp_path: Path) -> Panel:
    made = Panel(f"sqlite:///{tmp_path / 'admin.sqlite'}")
    made.create()
    return made


@pytest.fixture
def postgres_panel(postgres_url: str) -> Panel:
    made = Panel(postgres_url)
    made.create()
    return made


def _pull(
    warehouse: Connection,
    panel: Panel,
    *tables: str,
    as_of: datetime = NOON,
    **config: Any,
) -> dict[str, PullResult]:
    results = pull(
        warehouse, AdminConfig(url=panel.url, **config), as_of=as_of, tables=tables or None
    )
    return {result.table: result for result in results}


def _column(warehouse: Connection, table: str, *names: str) -> list[Any]:
    rows = [tuple(row[name] for name in names) for row in dicts_of(warehouse, table)]
    return sorted(row[0] if len(names) == 1 else row for row in rows)


def test_every_type_arrives_canonical(warehouse: Connection, panel: Panel) -> None:
    panel.insert(
        "users",
        user(1, updated_at="2026-10-30 10:00:00.250000", name="आशा 'O'", push_opt_in=None),
    )
    panel.insert("orders", order("CK1", quoted_price=7950.5, completed_at="2026-10-30 00:00:00"))
    panel.insert("feedback", {"order_id": "CK1", "rating": 5, "created_at": "2026-10-30 10:00:00"})
    _pull(warehouse, panel)
    (row,) = dicts_of(warehouse, "admin_users")
    assert row == {
        "user_id": 1,
        "name": "आशा 'O'",
        "phone": None,
        "email": None,
        "city": None,
        "created_at": "2026-10-01 09:00:00",
        "updated_at": "2026-10-30 10:00:00.250000",
        "is_test": 0,
        "whatsapp_opt_in": None,
        "sms_opt_in": None,
        "email_opt_in": 1,
        "push_opt_in": None,
        "deleted_at": None,
    }
    (row,) = dicts_of(warehouse, "admin_orders")
    assert (row["quoted_price"], row["final_price"]) == (7950.5, None)
    assert row["completed_at"] == "2026-10-30 00:00:00"


def test_a_moment_with_a_zone_becomes_the_tenant_s_wall_time(
    warehouse: Connection, postgres_panel: Panel
) -> None:
    postgres_panel.run("alter table users alter column updated_at type timestamptz using null")
    postgres_panel.insert("users", user(1, "2026-10-30T04:30:00+00:00"))
    _pull(warehouse, postgres_panel, "admin_users")
    postgres_panel.insert("users", user(2, "2026-10-30T04:30:01+00:00"))
    _pull(warehouse, postgres_panel, "admin_users", overlap=timedelta(0))
    assert _column(warehouse, "admin_users", "updated_at") == [
        "2026-10-30 10:00:00",
        "2026-10-30 10:00:01",
    ]


def test_a_company_s_panel_arrives_whole_and_only_once(
    warehouse: Connection, shared_data: Path
) -> None:
    path = shared_data / "recommerce" / "admin" / "admin.sqlite"
    config = AdminConfig(url=f"sqlite:///{path}")
    as_of = datetime.fromisoformat("2026-11-01T00:00:00+05:30")
    pull(warehouse, config, as_of=as_of)
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.pool.NullPool)
    with engine.connect() as source:
        for table in REQUIRED:
            # A day loaded twice is in the panel twice in tables without a key.
            count = source.execute(
                sa.text(f"select count(*) from (select distinct * from {table[6:]})")
            ).scalar_one()
            assert len(dicts_of(warehouse, table)) == count, table
    before = snapshot(warehouse)
    results = pull(warehouse, config, as_of=as_of)
    assert not any(result.has_changed for result in results)
    assert snapshot(warehouse) == before


def test_a_company_s_panel_is_the_same_from_postgresql(
    warehouse: Connection, shared_data: Path, postgres_panel: Panel, tmp_path: Path
) -> None:
    path = shared_data / "recommerce" / "admin" / "admin.sqlite"
    pull(warehouse, AdminConfig(url=f"sqlite:///{path}"), as_of=NOON)
    for table in REQUIRED:
        if table in {"admin_quotes", "admin_order_status_history"}:
            continue  # thousands of rows of types that the others have too
        postgres_panel.insert(table[6:], *dicts_of(warehouse, table))
    warehouse.execute("delete from raw.admin_quotes")
    warehouse.execute("delete from raw.admin_order_status_history")
    expected = {name: rows for name, rows in snapshot(warehouse).items() if name in TABLES}
    with duckdb.connect(str(tmp_path / "other.duckdb")) as other:
        pull(other, AdminConfig(url=postgres_panel.url, chunk_rows=700), as_of=NOON)
        assert {name: rows for name, rows in snapshot(other).items() if name in TABLES} == expected


def test_a_second_pull_reads_little_and_changes_nothing(
    warehouse: Connection, panel: Panel
) -> None:
    panel.insert("users", *(user(n, f"2026-10-{n:02d} 10:00:00") for n in range(1, 31)))
    panel.insert(
        "order_status_history",
        *({"id": n, "order_id": "CK1", "status": "placed"} for n in range(1, 31)),
    )
    _pull(warehouse, panel)
    before = snapshot(warehouse)
    results = _pull(warehouse, panel, id_overlap=5)
    assert snapshot(warehouse) == before
    assert results["admin_users"].rows_read == 1
    assert results["admin_order_status_history"].rows_read == 6
    assert results["admin_users"].cursor == "2026-10-30 10:00:00"
    assert results["admin_order_status_history"].cursor == "30"


def test_new_changed_and_tied_rows_come_by_cursor(warehouse: Connection, panel: Panel) -> None:
    panel.insert("users", user(1), user(2))
    _pull(warehouse, panel)
    panel.insert("users", user(3))  # the same second as the two before
    panel.update("users", {"user_id": 1}, name="Renamed", updated_at="2026-10-30 10:00:01")
    result = _pull(warehouse, panel, overlap=timedelta(0))["admin_users"]
    assert result.rows_written == 2
    assert _column(warehouse, "admin_users", "user_id", "name") == [
        (1, "Renamed"),
        (2, "User 2"),
        (3, "User 3"),
    ]


def test_a_row_committed_late_is_caught_by_the_overlap(warehouse: Connection, panel: Panel) -> None:
    panel.insert("users", user(1, "2026-10-30 10:00:00"))
    panel.insert("payouts", {"payout_id": 50, "amount": 1})
    _pull(warehouse, panel)
    panel.insert("users", user(2, "2026-10-30 09:50:00"))
    panel.insert("payouts", {"payout_id": 49, "amount": -1})
    _pull(warehouse, panel)
    assert _column(warehouse, "admin_users", "user_id") == [1, 2]
    assert _column(warehouse, "admin_payouts", "payout_id") == [49, 50]


def test_a_row_without_cursor_value_always_comes(warehouse: Connection, panel: Panel) -> None:
    panel.insert("users", user(1))
    _pull(warehouse, panel)
    panel.insert("users", {**user(2), "updated_at": None})
    _pull(warehouse, panel)
    assert _column(warehouse, "admin_users", "user_id") == [1, 2]


def test_a_change_that_moves_no_cursor_and_a_deletion_come_with_the_whole_read(
    warehouse: Connection, panel: Panel
) -> None:
    panel.insert("orders", order("CK1", "2026-10-01 10:00:00"), order("CK2"), order("CK3"))
    panel.insert("documents", {"order_id": "CK1", "uploaded_at": "2026-10-01 10:00:00"})
    _pull(warehouse, panel)
    panel.update("orders", {"order_id": "CK1"}, final_price=100)
    panel.delete("orders", order_id="CK3")
    panel.delete("documents", order_id="CK1")
    _pull(warehouse, panel, as_of=NOON + timedelta(hours=23))
    assert _column(warehouse, "admin_orders", "order_id") == ["CK1", "CK2", "CK3"]
    results = _pull(warehouse, panel, as_of=NOON + timedelta(hours=24))
    assert (results["admin_orders"].rows_written, results["admin_orders"].rows_removed) == (1, 1)
    assert results["admin_documents"].rows_removed == 1
    prices = {row["order_id"]: row["final_price"] for row in dicts_of(warehouse, "admin_orders")}
    assert prices == {"CK1": 100.0, "CK2": None}


def test_a_clock_that_went_back_means_a_whole_read(warehouse: Connection, panel: Panel) -> None:
    panel.insert("orders", order("CK1", "2026-10-01 10:00:00"), order("CK2"))
    _pull(warehouse, panel)
    panel.delete("orders", order_id="CK1")
    _pull(warehouse, panel, as_of=NOON - timedelta(hours=1))
    assert _column(warehouse, "admin_orders", "order_id") == ["CK2"]


def test_a_time_from_a_wrong_clock_does_not_hide_what_comes_after(
    warehouse: Connection, panel: Panel
) -> None:
    panel.insert("users", user(1), user(2, "2099-01-01 00:00:00"))
    result = _pull(warehouse, panel)["admin_users"]
    assert result.cursor == "2026-10-30 10:00:00"
    panel.insert("users", user(3, "2026-10-30 11:00:00"))
    _pull(warehouse, panel)
    assert _column(warehouse, "admin_users", "user_id") == [1, 2, 3]


def test_a_day_loaded_twice_is_there_once(warehouse: Connection, panel: Panel) -> None:
    consent = {
        "user_id": 1,
        "channel": "sms",
        "status": "opt_out",
        "source": "app",
        "changed_at": "2026-10-30 10:00:00",
    }
    panel.insert("consents", consent, consent)
    assert _pull(warehouse, panel)["admin_consents"].rows_written == 1
    panel.insert("consents", consent, {**consent, "status": "opt_in"})
    assert _pull(warehouse, panel)["admin_consents"].rows_written == 1
    assert _column(warehouse, "admin_consents", "status") == ["opt_in", "opt_out"]


def test_optional_tables_and_columns_may_be_absent(warehouse: Connection, tmp_path: Path) -> None:
    panel = Panel(f"sqlite:///{tmp_path / 'admin.sqlite'}")
    panel.create(with_optional=True)
    token = {"user_id": 1, "token": "t", "platform": "ios", "updated_at": "2026-10-30 10:00:00"}
    panel.insert("push_tokens", token)
    panel.insert("products", {"sku": "S1", "title": "Phone", "price": 10, "stock": 2})
    assert all(result.note is None for result in _pull(warehouse, panel).values())
    panel.update("products", {"sku": "S1"}, stock=1)
    _pull(warehouse, panel)
    assert _column(warehouse, "admin_products", "sku", "stock") == [("S1", 1.0)]
    panel.run("alter table products drop column price")
    panel.run("drop table push_tokens")
    results = _pull(warehouse, panel)
    assert results["admin_products"].note == "optional columns absent: price"
    assert "push_tokens is absent" in (results["admin_push_tokens"].note or "")
    assert results["admin_push_tokens"].rows_removed == 1
    assert dicts_of(warehouse, "admin_push_tokens") == []
    before = snapshot(warehouse)
    _pull(warehouse, panel)
    assert snapshot(warehouse) == before


def test_one_table_alone_leaves_the_others(warehouse: Connection, panel: Panel) -> None:
    panel.insert("users", user(1))
    panel.insert("orders", order("CK1"))
    assert list(_pull(warehouse, panel, "admin_orders")) == ["admin_orders"]
    assert set(snapshot(warehouse)) == {"admin_orders", "_pulls", "_changes"}


def test_a_broken_table_is_named_and_the_others_are_pulled(
    warehouse: Connection, panel: Panel
) -> None:
    panel.insert("users", user(1))
    panel.insert("orders", order("CK1"))
    _pull(warehouse, panel)
    panel.run("alter table orders rename column final_price to price_final")
    panel.insert("users", user(2))
    panel.insert("feedback", {"order_id": "CK1", "rating": 5, "created_at": "2026-10-30 10:00:00"})
    with pytest.raises(SourceSchemaError) as caught:
        _pull(warehouse, panel)
    assert "table orders: has no column final_price" in str(caught.value)
    assert len(caught.value.results) == len(TABLES) - 1
    assert _column(warehouse, "admin_users", "user_id") == [1, 2]
    assert _column(warehouse, "admin_feedback", "rating") == [5]
    assert _column(warehouse, "admin_orders", "order_id") == ["CK1"]


def test_a_missing_table_is_named(warehouse: Connection, panel: Panel) -> None:
    panel.run("drop table pickups")
    panel.run("drop table payouts")
    with pytest.raises(SourcePartialError, match=r"table pickups.*table payouts"):
        _pull(warehouse, panel)


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("user_id", "alter table users alter column user_id type text using 'U' || user_id"),
        ("is_test", "alter table users alter column is_test type text using 'maybe'"),
        ("updated_at", "alter table users alter column updated_at type bigint using 1793300000"),
        ("created_at", "alter table users alter column created_at type boolean using true"),
        ("email", "alter table users alter column email type text[] using array['a']"),
    ],
)
def test_a_flipped_type_names_table_and_column_and_keeps_the_rows(
    warehouse: Connection, postgres_panel: Panel, column: str, change: str
) -> None:
    postgres_panel.insert("users", user(1))
    _pull(warehouse, postgres_panel)
    before = snapshot(warehouse)
    postgres_panel.run(change)
    postgres_panel.insert("orders", order("CK1"))
    with pytest.raises(SourceSchemaError, match=f"table users: column {column} "):
        _pull(warehouse, postgres_panel)
    assert _column(warehouse, "admin_orders", "order_id") == ["CK1"]
    assert snapshot(warehouse)["admin_users"] == before["admin_users"]


@pytest.mark.parametrize(
    ("column", "value"), [("user_id", "U1"), ("updated_at", 1793300000), ("is_test", 0.5)]
)
def test_a_value_of_another_type_in_a_loose_database_is_refused_without_showing_it(
    warehouse: Connection, sqlite_panel: Panel, column: str, value: object
) -> None:
    sqlite_panel.run("create table loose as select * from users")
    sqlite_panel.run("drop table users")
    names = ", ".join(sqlite_panel.tables["users"].columns.keys())
    sqlite_panel.run(f"create table users ({names})")
    sqlite_panel.insert("users", {**user(1), column: value})
    with pytest.raises(SourceSchemaError, match=f"column {column} ") as caught:
        _pull(warehouse, sqlite_panel, "admin_users")
    assert str(value) not in caught.value.problem


def test_another_spelling_of_the_same_value_is_fine(
    warehouse: Connection, sqlite_panel: Panel
) -> None:
    names = ", ".join(sqlite_panel.tables["users"].columns.keys())
    sqlite_panel.run("drop table users")
    sqlite_panel.run(f"create table users ({names})")
    sqlite_panel.run(
        "insert into users (user_id, phone, is_test, updated_at)"
        " values ('7', 9876543210.0, 1.0, '30/10/2026')"
    )
    _pull(warehouse, sqlite_panel, "admin_users")
    (row,) = dicts_of(warehouse, "admin_users")
    assert (row["user_id"], row["phone"], row["is_test"]) == (7, "9876543210.0", 1)
    assert row["updated_at"] == "30/10/2026"


def test_another_database_is_read_whole_and_replaces_the_first(
    warehouse: Connection, tmp_path: Path
) -> None:
    panels = []
    for number in (1, 2):
        panel = Panel(f"sqlite:///{tmp_path / f'admin{number}.sqlite'}")
        panel.create()
        panel.insert("users", user(number))
        panels.append(panel)
    _pull(warehouse, panels[0])
    _pull(warehouse, panels[1])
    assert _column(warehouse, "admin_users", "user_id") == [2]


def test_a_source_is_only_read(warehouse: Connection, sqlite_panel: Panel, tmp_path: Path) -> None:
    path = tmp_path / "admin.sqlite"
    path.chmod(0o444)
    content = path.read_bytes()
    _pull(warehouse, sqlite_panel)
    assert path.read_bytes() == content
    assert sorted(entry.name for entry in tmp_path.iterdir() if "admin" in entry.name) == [
        "admin.sqlite"
    ]


def test_a_user_that_may_only_select_is_enough_and_without_a_right_it_is_named(
    warehouse: Connection, postgres_panel: Panel, postgres_server: PostgresServer
) -> None:
    postgres_panel.insert("users", user(1))
    postgres_panel.insert("orders", order("CK1"))
    database = sa.make_url(postgres_panel.url).database or ""
    reader = f"reader_{database}"
    postgres_panel.run(f"create role {reader} login password 'right'")
    postgres_panel.run(f"grant select on all tables in schema public to {reader}")
    postgres_panel.run(f"revoke select on orders from {reader}")
    url = postgres_server.url(database, user=reader, password="right")
    try:
        with pytest.raises(SourceAuthError) as caught:
            pull(warehouse, AdminConfig(url=url), as_of=NOON)
        assert "table orders" in str(caught.value)
        assert "SELECT" in caught.value.next_step
        assert _column(warehouse, "admin_users", "user_id") == [1]
    finally:
        postgres_panel.run(f"drop owned by {reader}")
        postgres_panel.run(f"drop role {reader}")


def test_a_wrong_password_is_an_auth_error_without_the_password(
    warehouse: Connection, postgres_server: PostgresServer
) -> None:
    url = postgres_server.url("postgres", password="hunter2")
    with pytest.raises(SourceAuthError, match="ADMIN_DATABASE_URL") as caught:
        pull(warehouse, AdminConfig(url=url), as_of=NOON)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(AdminConfig(url=url))
    assert not caught.value.is_transient


def test_a_missing_database_is_a_config_error(
    warehouse: Connection, postgres_server: PostgresServer
) -> None:
    with pytest.raises(SourceConfigError, match="no such database"):
        pull(warehouse, AdminConfig(url=postgres_server.url("nowhere")), as_of=NOON)


@pytest.mark.parametrize(
    ("url", "error", "part"),
    [
        ("postgresql+psycopg2://u:hunter2@127.0.0.1:1/panel", SourceUnreachableError, "runs"),
        ("sqlite:////nowhere/admin.sqlite", SourceUnreachableError, "no such file"),
        ("mysql+nodriver://u:hunter2@127.0.0.1/panel", SourceConfigError, "nodriver"),
        ("hunter2", SourceConfigError, "ADMIN_DATABASE_URL: is not"),
    ],
)
def test_a_place_that_cannot_be_reached_is_one_clear_error_and_raw_stays(
    warehouse: Connection,
    sqlite_panel: Panel,
    url: str,
    error: type[Exception],
    part: str,
) -> None:
    sqlite_panel.insert("users", user(1))
    _pull(warehouse, sqlite_panel)
    before = snapshot(warehouse)
    with pytest.raises(error, match=part) as caught:
        pull(warehouse, AdminConfig(url=url, connect_timeout_seconds=2), as_of=NOON)
    assert "hunter2" not in str(caught.value)
    assert snapshot(warehouse) == before


def test_a_damaged_sqlite_file_is_named(warehouse: Connection, tmp_path: Path) -> None:
    path = tmp_path / "admin.sqlite"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(SourceConfigError, match=r"admin\.sqlite: the file is not a SQLite"):
        pull(warehouse, AdminConfig(url=f"sqlite:///{path}"), as_of=NOON)


def test_a_sqlite_file_cut_short_is_an_error_and_the_rows_stay(
    warehouse: Connection, sqlite_panel: Panel, tmp_path: Path, shared_data: Path
) -> None:
    path = tmp_path / "panel.sqlite"
    shutil.copyfile(shared_data / "recommerce" / "admin" / "admin.sqlite", path)
    path.chmod(0o644)
    config = AdminConfig(url=f"sqlite:///{path}")
    pull(warehouse, config, as_of=NOON)
    before = snapshot(warehouse)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 8])
    with pytest.raises((SourceConfigError, SourcePartialError), match=r"panel\.sqlite"):
        pull(warehouse, config, as_of=NOON + timedelta(days=2))
    after = snapshot(warehouse)
    assert after["admin_orders"] == before["admin_orders"]


def test_an_unknown_table_is_refused(warehouse: Connection, sqlite_panel: Panel) -> None:
    with pytest.raises(SourceConfigError, match="admin_nothing"):
        _pull(warehouse, sqlite_panel, "admin_nothing")


def test_a_schema_can_be_named(warehouse: Connection, postgres_panel: Panel) -> None:
    postgres_panel.insert("users", user(1))
    postgres_panel.run("create schema shop")
    postgres_panel.run("alter table users set schema shop")
    _pull(warehouse, postgres_panel, "admin_users", schema="shop")
    assert _column(warehouse, "admin_users", "user_id") == [1]


changes = st.lists(
    st.one_of(
        st.tuples(st.just("save"), st.integers(1, 6), st.integers(0, 2)),
        st.tuples(st.just("pull"), st.integers(1, 3), st.just(0)),
    ),
    max_size=14,
)


@settings(max_examples=12)
@given(changes=changes)
def test_raw_equals_the_source_after_any_saves_with_ties_between_pulls(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("ties")
    panel = Panel(f"sqlite:///{folder / 'admin.sqlite'}")
    panel.create(only="users")
    clock = datetime(2026, 10, 30, 10)  # noqa: DTZ001 - the panel's wall time
    expected: dict[int, tuple[str, str]] = {}
    with duckdb.connect() as warehouse:
        for number, (kind, value, step) in enumerate([*changes, ("pull", 1, 0)]):
            if kind == "save":
                # A step of 0 saves within the second of the save, or the pull, before.
                clock += timedelta(seconds=step)
                row = user(value, clock.isoformat(sep=" "), name=f"version {number}")
                if value in expected:
                    panel.update("users", {"user_id": value}, **row)
                else:
                    panel.insert("users", row)
                expected[value] = (row["name"], row["updated_at"])
            else:
                _pull(warehouse, panel, "admin_users", overlap=timedelta(0), chunk_rows=value)
                stored = {
                    row["user_id"]: (row["name"], row["updated_at"])
                    for row in dicts_of(warehouse, "admin_users")
                }
                assert stored == expected
