from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import duckdb
import pytest

from orchestration.sources.errors import (
    SourceAuthError,
    SourceConfigError,
    SourceError,
    SourceFileError,
    SourceSchemaError,
    SourceUnreachableError,
)
from orchestration.sources.ga4 import Ga4Config, pull
from orchestration.sources.ga4.schema import EXPORT_COLUMNS
from orchestration.sources.landing import PullResult
from tests.sources.ga4.bigquery_stand_in import BigQueryStandIn, running_bigquery
from tests.sources.ga4.exports import event, param
from tests.sources.helpers import NOON, dicts_of, nobody_listening, snapshot

Connection = duckdb.DuckDBPyConnection


@pytest.fixture
def bigquery() -> Iterator[BigQueryStandIn]:
    with running_bigquery() as stand_in:
        yield stand_in


def _config(url: str, timeout_seconds: float = 30.0) -> Ga4Config:
    return Ga4Config(
        uri="bigquery://shop/analytics_1", endpoint=url, timeout_seconds=timeout_seconds
    )


def _pull(warehouse: Connection, bigquery: BigQueryStandIn, as_of: datetime = NOON) -> PullResult:
    (result,) = pull(warehouse, _config(bigquery.url), as_of=as_of)
    return result


def _names(warehouse: Connection) -> list[str]:
    return sorted(row["event_name"] for row in dicts_of(warehouse, "ga4_events"))


def test_nested_rows_arrive_as_bigquery_holds_them_over_many_pages(
    warehouse: Connection, bigquery: BigQueryStandIn
) -> None:
    bigquery.page_rows = 2
    rows = [
        event(
            "quote_viewed",
            second=second,
            event_params=[
                param("quote_value", int_value=7950),
                param("ratio", double_value=0.5),
                param("model", string_value="A54"),
            ],
            items=[{"item_id": "7", "price": 1.5, "item_params": [param("k", int_value=1)]}],
            is_active_user=True,
            device={"category": "mobile", "web_info": {"browser": "Chrome"}},
        )
        for second in range(5)
    ]
    bigquery.put("events_20261030", rows)
    bigquery.put("pseudonymous_users_20261030", rows)
    result = _pull(warehouse, bigquery)
    assert result.rows_written == 5
    assert bigquery.reads == ["events_20261030"] * 3
    assert bigquery.authorizations == {None}
    stored = dicts_of(warehouse, "ga4_events")
    assert [row["event_timestamp"] for row in stored] == [row["event_timestamp"] for row in rows]
    for want, have in zip(rows, stored, strict=True):
        assert [entry["key"] for entry in have["event_params"]] == ["quote_value", "ratio", "model"]
        assert have["event_params"][0]["value"]["int_value"] == 7950
        assert have["event_params"][1]["value"]["double_value"] == 0.5
        assert have["items"][0]["item_params"][0]["value"]["int_value"] == 1
        assert have["device"]["web_info"]["browser"] == "Chrome"
        assert have["is_active_user"] is True
        assert have["event_name"] == want["event_name"]


def test_an_endpoint_in_the_uri_is_the_same_as_one_in_the_config(
    warehouse: Connection, bigquery: BigQueryStandIn
) -> None:
    bigquery.put("events_20261030", [event("page_view")])
    config = Ga4Config(uri=f"bigquery://shop/analytics_1?endpoint={bigquery.url}")
    pull(warehouse, config, as_of=NOON)
    assert _names(warehouse) == ["page_view"]


def test_an_older_schema_and_an_unknown_column_load(
    warehouse: Connection, bigquery: BigQueryStandIn
) -> None:
    types = {
        **{name: EXPORT_COLUMNS[name] for name in ("event_date", "event_timestamp", "event_name")},
        "traffic_source": "STRUCT(source VARCHAR)",
        "brand_new": "VARCHAR",
    }
    bigquery.put(
        "events_20200101", [event("old", traffic_source={"source": "google"})], types=types
    )
    assert _pull(warehouse, bigquery).note == (
        "events_20200101: columns unknown to us, left out: brand_new"
    )
    (row,) = dicts_of(warehouse, "ga4_events")
    assert row["traffic_source"] == {"name": None, "medium": None, "source": "google"}
    assert row["user_id"] is None


def test_a_second_pull_changes_nothing_and_reads_only_what_still_streams(
    warehouse: Connection, bigquery: BigQueryStandIn
) -> None:
    bigquery.put("events_20261020", [event("old")])
    bigquery.put("events_20261030", [event("daily")])
    bigquery.put("events_intraday_20261031", [event("now")], is_streaming=True)
    _pull(warehouse, bigquery)
    before = snapshot(warehouse)
    bigquery.forget_reads()
    assert not _pull(warehouse, bigquery).has_changed
    assert snapshot(warehouse) == before
    assert bigquery.reads == ["events_intraday_20261031"]


def test_a_growing_intraday_table_is_followed_without_a_change_of_its_marks(
    warehouse: Connection, bigquery: BigQueryStandIn
) -> None:
    bigquery.put("events_intraday_20261031", [event("a")], is_streaming=True)
    _pull(warehouse, bigquery)
    bigquery.put(
        "events_intraday_20261031", [event("a"), event("b")], is_streaming=True, is_secret=True
    )
    _pull(warehouse, bigquery)
    assert _names(warehouse) == ["a", "b"]


def test_the_window_is_read_again_in_time_and_older_tables_when_they_changed(
    warehouse: Connection, bigquery: BigQueryStandIn
) -> None:
    for day in ("20261020", "20261021", "20261029", "20261030"):
        bigquery.put(f"events_{day}", [event("before")])
    _pull(warehouse, bigquery)
    for day in ("20261020", "20261029"):
        bigquery.put(f"events_{day}", [event(f"secret_{day}")], is_secret=True)
    bigquery.put("events_20261021", [event("stated_20261021")])
    bigquery.forget_reads()
    _pull(warehouse, bigquery, NOON + timedelta(hours=1))
    assert bigquery.reads == ["events_20261021"]
    _pull(warehouse, bigquery, NOON + timedelta(hours=6))
    assert _names(warehouse) == ["before", "before", "secret_20261029", "stated_20261021"]
    bigquery.forget_reads()
    _pull(warehouse, bigquery, NOON + timedelta(hours=7))
    assert bigquery.reads == []


def test_intraday_gives_way_to_the_daily_table(
    warehouse: Connection, bigquery: BigQueryStandIn
) -> None:
    bigquery.put("events_intraday_20261030", [event("early")], is_streaming=True)
    _pull(warehouse, bigquery)
    bigquery.put("events_20261030", [event("early"), event("late")])
    del bigquery.tables["events_intraday_20261030"]
    result = _pull(warehouse, bigquery)
    assert (result.rows_written, result.rows_removed) == (2, 1)
    assert _names(warehouse) == ["early", "late"]


def test_a_flipped_type_names_table_column_and_both_types(
    warehouse: Connection, bigquery: BigQueryStandIn
) -> None:
    bigquery.put("events_20261029", [event("fine")])
    bigquery.put(
        "events_20261030",
        [event("bad", event_timestamp="yesterday")],
        types={**EXPORT_COLUMNS, "event_timestamp": "VARCHAR"},
    )
    with pytest.raises(SourceSchemaError) as caught:
        _pull(warehouse, bigquery)
    for part in ("shop.analytics_1.events_20261030", "event_timestamp", "VARCHAR", "BIGINT"):
        assert part in str(caught.value)
    assert _names(warehouse) == ["fine"]


@pytest.mark.parametrize(
    ("failure", "error", "part"),
    [
        ((401, "authError"), SourceAuthError, "GOOGLE_APPLICATION_CREDENTIALS"),
        ((403, "accessDenied"), SourceAuthError, "Data Viewer"),
        ((403, "quotaExceeded"), SourceUnreachableError, "quota"),
        ((404, "notFound"), SourceConfigError, "GA4_EXPORT_URI"),
        ((400, "invalid"), SourceConfigError, "GA4_EXPORT_URI"),
    ],
)
def test_a_refusal_is_one_clear_error_and_raw_stays(
    warehouse: Connection,
    bigquery: BigQueryStandIn,
    failure: tuple[int, str],
    error: type[SourceError],
    part: str,
) -> None:
    bigquery.put("events_20261030", [event("page_view")])
    _pull(warehouse, bigquery)
    before = snapshot(warehouse)
    bigquery.failure = failure
    with pytest.raises(error) as caught:
        _pull(warehouse, bigquery)
    assert part in str(caught.value)
    assert "shop.analytics_1" in str(caught.value)
    assert caught.value.is_transient == (error is SourceUnreachableError)
    assert snapshot(warehouse) == before


def test_a_failure_half_way_keeps_what_was_loaded_and_the_old_rows(
    warehouse: Connection, bigquery: BigQueryStandIn
) -> None:
    for day in ("20261028", "20261029", "20261030"):
        bigquery.put(f"events_{day}", [event("old")])
    _pull(warehouse, bigquery)
    for day in ("20261028", "20261029", "20261030"):
        bigquery.put(f"events_{day}", [event("new")])
    bigquery.failure, bigquery.failing_path = (403, "accessDenied"), "events_20261029/data"
    with pytest.raises(SourceAuthError, match="events_20261029"):
        _pull(warehouse, bigquery)
    assert _names(warehouse) == ["new", "old", "old"]
    bigquery.failure = None
    _pull(warehouse, bigquery)
    assert _names(warehouse) == ["new", "new", "new"]


def test_a_server_that_is_not_there_is_unreachable(warehouse: Connection) -> None:
    with nobody_listening() as url, pytest.raises(SourceUnreachableError) as caught:
        pull(warehouse, _config(url, timeout_seconds=0.3), as_of=NOON)
    assert caught.value.is_transient
    assert "the next run tries again" in str(caught.value)


def test_a_dataset_without_an_export_says_so(
    warehouse: Connection, bigquery: BigQueryStandIn
) -> None:
    bigquery.put("something_else", [])
    with pytest.raises(SourceFileError, match="BigQuery link"):
        _pull(warehouse, bigquery)


def test_an_empty_table_is_a_day_without_events(
    warehouse: Connection, bigquery: BigQueryStandIn
) -> None:
    bigquery.put("events_20261030", [])
    assert _pull(warehouse, bigquery).rows_read == 0
    assert _names(warehouse) == []


def test_a_table_that_vanishes_between_listing_and_looking_is_passed_over(
    warehouse: Connection, bigquery: BigQueryStandIn
) -> None:
    bigquery.put("events_20261029", [event("there")])
    bigquery.put("events_20261030", [event("gone")])
    bigquery.failure, bigquery.failing_path = (404, "notFound"), "events_20261030"
    _pull(warehouse, bigquery)
    assert _names(warehouse) == ["there"]
