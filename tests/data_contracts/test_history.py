from __future__ import annotations

from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from data_contracts.errors import ContractQueryError
from data_contracts.history import (
    KEPT_FOR,
    ROWS,
    Metric,
    ensure_history_table,
    forget_history,
    load_metrics,
    read_history,
    values_of,
)
from data_contracts.transactions import transaction

AS_OF = datetime(2026, 10, 31, 18, 30, tzinfo=UTC)
Warehouse = duckdb.DuckDBPyConnection


@pytest.fixture
def warehouse(connection: Warehouse) -> Warehouse:
    ensure_history_table(connection)
    return connection


def remember(warehouse: Warehouse, hours: int, rows: float, table: str = "raw.things") -> None:
    load_metrics(warehouse, {table: {ROWS: rows}}, as_of=AS_OF + timedelta(hours=hours))


def test_a_run_sees_only_the_runs_before_it(warehouse: Warehouse):
    for hours, rows in ((-2, 10), (-1, 11), (0, 12), (1, 13)):
        remember(warehouse, hours, rows)
    history = read_history(warehouse, as_of=AS_OF)
    assert history == {
        "raw.things": (
            Metric(metric=ROWS, as_of=AS_OF - timedelta(hours=2), value=10),
            Metric(metric=ROWS, as_of=AS_OF - timedelta(hours=1), value=11),
        )
    }
    assert values_of(history["raw.things"], ROWS, as_of=AS_OF) == [10, 11]


def test_a_run_done_again_replaces_what_it_said(warehouse: Warehouse):
    remember(warehouse, 0, 10)
    remember(warehouse, 0, 12)
    assert warehouse.execute("select value from state.contract_metrics").fetchall() == [(12,)]


def test_a_run_done_again_leaves_other_tables_alone(warehouse: Warehouse):
    remember(warehouse, 0, 10)
    remember(warehouse, 0, 99, table="raw.others")
    remember(warehouse, 0, 11)
    assert read_history(warehouse, as_of=AS_OF + timedelta(hours=1))["raw.others"][0].value == 99


def test_lines_nobody_reads_any_more_are_dropped(warehouse: Warehouse):
    remember(warehouse, 0, 10)
    load_metrics(warehouse, {"raw.things": {ROWS: 11}}, as_of=AS_OF + KEPT_FOR + timedelta(days=1))
    assert warehouse.execute("select count(*) from state.contract_metrics").fetchone() == (1,)


def test_a_person_can_make_todays_volume_the_usual_one(warehouse: Warehouse):
    remember(warehouse, -1, 10)
    remember(warehouse, 0, 12)
    assert forget_history(warehouse, "raw.things") == 2
    assert forget_history(warehouse, "raw.things") == 0
    assert read_history(warehouse, as_of=AS_OF + timedelta(hours=1)) == {}


def test_a_missing_state_table_is_our_error_and_names_it(connection: Warehouse):
    with pytest.raises(ContractQueryError, match=r"state.contract_metrics cannot be written"):
        remember(connection, 0, 1)


def test_a_transaction_of_our_own_is_undone_by_an_error(connection: Warehouse):
    connection.execute("create table t (i integer)")

    def fill_and_fail() -> None:
        with transaction(connection):
            connection.execute("insert into t values (1)")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fill_and_fail()
    assert connection.execute("select count(*) from t").fetchone() == (0,)
    with transaction(connection):
        connection.execute("insert into t values (2)")
    connection.execute("begin transaction")
    with transaction(connection):
        connection.execute("insert into t values (3)")
    connection.execute("rollback")
    assert connection.execute("from t").fetchall() == [(2,)]
