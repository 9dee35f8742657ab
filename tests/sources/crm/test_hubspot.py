from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.sources.crm import folder, hubspot
from orchestration.sources.crm.hubspot import HubSpotConfig
from orchestration.sources.errors import (
    SourceAuthError,
    SourceConfigError,
    SourceError,
    SourceSchemaError,
    SourceUnreachableError,
)
from orchestration.sources.landing import PullResult
from tests.sources.crm.hubspot_stand_in import TOKEN, HubSpotStandIn, iso, running_hubspot
from tests.sources.helpers import NOON, dicts_of, nobody_listening, snapshot

Connection = duckdb.DuckDBPyConnection
T0 = 1_790_000_000_000


@pytest.fixture
def account() -> Iterator[HubSpotStandIn]:
    with running_hubspot() as stand_in:
        yield stand_in


def _config(url: str, waits: list[float] | None = None, **changes: Any) -> HubSpotConfig:
    settings_: dict[str, Any] = {
        "access_token": TOKEN,
        "base_url": url,
        "requests_per_second": 0,
        "overlap": timedelta(0),
        "timeout_seconds": 30,
        "sleep": (waits if waits is not None else []).append,
    }
    return HubSpotConfig(**settings_ | changes)


def _pull(
    warehouse: Connection,
    account: HubSpotStandIn,
    *,
    as_of: datetime = NOON,
    waits: list[float] | None = None,
    **changes: Any,
) -> PullResult:
    (result,) = hubspot.pull(warehouse, _config(account.url, waits, **changes), as_of=as_of)
    return result


def _rows(warehouse: Connection) -> dict[str, dict[str, Any]]:
    return {row["contact_id"]: row for row in dicts_of(warehouse, "crm_contacts")}


def test_a_contact_arrives_in_the_columns_of_the_landing_table(
    warehouse: Connection, account: HubSpotStandIn
) -> None:
    account.save(
        7,
        T0,
        external_id="10001",
        firstname="आशा",
        phone="+91 98765 43210",
        email="",
        whatsapp_consent="true",
        sms_consent="FALSE",
        email_consent="opt_out",
        push_consent=None,
        hs_analytics_source="OFFLINE",
        createdate="2024-02-08T07:31:10.123Z",
    )
    result = _pull(warehouse, account)
    assert (result.rows_read, result.cursor) == (1, iso(T0))
    assert _rows(warehouse) == {
        "7": {
            "contact_id": "7",
            "external_id": "10001",
            "first_name": "आशा",
            "phone": "+91 98765 43210",
            "email": None,
            "whatsapp_consent": "opt_in",
            "sms_consent": "opt_out",
            "email_consent": "opt_out",
            "push_consent": None,
            "source": "OFFLINE",
            "created_at": "2024-02-08T07:31:10.123Z",
            "purged": False,
        }
    }


def test_the_first_pull_lists_all_pages_and_the_second_changes_nothing(
    warehouse: Connection, account: HubSpotStandIn
) -> None:
    account.list_page = 3
    for number in range(1, 11):
        account.save(number, T0 + number)
    assert _pull(warehouse, account).rows_written == 10
    before = snapshot(warehouse)
    account.requests.clear()
    assert not _pull(warehouse, account).has_changed
    assert snapshot(warehouse) == before
    assert account.requests == [
        "POST /crm/v3/objects/contacts/search",
        "GET /crm/v3/objects/contacts",
    ]


def test_more_changes_than_one_search_may_show_all_arrive(
    warehouse: Connection, account: HubSpotStandIn
) -> None:
    account.save(1, T0)
    _pull(warehouse, account)
    account.search_limit = 12
    for number in range(2, 60):
        account.save(number, T0 + 5 + number // 3)
    _pull(warehouse, account, page_size=5)
    assert len(_rows(warehouse)) == 59


def test_more_contacts_of_one_moment_than_one_search_may_show_all_arrive(
    warehouse: Connection, account: HubSpotStandIn
) -> None:
    account.save(1, T0)
    _pull(warehouse, account)
    account.search_limit = 12
    account.save(2, T0 + 1)
    for number in range(3, 60):
        account.save(number, T0 + 5)
    account.save(60, T0 + 6)
    account.save(61, T0 + 6)
    _pull(warehouse, account, page_size=5)
    assert len(_rows(warehouse)) == 61


def test_a_contact_modified_while_pages_are_read_hides_no_other(
    warehouse: Connection, account: HubSpotStandIn
) -> None:
    account.save(99, T0)
    _pull(warehouse, account)
    for number in range(1, 10):
        account.save(number, T0 + number)
    searches = iter(range(100))

    def touch() -> None:
        # Moves a contact that was read already to the end, and so all others one place forward.
        if next(searches) == 1:
            account.save(1, T0 + 50, firstname="Renamed")

    account.on_search = touch
    _pull(warehouse, account, page_size=3)
    assert len(_rows(warehouse)) == 10
    assert _rows(warehouse)["1"]["first_name"] == "Renamed"


@settings(
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    rounds=st.lists(
        st.lists(st.tuples(st.integers(1, 9), st.integers(0, 2)), max_size=9),
        min_size=1,
        max_size=4,
    ),
    page_size=st.integers(1, 4),
)
def test_raw_equals_the_account_after_any_changes_with_ties(
    account: HubSpotStandIn, rounds: list[list[tuple[int, int]]], page_size: int
) -> None:
    account.contacts.clear()
    clock = T0
    with duckdb.connect() as warehouse:
        for changes in rounds:
            for object_id, step in changes:
                clock += step
                account.save(object_id, clock, firstname=f"at {clock} of {len(changes)}")
            _pull(warehouse, account, page_size=page_size)
            assert {int(key): row["first_name"] for key, row in _rows(warehouse).items()} == {
                key: each.properties["firstname"] for key, each in account.contacts.items()
            }


def test_the_overlap_catches_what_the_index_showed_late(
    warehouse: Connection, account: HubSpotStandIn
) -> None:
    account.save(1, T0)
    _pull(warehouse, account)
    account.save(2, T0 - 60_000)
    _pull(warehouse, account)
    assert set(_rows(warehouse)) == {"1"}
    _pull(warehouse, account, overlap=timedelta(minutes=10))
    assert set(_rows(warehouse)) == {"1", "2"}


def test_an_archived_contact_is_purged_at_once_and_comes_back_when_restored(
    warehouse: Connection, account: HubSpotStandIn
) -> None:
    for number in (1, 2):
        account.save(number, T0, firstname="Asha", phone="98", email="a@b.in", external_id="5")
    _pull(warehouse, account)
    account.contacts[1].is_archived = True
    _pull(warehouse, account)
    row = _rows(warehouse)["1"]
    assert row["purged"] is True
    assert (row["first_name"], row["phone"], row["email"]) == (None, None, None)
    assert row["external_id"] == "5"
    assert _rows(warehouse)["2"]["purged"] is False
    account.contacts[1].is_archived = False
    _pull(warehouse, account, as_of=NOON + timedelta(days=1))
    assert _rows(warehouse)["1"]["purged"] is False
    assert _rows(warehouse)["1"]["first_name"] == "Asha"


def test_an_erased_contact_is_purged_with_the_next_whole_read(
    warehouse: Connection, account: HubSpotStandIn
) -> None:
    for number in (1, 2):
        account.save(number, T0, firstname="Asha", phone="98", email="a@b.in")
    _pull(warehouse, account)
    del account.contacts[1]
    _pull(warehouse, account, as_of=NOON + timedelta(hours=23))
    assert _rows(warehouse)["1"]["purged"] is False
    _pull(warehouse, account, as_of=NOON + timedelta(hours=24))
    row = _rows(warehouse)["1"]
    assert (row["purged"], row["first_name"], row["phone"], row["email"]) == (
        True,
        None,
        None,
        None,
    )
    before = snapshot(warehouse)
    assert not _pull(warehouse, account, as_of=NOON + timedelta(hours=24)).has_changed
    assert snapshot(warehouse) == before


def test_properties_of_another_name_are_mapped(
    warehouse: Connection, account: HubSpotStandIn
) -> None:
    account.save(1, T0, admin_user="10001")
    _pull(warehouse, account, properties={"external_id": "admin_user"})
    assert _rows(warehouse)["1"]["external_id"] == "10001"


def test_a_missing_property_is_named_and_nothing_changes(
    warehouse: Connection, account: HubSpotStandIn
) -> None:
    account.save(1, T0)
    _pull(warehouse, account)
    before = snapshot(warehouse)
    account.removed_properties = {"sms_consent"}
    account.save(2, T0 + 1)
    with pytest.raises(SourceSchemaError, match="no property sms_consent"):
        _pull(warehouse, account)
    assert snapshot(warehouse) == before


@pytest.mark.parametrize(
    "page",
    [
        {"contacts": []},
        {"results": [{"id": "1"}]},
        {"results": "none"},
        [],
        b"<html>a proxy's page for asha@example.com</html>",
    ],
    ids=["no results", "no properties", "text", "list", "html"],
)
def test_an_answer_of_another_shape_is_a_schema_error(
    warehouse: Connection, account: HubSpotStandIn, page: object
) -> None:
    account.answers = [(200, page, {})]
    with pytest.raises(SourceSchemaError) as caught:
        _pull(warehouse, account)
    assert "asha" not in str(caught.value)


@pytest.mark.parametrize("value", [{"a": 1}, 5, True])
def test_a_property_that_became_no_text_is_a_schema_error(
    warehouse: Connection, account: HubSpotStandIn, value: Any
) -> None:
    account.save(1, T0, phone=value)
    with pytest.raises(SourceSchemaError):
        _pull(warehouse, account)


def test_an_expired_token_says_which_one_to_renew_and_raw_stays(
    warehouse: Connection, account: HubSpotStandIn
) -> None:
    account.save(1, T0)
    _pull(warehouse, account)
    before = snapshot(warehouse)
    waits: list[float] = []
    with pytest.raises(SourceAuthError, match="renew HUBSPOT_ACCESS_TOKEN") as caught:
        _pull(warehouse, account, waits=waits, access_token="pat-expired-9999")
    assert "9999" not in str(caught.value)
    assert "9999" not in repr(_config(account.url, access_token="pat-expired-9999"))
    assert not caught.value.is_transient
    assert waits == []
    assert snapshot(warehouse) == before


@pytest.mark.parametrize(
    ("status", "body", "error", "part"),
    [
        (403, {"category": "MISSING_SCOPES"}, SourceAuthError, "crm.objects.contacts.read"),
        (429, {"policyName": "DAILY"}, SourceUnreachableError, "daily"),
        (400, {"category": "VALIDATION_ERROR"}, SourceConfigError, "400 VALIDATION_ERROR"),
        (404, b"not json", SourceConfigError, "404"),
    ],
)
def test_a_refusal_that_another_try_would_repeat_is_not_tried_again(
    warehouse: Connection,
    account: HubSpotStandIn,
    status: int,
    body: object,
    error: type[SourceError],
    part: str,
) -> None:
    account.answers = [(status, body, {})]
    with pytest.raises(error, match=part):
        _pull(warehouse, account)
    assert len(account.requests) == 1


def test_retry_after_is_honoured_and_other_hiccups_are_tried_again_with_growing_waits(
    warehouse: Connection, account: HubSpotStandIn
) -> None:
    account.save(1, T0)
    busy = {"policyName": "TEN_SECONDLY_ROLLING"}
    account.answers = [
        (429, busy, {"Retry-After": "7"}),
        (429, busy, {}),
        (502, b"bad gateway", {}),
        (423, {}, {}),
    ]
    waits: list[float] = []
    assert _pull(warehouse, account, waits=waits).rows_written == 1
    assert waits == [7.0, 10.0, 2.0, 4.0]


def test_a_server_that_only_fails_is_given_up_as_unreachable(
    warehouse: Connection, account: HubSpotStandIn
) -> None:
    account.answers = [(503, {}, {})] * 9
    with pytest.raises(SourceUnreachableError, match="answered 503, 3 times") as caught:
        _pull(warehouse, account, max_attempts=3)
    assert caught.value.is_transient
    assert len(account.requests) == 3


def test_a_server_that_is_not_there_is_unreachable(warehouse: Connection) -> None:
    with nobody_listening() as url, pytest.raises(SourceUnreachableError, match="did not answer"):
        hubspot.pull(warehouse, _config(url, max_attempts=2), as_of=NOON)


def test_a_failure_on_a_later_page_leaves_raw_as_it_was(
    warehouse: Connection, account: HubSpotStandIn
) -> None:
    account.list_page = 2
    for number in range(1, 7):
        account.save(number, T0)
    _pull(warehouse, account)
    before = snapshot(warehouse)
    for number in range(1, 7):
        account.save(number, T0 + number, firstname="New")

    def fail_from_the_third_search() -> None:
        if len(account.requests) >= 3:
            account.answers = [(401, {}, {})] * 9

    account.requests.clear()
    account.on_search = fail_from_the_third_search
    with pytest.raises(SourceAuthError):
        _pull(warehouse, account, page_size=2)
    assert snapshot(warehouse) == before


def test_searches_keep_the_pace_that_hubspot_allows(
    warehouse: Connection, account: HubSpotStandIn
) -> None:
    account.save(1, T0)
    _pull(warehouse, account)
    for number in range(2, 12):
        account.save(number, T0 + number)
    waits: list[float] = []
    _pull(warehouse, account, waits=waits, page_size=5, requests_per_second=0.01)
    searches = sum("search" in request for request in account.requests)
    assert searches > 2
    assert len(waits) == searches - 1
    assert all(90 < wait <= 100 for wait in waits)


def test_an_unknown_table_is_refused(warehouse: Connection, account: HubSpotStandIn) -> None:
    with pytest.raises(SourceConfigError, match="crm_messages"):
        hubspot.pull(warehouse, _config(account.url), as_of=NOON, tables=["crm_messages"])
    assert hubspot.pull(warehouse, _config(account.url), as_of=NOON, tables=[]) == []


def test_contacts_of_an_export_give_way_to_those_of_the_account_and_back(
    warehouse: Connection, account: HubSpotStandIn, tmp_path: Path
) -> None:
    columns = "contact_id,external_id,first_name,phone,email,whatsapp_consent,sms_consent,"
    columns += "email_consent,push_consent,source,created_at,purged"
    (tmp_path / "contacts.csv").write_text(f"{columns}\nold,,,,,,,,,,,false\n", "utf-8")
    config = folder.FolderConfig(folder=tmp_path)
    account.save(1, T0)
    for _ in range(2):
        folder.pull(warehouse, config, as_of=NOON, tables=["crm_contacts"])
        assert set(_rows(warehouse)) == {"old"}
        _pull(warehouse, account)
        assert set(_rows(warehouse)) == {"1"}
