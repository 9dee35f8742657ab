from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest

from activations.errors import LedgerStateError
from activations.ledger import Ledger
from activations.outcomes import OutcomeClass
from activations.rows import ConsentStatement, MessageRow, RateLimit, Suppression
from tests.activations.world import (
    HOUR,
    NOON,
    answer,
    decision,
    phone,
    record,
    row_of,
    settle_all,
    start,
)


def _reasons(ledger: Ledger, rows: list[MessageRow], **given: Any) -> list[str]:
    result = ledger.claim(rows, channel="whatsapp", run=start(ledger), now=given.get("now", NOON))
    return ["claimed"] * len(result.claimed) + [str(item.reason) for item in result.refused]


def _statement(status: Any, at: Any, *, purpose: Any = "promotional", number: int = 1) -> Any:
    return ConsentStatement(
        address=phone(number),
        channel="whatsapp",
        purpose=purpose,
        status=status,
        source="stop_reply",
        stated_at=at,
        received_at=at,
    )


def test_a_claim_is_committed_before_it_is_returned(any_ledger_url: str) -> None:
    first, second = Ledger(any_ledger_url), Ledger(any_ledger_url)
    rows = record(first, [decision()])

    assert _reasons(first, rows) == ["claimed"]
    assert _reasons(second, rows) == ["already_handled"]

    seen = second.intent("i0001")
    assert seen is not None
    assert seen.state == "claimed"
    first.close()
    second.close()


def test_two_senders_at_once_claim_each_message_once(any_ledger_url: str) -> None:
    ledgers = [Ledger(any_ledger_url) for _ in range(3)]
    rows = record(ledgers[0], [decision(number) for number in range(60)])
    claimed: list[str] = []
    gate = threading.Barrier(3)

    def send(own: Ledger) -> None:
        run = start(own)
        gate.wait()
        for begin in range(0, 60, 10):
            result = own.claim(rows[begin : begin + 10], channel="whatsapp", run=run, now=NOON)
            claimed.extend(item.intent_key for item in result.claimed)

    threads = [threading.Thread(target=send, args=(own,)) for own in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for own in ledgers:
        own.close()

    assert sorted(claimed) == sorted(row.intent_key for row in rows)


def test_what_was_never_recorded_is_not_sent(any_ledger: Ledger) -> None:
    assert _reasons(any_ledger, [row_of(decision())]) == ["not_recorded"]


def test_a_row_of_an_older_decision_is_not_sent(any_ledger: Ledger) -> None:
    rows = record(any_ledger, [decision()])
    record(any_ledger, [decision(address=phone(77))])

    assert _reasons(any_ledger, rows) == ["stale_row"]


def test_a_message_not_due_yet_stays_planned(any_ledger: Ledger) -> None:
    rows = record(any_ledger, [decision(due_at=NOON + HOUR)])

    assert _reasons(any_ledger, rows) == ["not_due"]
    assert any_ledger.history("i0001") == [("planned", None, None)]


@pytest.mark.parametrize(("late", "expected"), [(0, "claimed"), (1, "expired")])
def test_nothing_is_sent_after_its_latest_useful_moment(
    any_ledger: Ledger, late: int, expected: str
) -> None:
    rows = record(any_ledger, [decision()])
    now = NOON + 6 * HOUR + timedelta(seconds=late)

    assert _reasons(any_ledger, rows, now=now) == [expected]


def test_an_opt_out_after_the_decision_stops_the_message(any_ledger: Ledger) -> None:
    rows = record(any_ledger, [decision()])
    any_ledger.record_statements([_statement("opt_out", NOON)])

    assert _reasons(any_ledger, rows) == ["consent_withdrawn"]
    assert any_ledger.history("i0001")[-1] == ("skipped", "consent_withdrawn", None)


def test_the_latest_statement_wins_and_at_one_instant_the_opt_out(any_ledger: Ledger) -> None:
    rows = record(any_ledger, [decision(1), decision(2)])
    any_ledger.record_statements(
        [
            _statement("opt_out", NOON - 2 * HOUR),
            _statement("opt_in", NOON - HOUR),
            _statement("opt_in", NOON - HOUR, number=2),
            _statement("opt_out", NOON - HOUR, number=2),
        ]
    )

    assert _reasons(any_ledger, rows) == ["claimed", "consent_withdrawn"]


def test_an_opt_in_the_warehouse_knows_outweighs_an_older_opt_out_here(any_ledger: Ledger) -> None:
    recorded = [decision(1), decision(2)]
    record(any_ledger, recorded)
    any_ledger.record_statements([_statement("opt_out", NOON, number=number) for number in (1, 2)])
    rows = [
        row_of(recorded[0], consent_at=NOON + timedelta(seconds=1)),
        row_of(recorded[1], consent_at=NOON),
    ]

    assert _reasons(any_ledger, rows) == ["claimed", "consent_withdrawn"]


@pytest.mark.parametrize(
    ("message", "statement", "expected"),
    [
        ("service", "promotional", "claimed"),
        ("service", "service", "consent_withdrawn"),
        ("service", "all", "consent_withdrawn"),
        ("transactional", "promotional", "claimed"),
        ("transactional", "all", "consent_withdrawn"),
        ("promotional", "service", "claimed"),
        ("promotional", "all", "consent_withdrawn"),
    ],
)
def test_an_opt_out_stops_the_purposes_it_names(
    any_ledger: Ledger, message: str, statement: str, expected: str
) -> None:
    rows = record(any_ledger, [decision(purpose=message)])
    any_ledger.record_statements([_statement("opt_out", NOON, purpose=statement)])

    assert _reasons(any_ledger, rows) == [expected]


@pytest.mark.parametrize(
    ("scope", "until", "purpose", "expected"),
    [
        ("all", None, "service", "suppressed"),
        ("promotional", None, "service", "claimed"),
        ("promotional", None, "promotional", "suppressed"),
        ("all", NOON, "promotional", "claimed"),
        ("all", NOON + HOUR, "promotional", "suppressed"),
    ],
)
def test_a_suppressed_address_is_not_tried(
    any_ledger: Ledger, scope: Any, until: Any, purpose: str, expected: str
) -> None:
    rows = record(any_ledger, [decision(purpose=purpose)])
    suppression = Suppression(
        address=phone(1),
        channel="whatsapp",
        scope=scope,
        reason="bounce",
        since=NOON - HOUR,
        until=until,
    )
    any_ledger.suppress([suppression], now=NOON)

    assert _reasons(any_ledger, rows) == [expected]


def test_a_customer_who_left_the_entry_hears_nothing_more_of_it(any_ledger: Ledger) -> None:
    rows = record(any_ledger, [decision(1), decision(2, entry_key="q1")])
    any_ledger.record_exit(
        journey_key="abandoned_price_view",
        entry_key="q1",
        customer_id="c1",
        exited_at=NOON,
        reason="order_placed",
    )

    assert _reasons(any_ledger, rows) == ["claimed", "exited"]


@pytest.mark.parametrize("scope", ["all", "journey:abandoned_price_view", "channel:whatsapp"])
def test_a_kill_switch_holds_what_is_already_planned(any_ledger: Ledger, scope: str) -> None:
    rows = record(any_ledger, [decision()])
    any_ledger.set_kill_switch(scope, reason="stop", since=NOON)

    assert _reasons(any_ledger, rows) == ["kill_switch"]
    assert any_ledger.history("i0001")[-1] == ("held", "kill_switch", None)


def test_a_kill_switch_that_matches_nothing_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerStateError, match="journey:KEY"):
        ledger.set_kill_switch("abandoned_price_view", reason="stop", since=NOON)


@pytest.mark.parametrize(("hours", "expected"), [(17, "duplicate_template"), (18, "claimed")])
def test_a_template_goes_to_an_address_once_in_18_hours(
    any_ledger: Ledger, hours: int, expected: str
) -> None:
    first = record(any_ledger, [decision(1)])
    settle_all(any_ledger, start(any_ledger), first, answer(OutcomeClass.ACCEPTED))
    later = NOON + hours * HOUR
    again = decision(2, address=phone(1), latest_useful_at=later)
    rows = record(any_ledger, [again], now=later)

    assert _reasons(any_ledger, rows, now=later) == [expected]


def test_of_two_messages_with_one_template_to_one_address_in_a_batch_one_goes(
    any_ledger: Ledger,
) -> None:
    rows = record(any_ledger, [decision(1), decision(2, address=phone(1))])

    assert _reasons(any_ledger, rows) == ["claimed", "duplicate_template"]


def test_a_rejected_attempt_does_not_count_as_the_same_template_again(any_ledger: Ledger) -> None:
    first = record(any_ledger, [decision(1)])
    settle_all(any_ledger, start(any_ledger), first, answer(OutcomeClass.PERM, error_code="100"))
    rows = record(any_ledger, [decision(2, address=phone(1))])

    assert _reasons(any_ledger, rows) == ["claimed"]


def test_only_as_many_are_claimed_as_there_are_rate_tokens(any_ledger: Ledger) -> None:
    rows = record(any_ledger, [decision(number) for number in range(5)])
    run = start(any_ledger)
    rate = RateLimit(destination="wa", per_second=2.0, burst=3.0)

    first = any_ledger.claim(rows, channel="whatsapp", run=run, now=NOON, rate=rate, wall=NOON)
    assert [len(first.claimed), len(first.postponed)] == [3, 2]
    assert first.wait_seconds == pytest.approx(0.5)

    left = rows[3:]
    soon = NOON + timedelta(seconds=0.5)
    second = any_ledger.claim(left, channel="whatsapp", run=run, now=NOON, rate=rate, wall=soon)
    assert [len(second.claimed), len(second.postponed)] == [1, 1]


def test_a_rate_without_the_real_instant_is_a_bug_that_is_named(ledger: Ledger) -> None:
    rows = record(ledger, [decision()])
    with pytest.raises(LedgerStateError, match="wall="):
        ledger.claim(
            rows,
            channel="whatsapp",
            run=start(ledger),
            now=NOON,
            rate=RateLimit(destination="wa", per_second=1, burst=1),
        )


def test_a_blocked_destination_grants_nothing_to_anybody(any_ledger: Ledger) -> None:
    rate = RateLimit(destination="wa", per_second=10.0, burst=10.0)
    any_ledger.block_destination("wa", seconds=30, wall=NOON)
    any_ledger.block_destination("wa", seconds=5, wall=NOON)

    assert any_ledger.take_tokens(rate, want=4, wall=NOON) == (0, 30.0)
    granted, _ = any_ledger.take_tokens(rate, want=4, wall=NOON + timedelta(seconds=31))
    assert granted == 4


def test_a_clock_that_runs_behind_creates_no_tokens(any_ledger: Ledger) -> None:
    rate = RateLimit(destination="wa", per_second=1.0, burst=2.0)

    assert any_ledger.take_tokens(rate, want=2, wall=NOON)[0] == 2
    assert any_ledger.take_tokens(rate, want=1, wall=NOON - HOUR)[0] == 0
    assert any_ledger.take_tokens(rate, want=1, wall=NOON)[0] == 0
    assert any_ledger.take_tokens(rate, want=1, wall=NOON + timedelta(seconds=1))[0] == 1
