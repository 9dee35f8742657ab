"""The warehouse file has one holder; the published copy changes under nobody."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import duckdb
import pytest

from orchestration.lib import warehouse
from orchestration.lib.erase_warehouse import rewrite
from orchestration.lib.steps import RunBusyError, only_run
from orchestration.lib.warehouse import (
    WarehouseBusyError,
    WarehouseMissingError,
    as_sql_timestamp,
    open_published,
    open_warehouse,
    publish,
)


def _write(path: Path, value: int) -> None:
    with open_warehouse(path) as connection:
        connection.execute("create or replace table marts.answer as select ? as value", [value])
        connection.execute("create or replace table raw.secret as select 'phone' as value")


def test_instants_are_written_as_naive_utc() -> None:
    india = timezone(timedelta(hours=5, minutes=30))
    assert as_sql_timestamp(datetime(2026, 11, 1, tzinfo=india)) == "2026-10-31 18:30:00.000000"


def test_a_reader_keeps_the_old_copy_and_the_next_one_gets_the_new(tmp_path: Path) -> None:
    source, copy = tmp_path / "warehouse.duckdb", tmp_path / "published.duckdb"
    _write(source, 1)
    publish(source, copy)
    with duckdb.connect(str(copy), read_only=True) as reader:
        _write(source, 2)
        publish(source, copy)
        assert reader.execute("select value from marts.answer").fetchall() == [(1,)]
    with open_published(copy) as reader:
        assert reader.execute("select value from marts.answer").fetchall() == [(2,)]


def test_only_what_people_query_is_published(tmp_path: Path) -> None:
    source, copy = tmp_path / "it's a warehouse.duckdb", tmp_path / "it's published.duckdb"
    _write(source, 1)
    publish(source, copy)
    with open_published(copy) as reader:
        found = reader.execute(
            "select table_schema, table_name from information_schema.tables"
        ).fetchall()
    assert found == [("marts", "answer")]


def test_texts_are_kept_as_dictionaries_also_in_a_file_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "it's a warehouse.duckdb"
    for _ in range(2):
        with open_warehouse(path) as connection:
            connection.execute(
                "create or replace table raw.names as "
                "select 'name of somebody, number ' || i // 9 as name from range(200000) as many(i)"
            )
            connection.execute("checkpoint")
            kinds = connection.execute(
                "select distinct compression from pragma_storage_info('raw.names') "
                "where segment_type = 'VARCHAR'"
            ).fetchall()
        assert kinds == [("DICT_FSST",)]
        rewrite(path)


def test_asking_before_the_first_run_says_what_to_do(tmp_path: Path) -> None:
    with (
        pytest.raises(WarehouseMissingError, match="make run"),
        open_published(tmp_path / "p.duckdb"),
    ):
        pass


def test_a_file_held_by_another_process_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "warehouse.duckdb"
    _write(path, 1)
    monkeypatch.setattr(warehouse, "LOCK_WAIT_SECONDS", 0.1)
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(WarehouseBusyError, match=r"published\.duckdb"), open_warehouse(path):
            pass
        holder.communicate()


def test_two_runs_never_share_a_home(tmp_path: Path) -> None:
    with (
        only_run(tmp_path),
        pytest.raises(RunBusyError, match="wait for it"),
        only_run(tmp_path),
    ):
        pass
    with only_run(tmp_path):
        assert datetime.now(UTC)
