from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from activations.ledger import Ledger
from activations.ledger.schema import attempts, retries, sync_rejections, sync_runs
from activations.outcomes import OutcomeClass, SuppressionScope
from activations.rows import InboundEvent, RunCounts, Settlement
from tests.activations.world import (
    HOUR,
    NOON,
    answer,
    decision,
    die,
    phone,
    record,
    settle_all,
    start,
)

_DAY = 86_400.0


def _state(ledger: Ledger, key: str = "i0001") -> tuple[str, str | None, str | None]:
    intent = ledger.intent(key)
    assert intent is not None
    return intent.outcome, intent.reason, intent.state


def _rows(ledger: Ledger, table: Any) -> list[Any]:
    with ledger.engine.connect() as connection:
        return list(connection.execute(select(table)))


def _receipt(key: str = "i0001", event: Any = "delivered", at: datetime = NOON) -> InboundEvent:
    return InboundEvent(
        event_id=f"{key}-{event}",
        channel="whatsapp",
        event=event,
        provider_message_id=f"wamid.{key}",
        intent_key=key,
        occurred_at=at,
        received_at=at,
    )


@pytest.mark.parametrize(
    ("verdict", "expected", "attempt"),
    [
        (OutcomeClass.ACCEPTED, ("sent", "sent", "accepted"), "accepted"),
        (OutcomeClass.UNKNOWN, ("sent", "unconfirmed", "unknown"), "unknown"),
        (OutcomeClass.PERM, ("skipped", "provider_rejected", "rejected"), "rejected"),
        (OutcomeClass.SUPPRESS, ("skipped", "provider_rejected", "rejected"), "rejected"),
        (OutcomeClass.RETRY, ("planned", None, "retry"), "retry"),
        (OutcomeClass.HOLD, ("planned", None, "retry"), "retry"),
        (OutcomeClass.STOP, ("planned", None, "planned"), "retry"),
    ],
)
def test_each_class_of_answer_leaves_the_intent_where_it_belongs(
    any_ledger: Ledger, verdict: OutcomeClass, expected: Any, attempt: str
) -> None:
    rows = record(any_ledger, [decision()])
    settle_all(any_ledger, start(any_ledger), rows, answer(verdict, error_code="7"))

    assert _state(any_ledger) == expected
    [stored] = _rows(any_ledger, attempts)
    assert stored.status == attempt
    assert stored.attempt_id == "i0001:1"


def test_an_accepted_message_keeps_the_providers_id_and_price(any_ledger: Ledger) -> None:
    rows = record(any_ledger, [decision()])
    verdict = answer(
        OutcomeClass.ACCEPTED, provider_message_id="wamid.1", http_status=200, cost=0.8631,
        currency="INR",
    )  # fmt: skip
    settle_all(any_ledger, start(any_ledger), rows, verdict)

    [stored] = _rows(any_ledger, attempts)
    assert (stored.provider_message_id, stored.cost, stored.currency) == ("wamid.1", 0.8631, "INR")
    assert any_ledger.find_intent_key("wamid.1") == "i0001"
    assert any_ledger.find_intent_key("wamid.2") is None


def test_retries_wait_longer_each_time_and_a_retry_after_is_never_undercut(
    any_ledger: Ledger,
) -> None:
    rows = record(any_ledger, [decision(latest_useful_at=NOON + 100 * HOUR)])
    run = start(any_ledger)
    now, waits = NOON, []
    for asked in (None, None, 5000.0):
        settle_all(any_ledger, run, rows, answer(OutcomeClass.RETRY, retry_after=asked), now=now)
        [retry] = _rows(any_ledger, retries)
        waits.append((retry.not_before - now).total_seconds())
        now = retry.not_before

    assert waits == [60.0, 120.0, 5000.0]
    assert retry.tries == 3


def test_a_bounded_retry_is_given_up_as_rejected(any_ledger: Ledger) -> None:
    rows = record(any_ledger, [decision()])
    run = start(any_ledger)
    for minutes in (0, 2):
        now = NOON + timedelta(minutes=minutes)
        settle_all(any_ledger, run, rows, answer(OutcomeClass.RETRY, max_tries=2), now=now)

    assert _state(any_ledger) == ("skipped", "provider_rejected", "rejected")
    assert _rows(any_ledger, retries) == []
    assert len(_rows(any_ledger, sync_rejections)) == 1


def test_a_hold_does_not_count_as_a_try_and_grows(any_ledger: Ledger) -> None:
    rows = record(any_ledger, [decision(latest_useful_at=NOON + 100 * HOUR)])
    run = start(any_ledger)
    held = answer(OutcomeClass.HOLD, retry_after=3600.0)
    settle_all(any_ledger, run, rows, held)
    settle_all(any_ledger, run, rows, held, now=NOON + HOUR)

    [retry] = _rows(any_ledger, retries)
    assert retry.tries == 0
    assert retry.not_before == NOON + 3 * HOUR


def test_a_stop_is_not_the_messages_fault_and_it_can_go_at_once_later(any_ledger: Ledger) -> None:
    rows = record(any_ledger, [decision()])
    run = start(any_ledger)
    settle_all(any_ledger, run, rows, answer(OutcomeClass.STOP, error_code="190"))

    assert any_ledger.claim(rows, channel="whatsapp", run=run, now=NOON).claimed
    [rejection] = _rows(any_ledger, sync_rejections)
    assert (rejection.row_key, rejection.error_class) == ("i0001", "STOP")


def test_a_suppressing_answer_suppresses_the_address_as_far_as_it_says(any_ledger: Ledger) -> None:
    rows = record(any_ledger, [decision()])
    verdict = answer(
        OutcomeClass.SUPPRESS, error_code="131050", suppress_scope=SuppressionScope.PROMOTIONAL
    )
    settle_all(any_ledger, start(any_ledger), rows, verdict)

    [suppression] = any_ledger.list_suppressions("whatsapp")
    assert suppression.address == phone(1)
    assert (suppression.scope, suppression.until) == ("promotional", None)
    assert suppression.reason == "provider:131050"
    assert any_ledger.lift_suppression(address=phone(1), channel="whatsapp", scope="promotional")


def test_an_undeliverable_address_is_suppressed_at_the_third_time(any_ledger: Ledger) -> None:
    verdict = answer(
        OutcomeClass.PERM, error_code="131026", suppress_after=3, suppress_for=30 * _DAY
    )
    run = start(any_ledger)
    seen = []
    for number in range(3):
        rows = record(any_ledger, [decision(number, address=phone(1))])
        settle_all(any_ledger, run, rows, verdict)
        seen.append(len(any_ledger.list_suppressions()))

    assert seen == [0, 0, 1]
    assert any_ledger.list_suppressions()[0].until == NOON + timedelta(days=30)


def test_unknowns_are_listed_until_a_receipt_settles_them(any_ledger: Ledger) -> None:
    rows = record(any_ledger, [decision(1), decision(2)])
    settle_all(any_ledger, start(any_ledger), rows, answer(OutcomeClass.UNKNOWN))
    assert [item.intent_key for item in any_ledger.list_unknown("whatsapp")] == ["i0001", "i0002"]

    landed = any_ledger.record_events([_receipt()], now=NOON + HOUR)

    assert landed == 1
    assert [item.intent_key for item in any_ledger.list_unknown()] == ["i0002"]
    assert _state(any_ledger) == ("sent", "sent", "accepted")
    assert any_ledger.find_intent_key("wamid.i0001") == "i0001"
    assert any_ledger.history("i0001") == [
        ("planned", None, None),
        ("sent", "unconfirmed", None),
        ("sent", "sent", None),
    ]


def test_a_failed_delivery_also_proves_that_the_message_was_handed_over(
    any_ledger: Ledger,
) -> None:
    rows = record(any_ledger, [decision()])
    settle_all(any_ledger, start(any_ledger), rows, answer(OutcomeClass.UNKNOWN))
    any_ledger.record_events([_receipt(event="failed")], now=NOON)

    assert _state(any_ledger) == ("sent", "sent", "accepted")


def test_an_opt_out_proves_no_hand_over(any_ledger: Ledger) -> None:
    rows = record(any_ledger, [decision()])
    settle_all(any_ledger, start(any_ledger), rows, answer(OutcomeClass.UNKNOWN))
    any_ledger.record_events([_receipt(event="opt_out")], now=NOON)

    assert _state(any_ledger) == ("sent", "unconfirmed", "unknown")


@pytest.mark.parametrize(
    "late", [OutcomeClass.UNKNOWN, OutcomeClass.PERM, OutcomeClass.RETRY, OutcomeClass.ACCEPTED]
)
def test_a_receipt_faster_than_our_own_answer_wins(any_ledger: Ledger, late: OutcomeClass) -> None:
    rows = record(any_ledger, [decision()])
    run = start(any_ledger)
    [claimed] = any_ledger.claim(rows, channel="whatsapp", run=run, now=NOON).claimed
    any_ledger.record_events([_receipt()], now=NOON)
    any_ledger.settle(
        [Settlement(attempt_id=claimed.attempt_id, intent_key="i0001", outcome=answer(late))],
        run=run,
        now=NOON,
    )

    assert _state(any_ledger) == ("sent", "sent", "accepted")
    assert any_ledger.find_intent_key("wamid.i0001") == "i0001"
    assert [row.status for row in _rows(any_ledger, attempts)] == ["accepted"]


def test_landing_the_same_webhook_twice_changes_nothing(any_ledger: Ledger) -> None:
    event = _receipt()
    assert any_ledger.record_events([event, event], now=NOON) == 1
    assert any_ledger.record_events([event], now=NOON) == 0


def test_claims_of_a_dead_run_become_unknown_and_are_never_sent_again(any_ledger: Ledger) -> None:
    rows = record(any_ledger, [decision()])
    dead = start(any_ledger)
    any_ledger.claim(rows, channel="whatsapp", run=dead, now=NOON)
    die(dead)

    assert any_ledger.recover(now=NOON) == ["i0001"]
    assert _state(any_ledger) == ("sent", "unconfirmed", "unknown")
    refused = any_ledger.claim(rows, channel="whatsapp", run=start(any_ledger), now=NOON).refused
    assert [item.reason for item in refused] == ["already_handled"]
    ended = {row.sync_run_id: row for row in _rows(any_ledger, sync_runs)}[dead.sync_run_id]
    assert (ended.status, ended.unknown) == ("failed", 1)


def test_a_live_run_is_not_recovered_even_from_another_connection(any_ledger_url: str) -> None:
    mine, other = Ledger(any_ledger_url), Ledger(any_ledger_url)
    rows = record(mine, [decision()])
    run = start(mine)
    mine.claim(rows, channel="whatsapp", run=run, now=NOON)

    assert other.recover(now=NOON + 1000 * HOUR) == []
    assert _state(other) == ("planned", None, "claimed")

    die(run)
    assert other.recover(now=NOON) == ["i0001"]
    mine.close()
    other.close()


def test_an_answer_settles_an_unknown_that_was_declared_too_early(any_ledger: Ledger) -> None:
    rows = record(any_ledger, [decision()])
    run = start(any_ledger)
    [claimed] = any_ledger.claim(rows, channel="whatsapp", run=run, now=NOON).claimed
    die(run)
    any_ledger.recover(now=NOON)

    accepted = answer(OutcomeClass.ACCEPTED, provider_message_id="wamid.1")
    any_ledger.settle(
        [Settlement(attempt_id=claimed.attempt_id, intent_key="i0001", outcome=accepted)],
        run=run,
        now=NOON,
    )
    assert _state(any_ledger) == ("sent", "sent", "accepted")


def test_finishing_a_run_leaves_no_claim_behind(any_ledger: Ledger) -> None:
    rows = record(any_ledger, [decision()])
    run = start(any_ledger)
    any_ledger.claim(rows, channel="whatsapp", run=run, now=NOON)
    any_ledger.finish_run(run, status="failed", counts=RunCounts(), now=NOON)

    assert _state(any_ledger) == ("sent", "unconfirmed", "unknown")
    assert any_ledger.recover(now=NOON) == []


@pytest.mark.parametrize("purpose", ["promotional", "service"])
def test_an_unknown_promotional_or_service_message_is_never_offered_again(
    any_ledger: Ledger, purpose: str
) -> None:
    rows = record(any_ledger, [decision(purpose=purpose)])
    run = start(any_ledger)
    settle_all(any_ledger, run, rows, answer(OutcomeClass.UNKNOWN))

    later = NOON + HOUR
    assert any_ledger.list_resendable("whatsapp", now=later) == []
    assert not any_ledger.claim(rows, channel="whatsapp", run=run, now=later).claimed


def test_an_unknown_transactional_message_may_go_again_after_a_quarter_of_an_hour(
    any_ledger: Ledger,
) -> None:
    rows = record(any_ledger, [decision(purpose="transactional")])
    run = start(any_ledger)
    settle_all(any_ledger, run, rows, answer(OutcomeClass.UNKNOWN))

    early, due = NOON + timedelta(minutes=14), NOON + timedelta(minutes=15)
    assert any_ledger.list_resendable("whatsapp", now=early) == []
    assert not any_ledger.claim(rows, channel="whatsapp", run=run, now=early).claimed
    again = any_ledger.list_resendable("whatsapp", now=due)
    assert [row.intent_key for row in again] == ["i0001"]

    settle_all(any_ledger, run, again, answer(OutcomeClass.PERM), now=due)
    # The first may have arrived: it is still sent, not skipped.
    assert _state(any_ledger) == ("sent", "unconfirmed", "unknown")


def test_transactional_tries_end_at_three(any_ledger: Ledger) -> None:
    rows = record(any_ledger, [decision(purpose="transactional")])
    run = start(any_ledger)
    for number in range(3):
        now = NOON + number * HOUR
        settle_all(any_ledger, run, rows, answer(OutcomeClass.UNKNOWN), now=now)

    assert any_ledger.list_resendable("whatsapp", now=NOON + 3 * HOUR) == []
    assert not any_ledger.claim(rows, channel="whatsapp", run=run, now=NOON + 3 * HOUR).claimed
