from __future__ import annotations

from collections import Counter

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.sources.landing import (
    Column,
    LandedCounts,
    PullState,
    TableSpec,
    apply_replace,
    apply_upsert,
    ensure_table,
    open_staging,
    read_states,
    transaction,
    write_state,
)
from tests.sources.helpers import NOON

KEYED = TableSpec(
    name="things",
    columns=(
        Column(name="id", type="BIGINT"),
        Column(name="seen", type="BIGINT"),
        Column(name="text", type="VARCHAR"),
    ),
    key=("id",),
)
KEYLESS = TableSpec(name="facts", columns=KEYED.columns)

rows = st.lists(
    st.tuples(
        st.none() | st.integers(0, 4),
        st.none() | st.integers(0, 3),
        st.none() | st.sampled_from("ab"),
    ),
    max_size=12,
)


def _land(
    connection: duckdb.DuckDBPyConnection, spec: TableSpec, batch: list, *, is_full: bool
) -> LandedCounts:
    with open_staging(connection, spec) as staging:
        staging.append_rows([dict(zip(spec.column_names, row, strict=True)) for row in batch])
        with transaction(connection):
            return apply_upsert(connection, staging, newest_by="seen", is_full=is_full)


def _order(row: tuple) -> tuple:
    """Newest first: by `seen`, then by all columns; NULL counts as oldest."""
    return tuple(
        (value is not None, value if value is not None else 0) for value in (row[1],)
    ) + tuple((value is not None, value if value is not None else "") for value in row)


@settings(max_examples=25)
@given(batches=st.lists(st.tuples(rows, st.booleans()), max_size=3))
def test_upsert_keeps_the_newest_row_of_each_key_and_counts_only_differences(
    batches: list[tuple[list, bool]],
) -> None:
    with duckdb.connect() as connection:
        ensure_table(connection, KEYED)
        model: dict = {}
        for batch, is_full in batches:
            before = dict(model)
            if is_full:
                model = {}
            newest: dict = {}
            for row in batch:
                if row[0] not in newest or _order(row) > _order(newest[row[0]]):
                    newest[row[0]] = row
            model.update(newest)
            counts = _land(connection, KEYED, batch, is_full=is_full)
            stored = connection.execute("select * from raw.things").fetchall()
            assert Counter(stored) == Counter(model.values())
            assert counts.written == sum(before.get(key) != row for key, row in newest.items())
            assert counts.removed == len(set(before) - set(model))
            again = _land(connection, KEYED, batch, is_full=is_full)
            assert again == LandedCounts()


@settings(max_examples=15)
@given(batches=st.lists(st.tuples(rows, st.booleans()), max_size=3))
def test_a_table_without_key_is_a_set_of_rows(batches: list[tuple[list, bool]]) -> None:
    with duckdb.connect() as connection:
        ensure_table(connection, KEYLESS)
        model: set = set()
        for batch, is_full in batches:
            model = set(batch) if is_full else model | set(batch)
            _land(connection, KEYLESS, batch, is_full=is_full)
            stored = connection.execute("select * from raw.facts").fetchall()
            assert Counter(stored) == Counter(model)


@settings(max_examples=15)
@given(batches=st.lists(rows, min_size=1, max_size=3))
def test_replace_makes_the_window_equal_as_a_multiset_and_leaves_the_rest(batches: list) -> None:
    with duckdb.connect() as connection:
        ensure_table(connection, KEYED)
        connection.execute("insert into raw.things values (99, 99, 'outside')")
        for batch in batches:
            inside = [(*row[:2], "inside") for row in batch]
            connection.execute("create or replace temp table incoming as from raw.things limit 0")
            if inside:
                connection.executemany("insert into incoming values (?, ?, ?)", inside)
            for expect_change in (None, False):
                with transaction(connection):
                    counts = apply_replace(connection, KEYED, "incoming", where="text = 'inside'")
                if expect_change is False:
                    assert counts == LandedCounts()
            stored = connection.execute("select * from raw.things").fetchall()
            assert Counter(stored) == Counter([*inside, (99, 99, "outside")])


def test_rows_and_cursor_are_rolled_back_together(warehouse: duckdb.DuckDBPyConnection) -> None:
    ensure_table(warehouse, KEYED)

    def land_and_fail() -> None:
        with open_staging(warehouse, KEYED) as staging:
            staging.append_rows([{"id": 1}])
            with transaction(warehouse):
                apply_upsert(warehouse, staging)
                write_state(warehouse, "test", "things", "table", PullState(cursor="1"))
                raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        land_and_fail()
    assert warehouse.execute("select * from raw.things").fetchall() == []
    assert read_states(warehouse, "test", "things") == {}


def test_pull_state_comes_back_as_it_was_written(warehouse: duckdb.DuckDBPyConnection) -> None:
    ensure_table(warehouse, KEYED)
    state = PullState(cursor="7", fingerprint="f", row_count=3, full_read_at=NOON)
    write_state(warehouse, "test", "things", "a", state)
    write_state(warehouse, "test", "things", "b", PullState())
    write_state(warehouse, "test", "things", "a", state)
    assert read_states(warehouse, "test", "things") == {"a": state, "b": PullState()}


def test_a_newly_declared_column_is_added_to_the_table_in_place(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    ensure_table(warehouse, TableSpec(name="things", columns=KEYED.columns[:1]))
    warehouse.execute("insert into raw.things values (1)")
    ensure_table(warehouse, KEYED)
    assert warehouse.execute("select * from raw.things").fetchall() == [(1, None, None)]
