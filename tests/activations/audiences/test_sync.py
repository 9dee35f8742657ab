from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from activations.audiences import AudienceLimits, AudienceReport, AudienceRow, sync_audience
from activations.audiences.meta_custom_audience import MetaAudienceConfig, MetaCustomAudience
from activations.audiences.normalise import hash_identifier
from activations.audiences.registry import DESTINATIONS, build_destination
from activations.errors import ConfigurationError, UnknownChannelError, VolumeError
from activations.ledger import Ledger
from activations.ledger.schema import sync_rejections, sync_runs
from activations.transport import Transport
from tests.activations.provider import Fault, Provider, Received, Reply
from tests.activations.world import HOUR, NOON, clock

_KEY = "meta:inactive_60"


class _Meta:
    """A custom audience that behaves: a set of (email, phone), bad rows counted."""

    def __init__(self) -> None:
        self.people: set[tuple[str, str]] = set()
        self.identifiers: set[str] = set()
        self.bad: set[str] = set()
        self.calls: list[tuple[str, int]] = []
        self.sessions: list[dict[str, Any]] = []
        self.script: list[Reply | Fault] = []

    def __call__(self, request: Received) -> Reply | Fault:
        document = request.json()
        assert document["payload"]["schema"] == ["EMAIL_SHA256", "PHONE_SHA256"]
        rows = [tuple(row) for row in document["payload"]["data"]]
        self.calls.append((request.method, len(rows)))
        self.sessions.append(document["session"])
        if self.script:
            return self.script.pop(0)
        invalid = 0
        for email, phone in rows:
            if email in self.bad:
                invalid += 1
                continue
            given = {value for value in (email, phone) if value}
            assert given
            if request.method == "POST":
                self.identifiers |= given
            else:
                self.identifiers -= given
        return Reply.of_json(
            {
                "audience_id": "77",
                "session_id": "1",
                "num_received": len(rows),
                "num_invalid_entries": invalid,
                "invalid_entry_samples": {},
            }
        )


def _h(text: str) -> str:
    return hash_identifier(text)


def _row(name: str, email: str | None = None, phone: str = "", salt: int = 0) -> AudienceRow:
    email = name if email is None else email
    digest = int.from_bytes(hash_identifier(f"{email}|{phone}|{salt}").encode()[:7], "big")
    return AudienceRow(
        member_key=name, email_sha256=_h(email), phone_sha256=_h(phone), payload_hash=digest
    )


@pytest.fixture
def meta() -> Iterator[tuple[_Meta, str]]:
    behaviour = _Meta()
    with Provider(behaviour) as provider:
        yield behaviour, provider.url


async def _no_sleep(_: float) -> None:
    await asyncio.sleep(0)


def _sync(ledger: Ledger, url: str, rows: Any, **given: Any) -> AudienceReport:
    config = MetaAudienceConfig(
        audience_id="77",
        access_token="meta-token",
        base_url=url,
        batch_size=given.pop("batch_size", 10_000),
        calls_per_second=1e6,
    )
    now: datetime = given.pop("now", NOON)
    return sync_audience(
        ledger,
        MetaCustomAudience(config),
        rows,
        audience_key=_KEY,
        run_as_of=now,
        clock=clock(now),
        engine=given.pop("engine", "duckdb-1"),
        canary_hash=given.pop("canary_hash", 42),
        transport=Transport(sleep=_no_sleep),
        **given,
    )


def _snapshot(ledger: Ledger) -> set[str]:
    return {member.member_key for member in ledger.read_audience(_KEY)}


def test_adds_updates_and_removes_follow_the_wish(any_ledger: Ledger, meta: Any) -> None:
    behaviour, url = meta
    _sync(any_ledger, url, [_row("a"), _row("b"), _row("c")])
    report = _sync(any_ledger, url, [_row("a"), _row("b", email="b2"), _row("d")])

    counts = report.counts
    assert (counts.added, counts.updated, counts.removed, report.unchanged) == (1, 1, 1, 1)
    assert behaviour.identifiers == {_h("a"), _h("b2"), _h("d")}
    assert _snapshot(any_ledger) == {"a", "b", "d"}
    assert report.status == "ok"


def test_nothing_changed_means_no_request(ledger: Ledger, meta: Any) -> None:
    behaviour, url = meta
    rows = [_row("a"), _row("b", phone="p")]
    _sync(ledger, url, rows)
    before = len(behaviour.calls)
    report = _sync(ledger, url, rows, now=NOON + HOUR)

    assert len(behaviour.calls) == before
    assert (report.calls, report.unchanged, report.status) == (0, 2, "ok")


def test_large_audiences_go_in_calls_of_the_batch_size_within_one_session(
    ledger: Ledger, meta: Any
) -> None:
    behaviour, url = meta
    _sync(ledger, url, [_row(str(number)) for number in range(25)], batch_size=10)

    assert behaviour.calls == [("POST", 10), ("POST", 10), ("POST", 5)]
    assert len({session["session_id"] for session in behaviour.sessions}) == 1
    assert [session["batch_seq"] for session in behaviour.sessions] == [1, 2, 3]
    assert [session["last_batch_flag"] for session in behaviour.sessions] == [False, False, True]
    assert {session["estimated_num_total"] for session in behaviour.sessions} == {25}


@settings(max_examples=25)
@given(bad=st.sets(st.integers(min_value=0, max_value=39), max_size=40), size=st.integers(5, 40))
def test_bad_rows_are_found_and_good_ones_are_kept(bad: set[int], size: int) -> None:
    ledger = Ledger("sqlite://")
    behaviour = _Meta()
    behaviour.bad = {_h(f"m{number}") for number in bad}
    with Provider(behaviour) as provider:
        rows = [_row(f"m{number}") for number in range(40)]
        report = _sync(ledger, provider.url, rows, batch_size=size)
        calls = len(behaviour.calls)
        again = _sync(ledger, provider.url, rows, batch_size=size, now=NOON + HOUR)

    good = {f"m{number}" for number in range(40) if number not in bad}
    assert _snapshot(ledger) == good
    assert (report.counts.added, report.counts.rejected) == (len(good), len(bad))
    assert (again.calls, again.postponed) == (0, len(bad))
    # Twice the logarithm of the batch for each bad row, and the batches themselves.
    assert calls <= -(-40 // size) + 6 * len(bad)
    with ledger.engine.connect() as connection:
        listed = Counter(connection.scalars(select(sync_rejections.c.row_key)))
    assert listed == Counter({f"{_KEY}:m{number}": 1 for number in bad})
    ledger.close()


def test_a_refused_row_is_tried_again_later_or_at_once_when_it_changed(
    ledger: Ledger, meta: Any
) -> None:
    behaviour, url = meta
    behaviour.bad = {_h("b")}
    _sync(ledger, url, [_row("a"), _row("b")])
    behaviour.bad = set()

    assert _sync(ledger, url, [_row("a"), _row("b")], now=NOON + HOUR).postponed == 1
    changed = [_row("a"), _row("b", email="b2")]
    assert _sync(ledger, url, changed, now=NOON + HOUR).counts.added == 1
    assert _sync(ledger, url, [_row("a"), _row("b")], now=NOON + 6 * HOUR).counts.updated == 1


def test_a_search_that_costs_too_much_blames_nobody_and_comes_back(
    ledger: Ledger, meta: Any
) -> None:
    behaviour, url = meta
    behaviour.bad = {_h("m3")}
    rows = [_row(f"m{number}") for number in range(32)]
    report = _sync(ledger, url, rows, limits=AudienceLimits(max_search_calls=2))

    assert report.counts.rejected == 0
    assert report.counts.added == 24
    assert report.left == 8
    assert report.status == "partial"
    assert _sync(ledger, url, rows).counts.added == 7


def test_what_is_no_hash_never_leaves_this_machine(ledger: Ledger, meta: Any) -> None:
    behaviour, url = meta
    naked = AudienceRow(
        member_key="a", email_sha256="asha@mail.example", phone_sha256="", payload_hash=1
    )
    report = _sync(ledger, url, [naked, _row("b")])

    assert (report.counts.added, report.counts.rejected) == (1, 1)
    assert behaviour.calls == [("POST", 1)]


def test_a_phone_shared_with_somebody_who_stays_is_not_taken_away(
    ledger: Ledger, meta: Any
) -> None:
    behaviour, url = meta
    _sync(ledger, url, [_row("a", phone="p"), _row("b", phone="p")])
    _sync(ledger, url, [_row("b", phone="p")])
    assert behaviour.identifiers == {_h("b"), _h("p")}

    _sync(ledger, url, [])
    assert behaviour.identifiers == set()
    assert _snapshot(ledger) == set()


def test_an_identifier_that_moved_to_another_person_is_there_in_the_end(
    ledger: Ledger, meta: Any
) -> None:
    behaviour, url = meta
    _sync(ledger, url, [_row("a", phone="p")])
    _sync(ledger, url, [_row("b", phone="p")])

    assert behaviour.identifiers == {_h("b"), _h("p")}
    assert [method for method, _ in behaviour.calls] == ["POST", "DELETE", "POST"]


def test_somebody_whose_everything_is_shared_leaves_without_a_request(
    ledger: Ledger, meta: Any
) -> None:
    behaviour, url = meta
    _sync(ledger, url, [_row("a", email="x"), _row("b", email="x")])
    calls = len(behaviour.calls)
    report = _sync(ledger, url, [_row("b", email="x")])

    assert (report.calls, report.counts.removed, len(behaviour.calls)) == (0, 1, calls)
    assert behaviour.identifiers == {_h("x")}


def test_an_added_identifier_alone_needs_no_removal(ledger: Ledger, meta: Any) -> None:
    behaviour, url = meta
    _sync(ledger, url, [_row("a")])
    _sync(ledger, url, [_row("a", phone="p")])

    assert [method for method, _ in behaviour.calls] == ["POST", "POST"]
    assert behaviour.identifiers == {_h("a"), _h("p")}


def test_a_changed_hash_function_sends_nobody_again(ledger: Ledger, meta: Any) -> None:
    behaviour, url = meta
    _sync(ledger, url, [_row("a"), _row("b"), _row("c")])
    calls = len(behaviour.calls)
    rehashed = [_row("a", salt=1), _row("b", email="b2", salt=1), _row("c", salt=1)]
    report = _sync(ledger, url, rehashed, engine="duckdb-2", canary_hash=43)

    assert report.rebaselined == 2
    assert report.counts.updated == 1
    assert behaviour.calls[calls:] == [("DELETE", 1), ("POST", 1)]
    assert ledger.read_audience_meta(_KEY) == ("duckdb-2", 43)


def test_a_failed_call_confirms_nothing_and_the_next_run_finishes(
    ledger: Ledger, meta: Any
) -> None:
    behaviour, url = meta
    rows = [_row(f"m{number}") for number in range(20)]
    ok = Reply.of_json({"num_received": 10, "num_invalid_entries": 0})
    token = Reply.of_json({"error": {"code": 190}}, status=401)
    behaviour.script = [ok, token]
    report = _sync(ledger, url, rows, batch_size=10)

    assert (report.status, report.counts.added, report.left) == ("stopped", 10, 10)
    assert "access token" in (report.detail or "")
    assert len(_snapshot(ledger)) == 10
    assert _sync(ledger, url, rows, batch_size=10).counts.added == 10


def test_a_change_whose_removal_failed_is_not_half_done(ledger: Ledger, meta: Any) -> None:
    behaviour, url = meta
    _sync(ledger, url, [_row("a")])
    behaviour.script = [Reply.of_json({"error": {"code": 2650}}, status=400)]
    report = _sync(ledger, url, [_row("a", email="a2")])

    assert (report.counts.updated, report.left, behaviour.calls[-1]) == (0, 1, ("DELETE", 1))
    assert _sync(ledger, url, [_row("a", email="a2")]).counts.updated == 1
    assert behaviour.identifiers == {_h("a2")}


@pytest.mark.parametrize("trouble", [*Fault, 1, 2, 4, 17, 80003, "garbled", "other rows"])
def test_what_passes_is_tried_again_because_repeating_is_harmless(
    ledger: Ledger, meta: Any, trouble: Any
) -> None:
    behaviour, url = meta
    match trouble:
        case Fault():
            behaviour.script = [trouble]
        case "garbled":
            behaviour.script = [Reply(body=b"{")]
        case "other rows":
            behaviour.script = [Reply.of_json({"num_received": 9, "num_invalid_entries": 0})]
        case code:
            behaviour.script = [Reply.of_json({"error": {"code": code}}, status=400)]
    limits = AudienceLimits(max_wait_seconds=100_000)
    report = _sync_unblocked(ledger, url, [_row("a")], limits=limits)

    assert (report.status, report.counts.added, report.calls) == ("ok", 1, 2)


def _sync_unblocked(ledger: Ledger, url: str, rows: Any, **given: Any) -> AudienceReport:
    """Sync with a real time that passes when somebody sleeps."""
    instant = [NOON]

    async def sleep(seconds: float) -> None:
        instant[0] += timedelta(seconds=seconds)

    config = MetaAudienceConfig(audience_id="77", access_token="t", base_url=url)
    return sync_audience(
        ledger,
        MetaCustomAudience(config),
        rows,
        audience_key=_KEY,
        run_as_of=NOON,
        clock=clock(),
        engine="duckdb-1",
        canary_hash=42,
        transport=Transport(sleep=sleep, wall=lambda: instant[0]),
        **given,
    )


@pytest.mark.parametrize(
    ("code", "subcode", "status"),
    [(190, None, 401), (200, None, 403), (100, None, 400), (100, 1713230, 400), (2650, None, 400)],
)
def test_what_does_not_pass_stops_the_run_after_one_call(
    ledger: Ledger, meta: Any, code: int, subcode: int | None, status: int
) -> None:
    behaviour, url = meta
    error = {"code": code, "error_subcode": subcode, "message": "m"}
    behaviour.script = [Reply.of_json({"error": error}, status=status)]
    report = _sync(ledger, url, [_row("a")])

    assert (report.status, report.calls, report.left) == ("stopped", 1, 1)
    with ledger.engine.connect() as connection:
        [run] = connection.execute(select(sync_runs))
    assert (run.kind, run.status, run.detail) == ("audience", "stopped", report.detail)


def test_the_time_an_account_stays_limited_is_read_from_its_header(
    ledger: Ledger, meta: Any
) -> None:
    behaviour, url = meta
    usage = json.dumps({"9": [{"type": "ads", "estimated_time_to_regain_access": 30}]})
    limited = Reply.of_json({"error": {"code": 80003}}, status=400, X_Business_Use_Case_Usage=usage)
    behaviour.script = [limited]
    report = _sync(ledger, url, [_row("a")])

    assert (report.status, report.calls) == ("stopped", 1)
    config = MetaAudienceConfig(audience_id="77", access_token="t", base_url=url)
    _, wait = ledger.take_tokens(
        MetaCustomAudience(config).rate, want=1, wall=datetime.now(tz=NOON.tzinfo)
    )
    assert 1700 < wait <= 1800


def test_an_empty_wish_does_not_empty_a_large_audience_unasked(ledger: Ledger, meta: Any) -> None:
    behaviour, url = meta
    rows = [_row(f"m{number}") for number in range(1200)]
    _sync(ledger, url, rows)
    calls = len(behaviour.calls)

    with pytest.raises(VolumeError, match="1200 of 1200"):
        _sync(ledger, url, [])
    assert len(behaviour.calls) == calls
    wanted = AudienceLimits(max_removed_share=1.0)
    assert _sync(ledger, url, [], limits=wanted).counts.removed == 1200


def test_the_call_on_the_wire_is_as_the_reference_says(ledger: Ledger) -> None:
    with Provider(_Meta()) as provider:
        _sync(ledger, provider.url, [_row("a", phone="919812345678")])
        [request] = provider.received

    assert (request.method, request.path) == ("POST", "/v25.0/77/users")
    assert request.headers["authorization"] == "Bearer meta-token"
    document = request.json()
    assert document["payload"] == {
        "schema": ["EMAIL_SHA256", "PHONE_SHA256"],
        "data": [[_h("a"), _h("919812345678")]],
    }
    assert 0 < document["session"]["session_id"] < 2**63


def test_the_registry_builds_what_it_lists_and_refuses_the_rest() -> None:
    config = MetaAudienceConfig(audience_id="77", access_token="meta-token")
    assert "meta-token" not in repr(config)
    assert list(DESTINATIONS) == ["meta_custom_audience"]
    assert build_destination("meta_custom_audience", config).name == "meta_custom_audience"
    with pytest.raises(UnknownChannelError, match="registered are meta_custom_audience"):
        build_destination("billboard", config)
    with pytest.raises(UnknownChannelError, match="MetaAudienceConfig"):
        build_destination("meta_custom_audience", object())
    with pytest.raises(ConfigurationError, match="token"):
        MetaCustomAudience(MetaAudienceConfig(audience_id="77", access_token=""))
    with pytest.raises(ConfigurationError, match="10000"):
        MetaCustomAudience(MetaAudienceConfig(audience_id="7", access_token="t", batch_size=10_001))
