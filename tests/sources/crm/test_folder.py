from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest

from orchestration.sources.crm import TABLES, CrmConfig, FolderConfig, parse_crm_uri, pull
from orchestration.sources.crm.tables import BY_NAME
from orchestration.sources.errors import (
    SourceConfigError,
    SourceFileError,
    SourcePartialError,
    SourceSchemaError,
    SourceUnreachableError,
)
from orchestration.sources.landing import PullResult
from tests.sources.crm.hubspot_stand_in import TOKEN, running_hubspot
from tests.sources.helpers import NOON, dicts_of, rows_of, snapshot

Connection = duckdb.DuckDBPyConnection
Row = dict[str, Any]


def _event(event_id: str, **fields: Any) -> Row:
    return {
        "event_id": event_id,
        "message_id": "m1",
        "channel": "whatsapp",
        "event": "read",
        "ts_epoch_ms": 1_787_023_829_494,
        "reason": None,
        "received_at": "2026-08-18T03:32:02Z",
        **fields,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An export folder with no row in any table."""
    path = tmp_path / "crm"
    path.mkdir()
    for table in TABLES:
        _write(path / f"{table.removeprefix('crm_')}.csv", table, [])
    return path


def _write(path: Path, table: str, rows: Sequence[Row]) -> Path:
    names = BY_NAME[table].column_names
    if path.name.endswith(".csv"):
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)
    elif path.name.endswith(".parquet"):
        columns = ", ".join(
            f"'{column.name}': '{column.type}'" for column in BY_NAME[table].columns
        )
        lines = _write(path.with_suffix(".jsonl"), table, rows)
        with duckdb.connect() as connection:
            connection.execute(
                f"copy (select * from read_json('{lines}', format = 'newline_delimited',"
                f" columns = {{{columns}}})) to '{path}' (format parquet)"
            )
        lines.unlink()
    else:
        content = b"".join(orjson.dumps(row) + b"\n" for row in rows)
        path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)
    return path


def _events(folder: Path, name: str, rows: Sequence[Row]) -> Path:
    """Put rows of channel_events in place of what is there."""
    for old in folder.glob("channel_events*"):
        old.unlink()
    return _write(folder / name, "crm_channel_events", rows)


def _pull(warehouse: Connection, folder: Path, *tables: str) -> dict[str, PullResult]:
    config = CrmConfig(folder=FolderConfig(folder=folder))
    results = pull(warehouse, config, as_of=NOON, tables=tables or None)
    return {result.table: result for result in results}


def test_an_older_tool_s_export_loads_whole_and_only_once(
    warehouse: Connection, shared_data: Path
) -> None:
    folder = shared_data / "recommerce" / "crm"
    _pull(warehouse, folder)
    for table in TABLES:
        with duckdb.connect() as other:
            expected = other.execute(
                f"select * from '{folder / table.removeprefix('crm_')}.parquet'"
            ).fetchall()
        assert rows_of(warehouse, table) == sorted(expected, key=repr)
    before = snapshot(warehouse)
    assert not any(result.has_changed for result in _pull(warehouse, folder).values())
    assert snapshot(warehouse) == before


def test_every_format_gives_the_same_rows(
    warehouse: Connection, folder: Path, shared_data: Path
) -> None:
    source = shared_data / "recommerce" / "crm"
    seen = []
    for ending in ("parquet", "csv", "csv.gz", "json", "jsonl.gz"):
        for table in ("contacts", "journey_entries"):
            for old in folder.glob(f"{table}.*"):
                old.unlink()
            options = "format csv, header" if "csv" in ending else "format json"
            options = "format parquet" if ending == "parquet" else options
            if ending.endswith(".gz"):
                options += ", compression gzip"
            with duckdb.connect() as other:
                other.execute(
                    f"copy (select * from '{source}/{table}.parquet' limit 200)"
                    f" to '{folder}/{table}.{ending}' ({options})"
                )
        _pull(warehouse, folder, "crm_contacts", "crm_journey_entries")
        seen.append((rows_of(warehouse, "crm_contacts"), rows_of(warehouse, "crm_journey_entries")))
    assert len(seen[0][0]) == len(seen[0][1]) == 200
    assert all(rows == seen[0] for rows in seen)


def test_a_webhook_that_came_twice_stays_twice(warehouse: Connection, folder: Path) -> None:
    _events(folder, "channel_events.jsonl", [_event("e1"), _event("e1")])
    assert _pull(warehouse, folder)["crm_channel_events"].rows_written == 2


def test_a_new_export_replaces_the_table_and_no_other(warehouse: Connection, folder: Path) -> None:
    _events(folder, "channel_events.csv", [_event("e1"), _event("e2")])
    _pull(warehouse, folder)
    before = snapshot(warehouse)
    _events(folder, "channel_events.parquet", [_event("e2"), _event("e3")])
    result = _pull(warehouse, folder)["crm_channel_events"]
    assert (result.rows_written, result.rows_removed) == (2, 2)
    after = snapshot(warehouse)
    assert [row["event_id"] for row in dicts_of(warehouse, "crm_channel_events")] == ["e2", "e3"]
    assert after["crm_contacts"] == before["crm_contacts"]


def test_a_folder_of_files_is_one_table(warehouse: Connection, folder: Path) -> None:
    (folder / "channel_events.csv").unlink()
    parts = folder / "channel_events"
    parts.mkdir()
    _write(parts / "2026-08.csv", "crm_channel_events", [_event("e1")])
    _write(parts / "2026-09.jsonl.gz", "crm_channel_events", [_event("e2")])
    _write(parts / "2026-10.parquet", "crm_channel_events", [_event("e3")])
    (parts / "README.txt").write_text("notes", "utf-8")
    _pull(warehouse, folder)
    events = sorted(row["event_id"] for row in dicts_of(warehouse, "crm_channel_events"))
    assert events == ["e1", "e2", "e3"]


def test_moments_typed_as_such_become_iso_text(warehouse: Connection, folder: Path) -> None:
    (folder / "channel_events.csv").unlink()
    with duckdb.connect() as other:
        other.execute("set TimeZone = 'Asia/Kolkata'")
        other.execute(
            "copy (select 'e1' as event_id, 'm1' as message_id, 'sms' as channel,"
            " 'read' as event, 1::int as ts_epoch_ms, null::varchar as reason,"
            " timestamptz '2026-08-18 03:32:02+00' as received_at"
            f") to '{folder}/channel_events.parquet'"
        )
    _pull(warehouse, folder)
    (row,) = dicts_of(warehouse, "crm_channel_events")
    assert (row["received_at"], row["ts_epoch_ms"]) == ("2026-08-18T03:32:02Z", 1)


def test_an_unknown_column_is_left_out_with_a_note(warehouse: Connection, folder: Path) -> None:
    (folder / "assignments.csv").write_text(
        "contact_id,experiment_id,arm,extra\nc,e,a,x\n", "utf-8"
    )
    result = _pull(warehouse, folder)["crm_assignments"]
    assert result.note == "columns unknown to us, left out: extra"
    assert dicts_of(warehouse, "crm_assignments") == [
        {"contact_id": "c", "experiment_id": "e", "arm": "a"}
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("assignments.csv", b"contact_id,experiment_id,arm\nc1,e1,a\nc2,e2"),
        ("assignments.csv", b""),
        ("assignments.jsonl", b'{"contact_id": "c1"}\n{"contact_'),
        ("assignments.jsonl", b"[1, 2]\n"),
        ("assignments.jsonl.gz", gzip.compress(b'{"contact_id": "c1"}\n', mtime=0)[:-6]),
        (
            "assignments.csv.gz",
            gzip.compress(b"contact_id,experiment_id,arm\nc,e,a\n", mtime=0)[:-6],
        ),
        ("assignments.parquet", b"PAR1 and no end"),
    ],
    ids=["csv cut", "csv empty", "json cut", "json list", "json gz cut", "csv gz cut", "parquet"],
)
def test_a_broken_file_is_named_its_rows_stay_and_the_others_load(
    warehouse: Connection, folder: Path, name: str, content: bytes
) -> None:
    (folder / "assignments.csv").write_text("contact_id,experiment_id,arm\nold,e,a\n", "utf-8")
    _pull(warehouse, folder)
    (folder / "assignments.csv").unlink()
    (folder / name).write_bytes(content)
    _events(folder, "channel_events.csv", [_event("e1")])
    with pytest.raises(SourceFileError) as caught:
        _pull(warehouse, folder)
    assert name in str(caught.value)
    assert "again" in caught.value.next_step
    assert [row["contact_id"] for row in dicts_of(warehouse, "crm_assignments")] == ["old"]
    assert len(dicts_of(warehouse, "crm_channel_events")) == 1
    assert len(caught.value.results) == len(TABLES) - 1


@pytest.mark.parametrize("name", ["channel_events.csv", "channel_events.jsonl"])
@pytest.mark.parametrize(
    ("column", "value"), [("ts_epoch_ms", "soon"), ("ts_epoch_ms", "1787023829494.5")]
)
def test_a_value_that_does_not_fit_names_file_and_column(
    warehouse: Connection, folder: Path, name: str, column: str, value: str
) -> None:
    _events(folder, name, [_event("e1"), _event("e2", **{column: value})])
    with pytest.raises(SourceSchemaError) as caught:
        _pull(warehouse, folder)
    for part in (name, f"column {column} ", "VARCHAR", "BIGINT"):
        assert part in str(caught.value)
    assert value not in str(caught.value)


def test_a_time_that_became_a_number_is_refused(warehouse: Connection, folder: Path) -> None:
    (folder / "channel_events.csv").unlink()
    names = BY_NAME["crm_channel_events"].column_names
    columns = ", ".join(f"1 as {name}" for name in names)
    with duckdb.connect() as other:
        other.execute(f"copy (select {columns}) to '{folder}/channel_events.parquet'")
    with pytest.raises(SourceSchemaError, match=r"column received_at .*ISO time text"):
        _pull(warehouse, folder)


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_missing_column_is_named(warehouse: Connection, folder: Path, ending: str) -> None:
    (folder / "assignments.csv").unlink()
    content = "experiment_id,arm\ne,a\n" if ending == "csv" else '{"arm": "a"}\n'
    (folder / f"assignments.{ending}").write_text(content, "utf-8")
    with pytest.raises(SourceSchemaError, match=r"assignments\.\w+: has no column contact_id"):
        _pull(warehouse, folder)


def test_a_missing_file_or_folder_is_named(warehouse: Connection, folder: Path) -> None:
    (folder / "messages.csv").unlink()
    (folder / "assignments.csv").unlink()
    (folder / "assignments").mkdir()
    with pytest.raises(SourcePartialError) as caught:
        _pull(warehouse, folder)
    assert "CRM export file messages" in str(caught.value)
    assert "CRM export folder assignments/" in str(caught.value)
    with pytest.raises(SourceUnreachableError, match="CRM_SOURCE_URI"):
        _pull(warehouse, folder / "nowhere", "crm_contacts")


def test_two_files_for_one_table_are_refused(warehouse: Connection, folder: Path) -> None:
    _write(folder / "messages.jsonl", "crm_messages", [])
    with pytest.raises(SourceConfigError, match=r"messages\.csv, messages\.jsonl"):
        _pull(warehouse, folder, "crm_messages")


def test_no_way_in_means_empty_tables_with_a_note(warehouse: Connection) -> None:
    results = pull(warehouse, CrmConfig(), as_of=NOON)
    assert [result.table for result in results] == list(TABLES)
    assert all(result.note for result in results)
    assert all(dicts_of(warehouse, table) == [] for table in TABLES)
    with pytest.raises(SourceConfigError, match="crm_nothing"):
        pull(warehouse, CrmConfig(), as_of=NOON, tables=["crm_nothing"])


def test_with_both_ways_in_contacts_come_from_hubspot_and_the_rest_from_the_folder(
    warehouse: Connection, folder: Path
) -> None:
    _events(folder, "channel_events.csv", [_event("e1")])
    with running_hubspot() as account:
        account.save(1, 1_790_000_000_000)
        uri = account.url.replace("http://", "hubspot+http://") + f"?folder={folder}"
        pull(warehouse, parse_crm_uri(uri, access_token=TOKEN), as_of=NOON)
    assert [row["contact_id"] for row in dicts_of(warehouse, "crm_contacts")] == ["1"]
    assert len(dicts_of(warehouse, "crm_channel_events")) == 1


def test_a_uri_says_which_way_in_is_meant() -> None:
    assert parse_crm_uri("/data/crm").folder == FolderConfig(folder=Path("/data/crm"))
    assert parse_crm_uri("file:///data/my%20crm").folder == FolderConfig(
        folder=Path("/data/my crm")
    )
    config = parse_crm_uri("hubspot://api.hubapi.com", access_token=TOKEN)
    assert config.folder is None
    assert config.hubspot is not None
    assert config.hubspot.base_url == "https://api.hubapi.com"
    with pytest.raises(SourceConfigError, match="HUBSPOT_ACCESS_TOKEN"):
        parse_crm_uri("hubspot://api.hubapi.com")
    for uri in ("", "salesforce://x"):
        with pytest.raises(SourceConfigError, match="CRM_SOURCE_URI"):
            parse_crm_uri(uri)
