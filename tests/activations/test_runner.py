from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from activations.channels.base import ChannelLimits
from activations.errors import LedgerUnavailableError, VolumeError
from activations.ledger import Ledger
from activations.ledger.schema import sync_rejections, sync_runs
from activations.outcomes import OutcomeClass
from activations.rows import MessageRow
from activations.runner import SendLimits, SendReport, record_decisions, send_messages
from activations.templates import Content
from activations.transport import HttpAnswer, HttpRequest, Patience
from tests.activations.provider import Fault, Provider, Received, Reply
from tests.activations.world import (
    CONTENT,
    HOUR,
    NOON,
    WIDE,
    accept_whatsapp,
    answer,
    clock,
    decision,
    record,
    row_of,
    settle_all,
    start,
    whatsapp,
)


def _send(ledger: Ledger, url: str, rows: list[MessageRow], **given: Any) -> SendReport:
    return send_messages(
        ledger,
        given.pop("channel", None) or whatsapp(url),
        rows,
        content=given.pop("content", CONTENT),
        run_as_of=NOON,
        clock=clock(given.pop("now", NOON)),
        **given,
    )


def _table(ledger: Ledger, table: Any) -> list[Any]:
    with ledger.engine.connect() as connection:
        return list(connection.execute(select(table)))


def _order(provider: Provider) -> list[str]:
    return [request.json()["biz_opaque_callback_data"] for request in provider.received]


def test_the_whole_way_from_decisions_to_sent(any_ledger: Ledger) -> None:
    decided = [decision(1), decision(2), decision(3, outcome="ghost", reason="control")]
    counts = record_decisions(any_ledger, decided, NOON, clock=clock())
    rows = [row_of(item) for item in decided[:2]]

    with Provider(accept_whatsapp) as provider:
        report = _send(any_ledger, provider.url, rows)

    assert counts.inserted == 3
    assert (report.status, report.counts.planned, report.counts.accepted) == ("ok", 2, 2)
    [run] = _table(any_ledger, sync_runs)
    assert (run.destination, run.kind, run.status, run.accepted) == (
        "whatsapp",
        "messages",
        "ok",
        2,
    )
    assert run.finished_at == NOON


def test_a_second_run_with_the_same_rows_sends_nothing(any_ledger: Ledger) -> None:
    rows = record(any_ledger, [decision(number) for number in range(5)])
    with Provider(accept_whatsapp) as provider:
        _send(any_ledger, provider.url, rows)
        report = _send(any_ledger, provider.url, rows)

    assert len(provider.received) == 5
    assert report.counts.accepted == 0
    assert report.refused == {"already_handled": 5}
    assert report.status == "ok"


def test_no_rows_make_no_request_and_an_empty_run(ledger: Ledger) -> None:
    with Provider(accept_whatsapp) as provider:
        report = _send(ledger, provider.url, [])

    assert provider.received == []
    assert report.status == "ok"


def test_the_most_urgent_go_first_and_a_row_listed_twice_goes_once(ledger: Ledger) -> None:
    rows = record(
        ledger,
        [
            decision(1, priority=30),
            decision(2, priority=88),
            decision(3, priority=30, due_at=NOON - HOUR),
        ],
    )
    one = whatsapp("http://x", ChannelLimits(max_in_flight=1, per_second=1e6, burst=1e6))
    with Provider(accept_whatsapp) as provider:
        one = whatsapp(provider.url, ChannelLimits(max_in_flight=1, per_second=1e6, burst=1e6))
        _send(ledger, provider.url, [*rows, *rows], channel=one)

    assert _order(provider) == ["i0002", "i0003", "i0001"]


def test_more_than_the_absolute_maximum_sends_nothing_and_says_what_to_do(ledger: Ledger) -> None:
    rows = record(ledger, [decision(number) for number in range(4)])
    with Provider(accept_whatsapp) as provider:
        with pytest.raises(VolumeError, match="4 whatsapp messages are planned"):
            _send(ledger, provider.url, rows, limits=SendLimits(max_messages=3))

        assert provider.received == []
        assert [run.status for run in _table(ledger, sync_runs)] == ["stopped"]
        assert _send(ledger, provider.url, rows).counts.accepted == 4


def test_outside_the_allow_list_nobody_hears_anything(ledger: Ledger) -> None:
    rows = record(ledger, [decision(1), decision(2)])
    allowed = SendLimits(allowed_addresses=frozenset({rows[1].address}))
    with Provider(accept_whatsapp) as provider:
        report = _send(ledger, provider.url, rows, limits=allowed)

    assert _order(provider) == ["i0002"]
    assert report.refused == {"not_allowed": 1}
    assert rows[1].address not in repr(allowed)


def test_a_missing_template_stops_that_template_only(ledger: Ledger) -> None:
    decided = [decision(number, template_id="nope") for number in (1, 2)] + [decision(3)]
    rows = record(ledger, decided)
    with Provider(accept_whatsapp) as provider:
        report = _send(ledger, provider.url, rows)

    assert report.counts.accepted == 1
    assert report.refused == {"template_stopped": 2}
    assert report.status == "partial"
    assert "nope.en.yaml" in (report.detail or "")
    assert ledger.history("i0001") == [("planned", None, None)]
    assert len(_table(ledger, sync_rejections)) == 1


def test_a_template_the_provider_disabled_stops_that_template_only(ledger: Ledger) -> None:
    rows = record(
        ledger,
        [decision(number) for number in range(20)]
        + [decision(number, template_id="apv_1") for number in range(20, 30)],
    )

    def handler(request: Received) -> Reply:
        if request.json()["template"]["name"] == "apv_0_en":
            return Reply.of_json({"error": {"code": 132016}}, status=400)
        return accept_whatsapp(request)

    with Provider(handler) as provider:
        report = _send(ledger, provider.url, rows)

    assert report.counts.accepted == 10
    assert report.refused["template_stopped"] >= 10
    assert report.counts.retried + report.refused["template_stopped"] == 20


def test_twenty_equal_refusals_in_a_row_are_the_templates_fault(ledger: Ledger) -> None:
    rows = record(ledger, [decision(number) for number in range(100)])
    bad = Reply.of_json({"error": {"code": 132000}}, status=400)
    with Provider(lambda _: bad) as provider:
        report = _send(ledger, provider.url, rows)

    assert 20 <= report.counts.rejected < 40
    assert report.refused["template_stopped"] == 100 - report.counts.rejected
    assert "refusals in a row" in (report.detail or "")


def test_refusals_among_accepted_messages_stop_nothing(ledger: Ledger) -> None:
    rows = record(ledger, [decision(number) for number in range(100)])

    def handler(request: Received) -> Reply:
        number = int(request.json()["biz_opaque_callback_data"][1:])
        if number % 2:
            return Reply.of_json({"error": {"code": 131026}}, status=400)
        return accept_whatsapp(request)

    narrow = ChannelLimits(max_in_flight=2, per_second=1e6, burst=1e6)
    with Provider(handler) as provider:
        report = _send(ledger, provider.url, rows, channel=whatsapp(provider.url, narrow))

    assert (report.counts.accepted, report.counts.rejected) == (50, 50)


class _Moody:
    """A channel whose code has a bug for some rows."""

    name = "whatsapp"
    destination = "moody"
    limits = WIDE

    def __init__(self, url: str) -> None:
        self._good = whatsapp(url)

    def prepare(self, row: MessageRow, content: Content) -> HttpRequest:
        if row.customer_id == "c1":
            raise ZeroDivisionError(row.address)
        return self._good.prepare(row, content)

    def classify(self, answer: HttpAnswer) -> Any:
        if b"i0002" in answer.body:
            raise KeyError("surprise")
        return self._good.classify(answer)


def test_a_bug_on_one_row_costs_that_row_only_and_prints_no_address(ledger: Ledger) -> None:
    rows = record(ledger, [decision(1), decision(2), decision(3)])
    with Provider(accept_whatsapp) as provider:
        report = _send(ledger, provider.url, rows, channel=_Moody(provider.url))

    assert (report.counts.accepted, report.counts.unknown, report.counts.skipped) == (1, 1, 1)
    [rejection] = _table(ledger, sync_rejections)
    assert rejection.detail == "preparing the message failed with ZeroDivisionError"


def test_a_long_block_ends_the_run_and_the_rest_stays_planned(ledger: Ledger) -> None:
    rows = record(ledger, [decision(number) for number in range(10)])
    limited = Reply.of_json({"error": {"code": 80007}}, status=429, Retry_After="900")
    with Provider(lambda _: limited) as provider:
        report = _send(ledger, provider.url, rows, limits=SendLimits(max_wait_seconds=5))
        blocked = _send(ledger, provider.url, rows, limits=SendLimits(max_wait_seconds=5))

        assert report.counts.retried == 8
        assert report.refused == {"rate_limited": 2}
        assert report.status == "partial"
        # The others wait for their own time, the rest for the destination.
        assert blocked.refused == {"not_due": 8, "rate_limited": 2}
        assert len(provider.received) == 8


def test_a_slow_pace_sends_everything_in_one_run(ledger: Ledger) -> None:
    rows = record(ledger, [decision(number) for number in range(12)])
    slow = ChannelLimits(max_in_flight=4, per_second=200.0, burst=2.0)
    with Provider(accept_whatsapp) as provider:
        report = _send(ledger, provider.url, rows, channel=whatsapp(provider.url, slow))

    assert report.counts.accepted == 12


def test_progress_counts_up_to_everything(ledger: Ledger) -> None:
    rows = record(ledger, [decision(number) for number in range(30)])
    seen: list[tuple[int, int]] = []
    with Provider(accept_whatsapp) as provider:
        _send(
            ledger, provider.url, rows, on_progress=lambda done, total: seen.append((done, total))
        )

    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (30, 30)


def test_unknown_transactional_messages_join_a_later_run_by_themselves(ledger: Ledger) -> None:
    rows = record(ledger, [decision(purpose="transactional", template_id="pickup_0")])
    settle_all(ledger, start(ledger), rows, answer(OutcomeClass.UNKNOWN))
    with Provider(accept_whatsapp) as provider:
        early = _send(ledger, provider.url, [], now=NOON + timedelta(minutes=5))
        late = _send(ledger, provider.url, [], now=NOON + timedelta(minutes=20))

    assert (early.counts.planned, late.counts.accepted) == (0, 1)
    assert ledger.list_unknown() != []
    stored = ledger.intent("i0001")
    assert stored is not None
    assert (stored.outcome, stored.state) == ("sent", "accepted")


def test_a_cancelled_run_keeps_the_answers_it_has_and_leaves_the_rest_unknown(
    ledger: Ledger,
) -> None:
    rows = record(ledger, [decision(1), decision(2)])
    arrived = asyncio.Event()

    async def main(provider: Provider) -> None:
        from activations.runner import send_messages_async

        loop = asyncio.get_running_loop()
        provider.handler = lambda _: (loop.call_soon_threadsafe(arrived.set), Fault.HANG)[1]
        task = asyncio.create_task(
            send_messages_async(
                ledger,
                whatsapp(provider.url),
                rows,
                content=CONTENT,
                run_as_of=NOON,
                clock=clock(),
            )
        )
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with Provider(accept_whatsapp) as provider:
        asyncio.run(main(provider))

    assert [item.intent_key for item in ledger.list_unknown()] == ["i0001", "i0002"]
    [run] = _table(ledger, sync_runs)
    assert run.status == "failed"


class _BrokenLedger:
    """A ledger that becomes unreachable at its n-th settling."""

    def __init__(self, real: Ledger, *, at: int) -> None:
        self._real = real
        self._left = at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def settle_and_claim(self, *args: Any, **given: Any) -> Any:
        self._left -= 1
        if self._left == 0:
            raise LedgerUnavailableError("gone")
        return self._real.settle_and_claim(*args, **given)


def test_a_ledger_that_fails_under_way_loses_no_answer_and_sends_nothing_twice(
    ledger: Ledger,
) -> None:
    rows = record(ledger, [decision(number) for number in range(60)])
    broken: Any = _BrokenLedger(ledger, at=3)
    with Provider(accept_whatsapp) as provider:
        with pytest.raises(LedgerUnavailableError):
            _send(broken, provider.url, rows)
        _send(ledger, provider.url, rows)

        received = Counter(_order(provider))
    unknown = {item.intent_key for item in ledger.list_unknown()}
    assert max(received.values()) == 1
    assert set(received) | unknown == {row.intent_key for row in rows}
    assert len(unknown) <= WIDE.max_in_flight


_ANSWERS = st.sampled_from(["accept", "retry", "perm", "reset", "half", "stop", "hold"])


@settings(max_examples=15)
@given(script=st.lists(_ANSWERS, min_size=1, max_size=25), window=st.integers(1, 6))
def test_whatever_the_provider_does_every_message_is_accounted_for(
    script: list[str], window: int
) -> None:
    ledger = Ledger("sqlite://")
    rows = record(ledger, [decision(number) for number in range(len(script))])

    def handler(request: Received) -> Reply | Fault:
        number = int(request.json()["biz_opaque_callback_data"][1:])
        match script[number]:
            case "accept":
                return accept_whatsapp(request)
            case "reset":
                return Fault.RESET
            case "half":
                return Fault.HALF_ANSWER
            case kind:
                code = {"retry": 131016, "perm": 131008, "stop": 131042, "hold": 131049}[kind]
                return Reply.of_json({"error": {"code": code}}, status=400)

    limits = ChannelLimits(max_in_flight=window, per_second=1e6, burst=1e6)
    with Provider(handler) as provider:
        report = _send(
            ledger,
            provider.url,
            rows,
            channel=whatsapp(provider.url, limits),
            limits=SendLimits(patience=Patience(max_tries=1)),
        )

    counts = report.counts
    handled = counts.accepted + counts.rejected + counts.unknown + counts.retried
    assert handled == len(provider.received) == len(set(_order(provider)))
    assert handled + sum(report.refused.values()) == len(script)
    assert counts.unknown == len(ledger.list_unknown())
    ledger.close()
