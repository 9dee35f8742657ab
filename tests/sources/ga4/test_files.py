from __future__ import annotations

import gzip
import os
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest

from orchestration.sources.errors import (
    SourceConfigError,
    SourceFileError,
    SourcePartialError,
    SourceSchemaError,
    SourceUnreachableError,
)
from orchestration.sources.ga4 import TABLES, Ga4Config, pull
from orchestration.sources.ga4.schema import EXPORT_COLUMNS
from orchestration.sources.landing import PullResult, ensure_raw
from tests.sources.ga4.exports import Row, event, param, write_json, write_parquet
from tests.sources.helpers import NOON, dicts_of, snapshot

Connection = duckdb.DuckDBPyConnection


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "ga4"
    path.mkdir()
    return path


def _pull(warehouse: Connection, folder: Path | str) -> PullResult:
    (result,) = pull(warehouse, Ga4Config(uri=str(folder)), as_of=NOON)
    return result


def _names(warehouse: Connection, table: str | None = None) -> list[str]:
    rows = dicts_of(warehouse, "ga4_events")
    return [row["event_name"] for row in rows if table is None or row["_table"] == table]


def _is_within(shown: Any, stored: Any) -> bool:
    """Whether everything the source shows is stored so; what it does not show is NULL."""
    if isinstance(shown, dict):
        if stored is None:
            return all(_is_within(value, None) for value in shown.values())
        return all(_is_within(value, stored[name]) for name, value in shown.items()) and all(
            value is None for name, value in stored.items() if name not in shown
        )
    if isinstance(shown, list):
        return (
            isinstance(stored, list)
            and len(shown) == len(stored)
            and all(_is_within(one, other) for one, other in zip(shown, stored, strict=True))
        )
    return shown == stored and (shown is None) == (stored is None)


@pytest.mark.parametrize("name", ["ga4_web_dev", "firebase_app_dev"])
@pytest.mark.parametrize("ending", [".ndjson", ".json.gz"])
def test_real_google_rows_load_unchanged(
    warehouse: Connection, folder: Path, shared_data: Path, name: str, ending: str
) -> None:
    content = (shared_data / "ga4_raw" / f"{name}.ndjson").read_bytes()
    path = folder / f"events_20261030{ending}"
    path.write_bytes(gzip.compress(content) if ending.endswith(".gz") else content)
    result = _pull(warehouse, folder)
    shown = [orjson.loads(line) for line in content.splitlines()]
    assert result.rows_written == len(shown)
    assert result.note is None
    for want, have in zip(shown, dicts_of(warehouse, "ga4_events"), strict=True):
        assert have.pop("_table") == "events_20261030"
        assert have.pop("_table_date") == date(2026, 10, 30)
        assert have.pop("_is_intraday") is False
        assert want["event_params"] == have["event_params"]
        # What the sample's publisher added, and a text column it spells as a number.
        del want["_table_suffix"]
        want["stream_id"] = str(want["stream_id"])
        assert _is_within(want, have), want["event_name"]


def test_a_company_s_export_loads_whole_and_only_once(
    warehouse: Connection, folder: Path, shared_data: Path
) -> None:
    for path in (shared_data / "recommerce" / "ga4").glob("events_*202610[23]*.parquet"):
        (folder / path.name).symlink_to(path)
    with duckdb.connect() as other:
        expected = other.execute(
            f"select count(*) from read_parquet('{folder}/*.parquet', union_by_name = true)"
        ).fetchone()
    result = _pull(warehouse, folder)
    assert (result.rows_written,) == expected
    before = snapshot(warehouse)
    again = _pull(warehouse, folder.as_uri())
    assert not again.has_changed
    assert snapshot(warehouse) == before
    intraday = {row["_table"] for row in dicts_of(warehouse, "ga4_events") if row["_is_intraday"]}
    assert intraday == {"events_intraday_20261031"}


def test_parquet_and_json_and_gzip_give_the_same_rows(warehouse: Connection, folder: Path) -> None:
    rows = [
        event(
            "quote_viewed",
            event_params=[
                param("quote_value", double_value=7950.5),
                param("model", string_value="12"),
                param("big", int_value=-4985163292119210307),
            ],
            items=[{"item_id": "7", "price": 1.5, "quantity": 2, "item_params": []}],
            is_active_user=True,
            device={"category": "mobile", "web_info": {"browser": "Chrome"}},
        )
    ]
    write_parquet(folder / "events_20261028.parquet", rows)
    write_json(folder / "events_20261029.json", rows)
    write_json(folder / "events_20261030.ndjson.gz", rows)
    _pull(warehouse, folder)
    stored = [
        {name: value for name, value in row.items() if not name.startswith("_")}
        for row in dicts_of(warehouse, "ga4_events")
    ]
    assert stored[0]["event_params"][2]["value"]["int_value"] == -4985163292119210307
    assert stored[0]["event_params"][1]["value"]["string_value"] == "12"
    assert stored[0] == stored[1] == stored[2]


def test_an_older_export_reads_what_it_lacks_as_null(warehouse: Connection, folder: Path) -> None:
    old = event("page_view", traffic_source={"source": "google"})
    del old["event_params"]
    write_parquet(
        folder / "events_20200101.parquet", [old], {"traffic_source": "STRUCT(source VARCHAR)"}
    )
    assert _pull(warehouse, folder).note is None
    (row,) = dicts_of(warehouse, "ga4_events")
    assert row["traffic_source"] == {"name": None, "medium": None, "source": "google"}
    assert row["event_params"] is None
    assert row["session_traffic_source_last_click"] is None
    assert row["_table_date"] == date(2020, 1, 1)
    assert {*EXPORT_COLUMNS, "_table", "_table_date", "_is_intraday"} == set(row)


@pytest.mark.parametrize("ending", [".parquet", ".json"])
def test_an_unknown_column_is_left_out_with_a_note(
    warehouse: Connection, folder: Path, ending: str
) -> None:
    rows = [event("page_view", brand_new="x")]
    (write_parquet if ending == ".parquet" else write_json)(
        folder / f"events_20261030{ending}", rows
    )
    result = _pull(warehouse, folder)
    assert result.rows_written == 1
    assert result.note == "events_20261030: columns unknown to us, left out: brand_new"


def test_a_table_is_noted_as_changed_when_its_rows_are_and_only_then(
    warehouse: Connection, folder: Path
) -> None:
    def pulled() -> list[str]:
        before = _noted(warehouse)
        _pull(warehouse, folder)
        return _noted(warehouse)[len(before) :]

    ensure_raw(warehouse)
    write_json(folder / "events_20261029.json", [event("one")])
    write_json(folder / "events_intraday_20261030.json", [event("early")])
    assert pulled() == ["events_20261029", "events_intraday_20261030"]
    assert pulled() == []
    write_json(folder / "events_20261029.json", [event("one"), event("late")])
    write_json(folder / "events_20261030.json", [event("early")])
    assert pulled() == ["events_20261029", "events_20261030"]
    (folder / "events_intraday_20261030.json").unlink()
    assert pulled() == ["events_intraday_20261030"]
    ids = warehouse.execute("select change_id from raw._changes order by change_id").fetchall()
    assert ids == [(number,) for number in range(1, 6)]


def _noted(warehouse: Connection) -> list[str]:
    rows = warehouse.execute("select unit from raw._changes order by change_id").fetchall()
    return [unit for (unit,) in rows]


def test_an_intraday_table_never_mixes_with_the_daily_one(
    warehouse: Connection, folder: Path
) -> None:
    write_json(folder / "events_intraday_20261030.json", [event("early")])
    _pull(warehouse, folder)
    assert _names(warehouse) == ["early"]
    write_json(folder / "events_20261030.json", [event("early"), event("first_export")])
    _pull(warehouse, folder)
    assert _names(warehouse, "events_intraday_20261030") == ["early"]
    assert _names(warehouse, "events_20261030") == ["early", "first_export"]
    (folder / "events_intraday_20261030.json").unlink()
    result = _pull(warehouse, folder)
    assert result.rows_removed == 1
    assert _names(warehouse) == ["early", "first_export"]
    before = snapshot(warehouse)
    assert not _pull(warehouse, folder).has_changed
    assert snapshot(warehouse) == before


def test_intraday_rows_stay_until_their_daily_table_is_really_loaded(
    warehouse: Connection, folder: Path
) -> None:
    write_json(folder / "events_20261029.json", [event("older", day="20261029")])
    write_json(folder / "events_intraday_20261030.json", [event("early")])
    _pull(warehouse, folder)
    (folder / "events_intraday_20261030.json").unlink()
    _pull(warehouse, folder)
    assert _names(warehouse) == ["older", "early"]
    daily = folder / "events_20261030.json"
    daily.write_bytes(b'{"event_date": "20261030", "event_na')
    with pytest.raises(SourceFileError):
        _pull(warehouse, folder)
    assert _names(warehouse) == ["older", "early"]
    write_json(daily, [event("daily")])
    _pull(warehouse, folder)
    assert _names(warehouse) == ["older", "daily"]


def test_a_re_export_replaces_its_day_and_no_other(warehouse: Connection, folder: Path) -> None:
    for day in ("20261028", "20261029"):
        write_json(folder / f"events_{day}.json", [event("first", day=day)])
    _pull(warehouse, folder)
    late = [event("first", day="20261028", user_id="7"), event("late", day="20261028")]
    write_json(folder / "events_20261028.json", late)
    result = _pull(warehouse, folder)
    assert (result.rows_written, result.rows_removed) == (2, 1)
    assert sorted(_names(warehouse)) == ["first", "first", "late"]


def test_a_vanished_daily_table_stays_in_raw(warehouse: Connection, folder: Path) -> None:
    for day in ("20261028", "20261029"):
        write_json(folder / f"events_{day}.json", [event(day, day=day)])
    _pull(warehouse, folder)
    (folder / "events_20261028.json").unlink()
    assert not _pull(warehouse, folder).has_changed
    assert _names(warehouse) == ["20261028", "20261029"]


def _rewrite_in_secret(path: Path, rows: list[Row]) -> None:
    """Replace a file by one of the same size and time."""
    stat = path.stat()
    write_json(path, rows)
    assert path.stat().st_size == stat.st_size
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_the_newest_days_are_read_again_even_if_nothing_outside_shows_a_change(
    warehouse: Connection, folder: Path
) -> None:
    newest = date(2026, 10, 30)
    days = [f"{newest - timedelta(days=back):%Y%m%d}" for back in range(6)]
    for day in days:
        write_json(folder / f"events_{day}.json", [event("before", day=day)])
    _pull(warehouse, folder)
    for day in days:
        _rewrite_in_secret(folder / f"events_{day}.json", [event("after!", day=day)])
    _pull(warehouse, folder)
    read_again = [day for day in days if _names(warehouse, f"events_{day}") == ["after!"]]
    assert read_again == days[:4]
    os.utime(folder / f"events_{days[5]}.json")
    _pull(warehouse, folder)
    assert _names(warehouse, f"events_{days[5]}") == ["after!"]
    assert _names(warehouse, f"events_{days[4]}") == ["before"]


def test_a_file_copied_anew_with_the_same_content_changes_no_row(
    warehouse: Connection, folder: Path
) -> None:
    path = write_json(folder / "events_20261030.json", [event("page_view")])
    _pull(warehouse, folder)
    before = snapshot(warehouse)["ga4_events"]
    os.utime(path, ns=(1, 1))
    assert not _pull(warehouse, folder).has_changed
    assert snapshot(warehouse)["ga4_events"] == before


def test_a_table_that_shrank_is_loaded_and_noted(warehouse: Connection, folder: Path) -> None:
    path = write_json(folder / "events_20261030.json", [event("page_view")] * 3)
    _pull(warehouse, folder)
    write_json(path, [event("page_view")] * 2)
    assert _pull(warehouse, folder).note == "events_20261030: has 2 rows where it had 3"


def test_doubled_rows_of_a_table_are_kept_doubled(warehouse: Connection, folder: Path) -> None:
    write_json(folder / "events_20261030.json", [event("page_view")] * 3)
    _pull(warehouse, folder)
    assert Counter(_names(warehouse)) == {"page_view": 3}


def test_a_table_that_other_hands_emptied_is_loaded_again(
    warehouse: Connection, folder: Path
) -> None:
    write_json(folder / "events_20261030.json", [event("page_view")])
    _pull(warehouse, folder)
    warehouse.execute("delete from raw.ga4_events")
    assert _pull(warehouse, folder).rows_written == 1


def _cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


@pytest.mark.parametrize(
    "kind", ["parquet", "json", "json.gz", "gzip without its end", "empty", "not parquet"]
)
def test_a_broken_file_stops_only_its_own_day_and_is_named(
    warehouse: Connection, folder: Path, kind: str
) -> None:
    ending = {"gzip without its end": "json.gz", "empty": "json", "not parquet": "parquet"}.get(
        kind, kind
    )
    write = write_parquet if ending == "parquet" else write_json
    days = ["20261028", "20261029", "20261030"]
    for day in days:
        write(folder / f"events_{day}.{ending}", [event("old", day=day)] * 50)
    _pull(warehouse, folder)
    for day in days:
        write(folder / f"events_{day}.{ending}", [event("new", day=day)] * 60)
    broken = folder / f"events_20261029.{ending}"
    whole = broken.read_bytes()
    if kind == "empty":
        broken.write_bytes(b"")
    elif kind == "not parquet":
        broken.write_bytes(b"PAR1" + b"\0" * 400 + b"PAR1")
    elif kind == "gzip without its end":
        broken.write_bytes(whole[:-6])
    else:
        _cut(broken, 0.71)
    with pytest.raises(SourceFileError) as caught:
        _pull(warehouse, folder)
    assert broken.name in str(caught.value)
    assert "Next step: export or copy this file again" in str(caught.value)
    assert caught.value.results[0].rows_written == 120
    assert Counter(_names(warehouse)) == {"new": 120, "old": 50}
    assert set(_names(warehouse, "events_20261029")) == {"old"}
    broken.write_bytes(whole)
    _pull(warehouse, folder)
    assert Counter(_names(warehouse)) == {"new": 180}


def test_several_broken_files_become_one_error_that_names_them(
    warehouse: Connection, folder: Path
) -> None:
    for day in ("20261028", "20261029", "20261030"):
        write_json(folder / f"events_{day}.json", [event("page_view", day=day)])
    _cut(folder / "events_20261028.json", 0.5)
    _cut(folder / "events_20261030.json", 0.5)
    with pytest.raises(SourcePartialError) as caught:
        _pull(warehouse, folder)
    assert "events_20261028.json" in str(caught.value)
    assert "events_20261030.json" in str(caught.value)
    assert _names(warehouse, "events_20261029") == ["page_view"]


def test_another_type_is_fine_while_every_value_says_the_same(
    warehouse: Connection, folder: Path
) -> None:
    flipped = "STRUCT(key VARCHAR, value STRUCT(string_value VARCHAR, int_value VARCHAR))[]"
    row = event(
        "quote_viewed",
        event_params=[param("quote_value", int_value="7950")],
        event_bundle_sequence_id=12.0,
        user_id=77,
    )
    write_parquet(
        folder / "events_20261029.parquet",
        [row],
        {"event_params": flipped, "event_bundle_sequence_id": "DOUBLE", "user_id": "BIGINT"},
    )
    write_json(folder / "events_20261030.json", [{**row, "event_timestamp": "1793300000000000"}])
    _pull(warehouse, folder)
    for stored in dicts_of(warehouse, "ga4_events"):
        assert stored["event_params"][0]["value"]["int_value"] == 7950
        assert stored["event_bundle_sequence_id"] == 12
        assert stored["event_timestamp"] == 1793300000000000
        assert stored["user_id"] == "77"


_TEXT_PARAMS = "STRUCT(key VARCHAR, value STRUCT(int_value VARCHAR))[]"


@pytest.mark.parametrize(
    ("fields", "types", "column", "found", "expected"),
    [
        (
            {"event_params": [param("quote_value", int_value="7950 Rs")]},
            {"event_params": _TEXT_PARAMS},
            "event_params[].value.int_value",
            "VARCHAR",
            "BIGINT",
        ),
        *(
            ({column: value}, {column: found}, column, found, expected)
            for column, value, found, expected in (
                ("event_timestamp", 1.5, "DOUBLE", "BIGINT"),
                ("event_timestamp", "2026-10-30 01:02:03", "TIMESTAMP", "BIGINT"),
                ("event_date", "2026-10-30", "DATE", "VARCHAR"),
                ("device", "mobile", "VARCHAR", "STRUCT"),
                ("items", {"item_id": "1"}, "STRUCT(item_id VARCHAR)", "[]"),
                ("event_value_in_usd", "much", "VARCHAR", "DOUBLE"),
                ("is_active_user", 7, "BIGINT", "BOOLEAN"),
            )
        ),
    ],
)
def test_a_flipped_type_in_parquet_names_file_column_and_both_types(
    warehouse: Connection,
    folder: Path,
    fields: Row,
    types: dict[str, str],
    column: str,
    found: str,
    expected: str,
) -> None:
    write_json(folder / "events_20261029.json", [event("fine", day="20261029")])
    path = write_parquet(folder / "events_20261030.parquet", [event("bad", **fields)], types)
    with pytest.raises(SourceSchemaError) as caught:
        _pull(warehouse, folder)
    for part in (path.name, f"column {column} ", found, expected):
        assert part in str(caught.value)
    assert _names(warehouse) == ["fine"]


@pytest.mark.parametrize(
    ("fields", "column", "expected"),
    [
        (
            {"event_params": [param("q", int_value=12.5)]},
            "event_params[].value.int_value",
            "BIGINT",
        ),
        ({"event_timestamp": "yesterday"}, "event_timestamp", "BIGINT"),
        ({"event_timestamp": True}, "event_timestamp", "BIGINT"),
        ({"device": "mobile"}, "device", "STRUCT"),
        ({"event_params": [{"key": "q", "value": 5}]}, "event_params[].value", "STRUCT"),
        ({"items": {"item_id": "1"}}, "items", "[]"),
    ],
)
def test_a_flipped_type_in_json_names_file_column_and_expected_type(
    warehouse: Connection, folder: Path, fields: Row, column: str, expected: str
) -> None:
    write_json(folder / "events_20261029.json", [event("fine", day="20261029")])
    path = write_json(folder / "events_20261030.json", [event("bad", **fields)])
    with pytest.raises(SourceSchemaError) as caught:
        _pull(warehouse, folder)
    for part in (path.name, f"column {column} ", expected):
        assert part in str(caught.value)
    assert _names(warehouse) == ["fine"]


def test_an_all_empty_column_of_another_nesting_reads_as_null(
    warehouse: Connection, folder: Path
) -> None:
    write_parquet(
        folder / "events_20261030.parquet", [event("x", items=None)], {"items": "INTEGER"}
    )
    _pull(warehouse, folder)
    assert dicts_of(warehouse, "ga4_events")[0]["items"] is None


@pytest.mark.parametrize("ending", [".parquet", ".json"])
def test_a_missing_required_column_is_named(
    warehouse: Connection, folder: Path, ending: str
) -> None:
    row = event("page_view")
    del row["event_timestamp"]
    write = write_parquet if ending == ".parquet" else write_json
    write(folder / f"events_20261030{ending}", [row])
    with pytest.raises(SourceSchemaError, match=r"events_20261030.*event_timestamp"):
        _pull(warehouse, folder)


def test_a_value_never_gets_into_the_message(warehouse: Connection, folder: Path) -> None:
    secret = "asha.k@example.com"
    (folder / "events_20261030.json").write_text(f'{{"event_name": {{"a": "{secret}"', "utf-8")
    write_json(folder / "events_20261029.json", [event("x", event_timestamp=secret)])
    with pytest.raises(SourcePartialError) as caught:
        _pull(warehouse, folder)
    for error in (caught.value, *caught.value.causes):
        assert "asha" not in str(error)
        assert error.__cause__ is None
        assert error.__suppress_context__ or error.__context__ is None


@pytest.mark.parametrize(
    ("uri", "error", "part"),
    [
        ("{folder}/nowhere", SourceUnreachableError, "GA4_EXPORT_URI"),
        ("{folder}", SourceFileError, "events_YYYYMMDD"),
        ("s3://bucket/prefix", SourceConfigError, "bigquery://project/dataset"),
        ("bigquery://project", SourceConfigError, "bigquery://project/dataset"),
        ("", SourceConfigError, "GA4_EXPORT_URI"),
    ],
)
def test_a_wrong_place_is_one_clear_error(
    warehouse: Connection, folder: Path, uri: str, error: type[Exception], part: str
) -> None:
    (folder / "notes.json").write_text("{}", "utf-8")
    (folder / "events_2026.json").write_text("{}", "utf-8")
    (folder / "events_20269999.json").write_text("{}", "utf-8")
    with pytest.raises(error, match=part):
        _pull(warehouse, uri.format(folder=folder))


def test_two_files_for_one_table_are_refused(warehouse: Connection, folder: Path) -> None:
    write_json(folder / "events_20261030.json", [event("a")])
    write_json(folder / "events_20261030.json.gz", [event("b")])
    with pytest.raises(SourceConfigError, match=r"events_20261030\.json and"):
        _pull(warehouse, folder)


def test_an_unknown_table_is_refused_and_none_wanted_is_nothing_done(
    warehouse: Connection, folder: Path
) -> None:
    config = Ga4Config(uri=str(folder / "nowhere"))
    with pytest.raises(SourceConfigError, match="ga4_users"):
        pull(warehouse, config, as_of=NOON, tables=["ga4_users"])
    assert pull(warehouse, config, as_of=NOON, tables=[]) == []
    assert TABLES == ("ga4_events",)
