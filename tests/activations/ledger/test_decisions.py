from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import func, select

from activations.ledger import Ledger
from activations.ledger.schema import decision_history, intents
from activations.outcomes import OutcomeClass
from tests.activations.world import HOUR, NOON, answer, decision, record, settle_all, start


def _dump(ledger: Ledger) -> list[tuple[object, ...]]:
    with ledger.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(select(intents))] + [
            tuple(row) for row in connection.execute(select(decision_history))
        ]


def test_a_decision_is_recorded_with_one_row_of_history(any_ledger: Ledger) -> None:
    counts = any_ledger.record_decisions([decision()], run_as_of=NOON, now=NOON)

    assert counts.inserted == 1
    stored = any_ledger.intent("i0001")
    assert stored is not None
    assert (stored.outcome, stored.state, stored.due_at) == ("planned", "planned", NOON)
    assert any_ledger.history("i0001") == [("planned", None, None)]


def test_deciding_the_same_again_an_hour_later_changes_no_row(any_ledger: Ledger) -> None:
    decided = [decision(1), decision(2, outcome="held", reason="quiet_hours")]
    record(any_ledger, decided)
    before = _dump(any_ledger)

    later = [replace(item, decided_at=NOON + HOUR) for item in decided]
    counts = any_ledger.record_decisions(later, run_as_of=NOON + HOUR, now=NOON + HOUR)

    assert counts.unchanged == 2
    assert _dump(any_ledger) == before


def test_history_gets_a_row_only_when_outcome_reason_or_winner_changes(any_ledger: Ledger) -> None:
    first = decision(outcome="held", reason="cap")
    record(any_ledger, [first])
    record(any_ledger, [replace(first, priority=60)])
    record(any_ledger, [replace(first, priority=60, lost_to="pickup_reminder")])
    record(any_ledger, [decision()])

    assert any_ledger.history("i0001") == [
        ("held", "cap", None),
        ("held", "cap", "pickup_reminder"),
        ("planned", None, None),
    ]
    stored = any_ledger.intent("i0001")
    assert stored is not None
    assert stored.priority == 55


@pytest.mark.parametrize("final", ["ghost", "skipped"])
def test_a_final_outcome_is_never_decided_again(any_ledger: Ledger, final: str) -> None:
    record(any_ledger, [decision(outcome=final, reason="control")])

    counts = any_ledger.record_decisions([decision()], run_as_of=NOON, now=NOON)

    assert counts.protected == 1
    stored = any_ledger.intent("i0001")
    assert stored is not None
    assert stored.outcome == final


def test_a_sent_message_and_one_in_flight_are_left_alone(any_ledger: Ledger) -> None:
    rows = record(any_ledger, [decision(1), decision(2)])
    run = start(any_ledger)
    settle_all(any_ledger, run, rows[:1], answer(OutcomeClass.ACCEPTED))
    any_ledger.claim(rows[1:], channel="whatsapp", run=run, now=NOON)

    skipped = [decision(number, outcome="skipped", reason="cap") for number in (1, 2)]
    counts = any_ledger.record_decisions(skipped, run_as_of=NOON, now=NOON)

    assert counts.protected == 2
    assert [any_ledger.history(key)[-1][0] for key in ("i0001", "i0002")] == ["sent", "planned"]


def test_under_a_kill_switch_a_plan_is_recorded_as_held_once(any_ledger: Ledger) -> None:
    any_ledger.set_kill_switch("journey:abandoned_price_view", reason="bad copy", since=NOON)
    record(any_ledger, [decision()])
    record(any_ledger, [decision()], now=NOON + HOUR)

    assert any_ledger.history("i0001") == [("held", "kill_switch", None)]

    any_ledger.clear_kill_switch("journey:abandoned_price_view")
    record(any_ledger, [decision()], now=NOON + 2 * HOUR)
    assert any_ledger.history("i0001")[-1] == ("planned", None, None)


def test_a_retry_keeps_its_waiting_time_through_a_new_decision(any_ledger: Ledger) -> None:
    rows = record(any_ledger, [decision()])
    run = start(any_ledger)
    settle_all(any_ledger, run, rows, answer(OutcomeClass.RETRY, retry_after=7200.0))

    record(any_ledger, [decision(priority=70)], now=NOON + HOUR)

    refused = any_ledger.claim(rows, channel="whatsapp", run=run, now=NOON + HOUR).refused
    assert [refusal.reason for refusal in refused] == ["not_due"]
    claimed = any_ledger.claim(rows, channel="whatsapp", run=run, now=NOON + 2 * HOUR).claimed
    assert [item.attempt_no for item in claimed] == [2]


def test_a_new_address_does_not_inherit_the_waiting_time_of_the_old_one(
    any_ledger: Ledger,
) -> None:
    rows = record(any_ledger, [decision()])
    run = start(any_ledger)
    settle_all(any_ledger, run, rows, answer(OutcomeClass.RETRY, retry_after=7200.0))

    moved = record(any_ledger, [decision(address="+919800000999")])

    assert any_ledger.claim(moved, channel="whatsapp", run=run, now=NOON).claimed


def test_overdue_intents_the_warehouse_no_longer_lists_expire(any_ledger: Ledger) -> None:
    rows = record(any_ledger, [decision(1), decision(2, outcome="held", reason="cap"), decision(3)])
    run = start(any_ledger)
    any_ledger.claim(rows[1:], channel="whatsapp", run=run, now=NOON)
    late = NOON + 7 * HOUR

    assert any_ledger.expire_overdue(run_as_of=late, now=late) == 2
    assert any_ledger.expire_overdue(run_as_of=late, now=late) == 0
    assert [any_ledger.history(f"i000{number}")[-1] for number in (1, 2, 3)] == [
        ("skipped", "expired", None),
        ("skipped", "expired", None),
        ("planned", None, None),
    ]


def test_ten_thousand_decisions_are_recorded_in_chunks(ledger: Ledger) -> None:
    counts = ledger.record_decisions(
        (decision(number) for number in range(10_000)), run_as_of=NOON, now=NOON
    )

    assert counts.inserted == 10_000
    with ledger.engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(intents)) == 10_000
