"""The promise of the whole package, as a machine that tries to break it.

Several senders at once on one ledger, each claiming, handing over, settling, finishing or dying at
any moment; decisions, receipts, opt-outs and the passing of time in between. Whatever the order:
what a provider may have processed is handed over once, and nothing processed is forgotten.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from activations.guards import MAX_TRANSACTIONAL_ATTEMPTS
from activations.ledger import Ledger, SyncRun
from activations.outcomes import FINAL_OUTCOMES, OutcomeClass
from activations.rows import (
    ClaimedMessage,
    ConsentStatement,
    InboundEvent,
    MessageRow,
    RunCounts,
    Settlement,
)
from tests.activations.world import NOON, answer, decision, die, phone, row_of, start

# Few, so that senders meet over the same ones.
_PURPOSES = ("promotional", "promotional", "service", "transactional", "promotional", "service")
# These may also opt out or end as ghosts; the others stay, so that there is always work.
_FICKLE = st.sampled_from([4, 5])
_KEYS = st.integers(min_value=0, max_value=len(_PURPOSES) - 1)
# The provider processed the message, whatever we get to know of it.
_PROCESSED = (OutcomeClass.ACCEPTED, OutcomeClass.UNKNOWN)
_ANSWERS = st.sampled_from(
    [
        OutcomeClass.ACCEPTED,
        OutcomeClass.ACCEPTED,
        OutcomeClass.UNKNOWN,
        OutcomeClass.RETRY,
        OutcomeClass.HOLD,
        OutcomeClass.PERM,
        OutcomeClass.STOP,
    ]
)


@dataclass
class _Sender:
    """A run under way: what it claimed and has not handed over, and answers not yet written."""

    run: SyncRun
    waiting: list[ClaimedMessage]
    answers: list[Settlement] = field(default_factory=list)


class SendOnce(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger("sqlite://")
        self.now = NOON
        self.rows: dict[int, MessageRow] = {}
        self.senders: list[_Sender] = []
        self.processed: Counter[str] = Counter()
        self.finals: dict[str, str] = {}
        self.opted_out: set[str] = set()

    def teardown(self) -> None:
        self.ledger.close()

    @initialize()
    def everybody_is_planned(self) -> None:
        for number in range(len(_PURPOSES)):
            self._decide(number, "planned")

    @rule(number=_KEYS, outcome=st.sampled_from(["planned", "held"]))
    def decide_again(self, number: int, outcome: str) -> None:
        self._decide(number, outcome)

    @rule(number=_FICKLE)
    def decide_it_is_a_control(self, number: int) -> None:
        self._decide(number, "ghost")

    def _decide(self, number: int, outcome: str) -> None:
        decided = decision(
            number,
            purpose=_PURPOSES[number],
            outcome=outcome,
            reason=None if outcome == "planned" else "cap",
            latest_useful_at=NOON + timedelta(days=300),
        )
        self.ledger.record_decisions([decided], run_as_of=self.now, now=self.now)
        self.rows[number] = row_of(decided)

    @rule(hours=st.sampled_from([0.3, 30]))
    def time_passes(self, hours: float) -> None:
        self.now += timedelta(hours=hours)

    @precondition(lambda self: len(self.senders) < 3)
    @rule(verdicts=st.lists(_ANSWERS, min_size=1, max_size=4))
    def claim_and_hand_over_some(self, verdicts: list[OutcomeClass]) -> None:
        self.ledger.recover(now=self.now)
        run = start(self.ledger, now=self.now)
        again = self.ledger.list_resendable("whatsapp", now=self.now)
        batch = {row.intent_key: row for row in [*self.rows.values(), *again]}
        result = self.ledger.claim(list(batch.values()), channel="whatsapp", run=run, now=self.now)
        for item in result.claimed:
            assert batch[item.intent_key].address not in self.opted_out
        sender = _Sender(run=run, waiting=list(result.claimed))
        self.senders.append(sender)
        for verdict in verdicts[: len(sender.waiting)]:
            self._hand_over(sender, verdict)

    def _hand_over(self, sender: _Sender, verdict: OutcomeClass) -> None:
        item = sender.waiting.pop(0)
        if verdict in _PROCESSED:
            self.processed[item.intent_key] += 1
        sender.answers.append(
            Settlement(
                attempt_id=item.attempt_id,
                intent_key=item.intent_key,
                outcome=answer(verdict, retry_after=60.0),
            )
        )

    @precondition(lambda self: any(sender.waiting for sender in self.senders))
    @rule(data=st.data(), verdicts=st.lists(_ANSWERS, min_size=1, max_size=4))
    def hand_over_some(self, data: st.DataObject, verdicts: list[OutcomeClass]) -> None:
        busy = [sender for sender in self.senders if sender.waiting]
        sender = data.draw(st.sampled_from(busy))
        for verdict in verdicts[: len(sender.waiting)]:
            self._hand_over(sender, verdict)

    @precondition(lambda self: bool(self.senders))
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        sender = data.draw(st.sampled_from(self.senders))
        self.ledger.settle(sender.answers, run=sender.run, now=self.now)
        sender.answers = []

    @precondition(lambda self: bool(self.senders))
    @rule(data=st.data(), verdict=_ANSWERS)
    def finish(self, data: st.DataObject, verdict: OutcomeClass) -> None:
        sender = data.draw(st.sampled_from(self.senders))
        while sender.waiting:
            self._hand_over(sender, verdict)
        self.ledger.settle(sender.answers, run=sender.run, now=self.now)
        self.ledger.finish_run(sender.run, status="ok", counts=RunCounts(), now=self.now)
        self.senders.remove(sender)

    @precondition(lambda self: bool(self.senders))
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        sender = data.draw(st.sampled_from(self.senders))
        die(sender.run)
        self.senders.remove(sender)

    @rule(number=_FICKLE)
    def opt_out(self, number: int) -> None:
        statement = ConsentStatement(
            address=phone(number),
            channel="whatsapp",
            purpose="all",
            status="opt_out",
            source="stop_reply",
            stated_at=self.now,
            received_at=self.now,
        )
        self.ledger.record_statements([statement])
        self.opted_out.add(phone(number))

    @precondition(lambda self: bool(self.processed))
    @rule(data=st.data())
    def receipt(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.processed)))
        event = InboundEvent(
            event_id=f"{key}-{self.now}",
            channel="whatsapp",
            event="delivered",
            provider_message_id=f"wamid.{key}",
            intent_key=key,
            occurred_at=self.now,
            received_at=self.now,
        )
        self.ledger.record_events([event], now=self.now)
        stored = self.ledger.intent(key)
        assert stored is not None
        assert (stored.outcome, stored.reason) == ("sent", "sent")

    @invariant()
    def nothing_but_transactional_is_processed_twice(self) -> None:
        for key, times in self.processed.items():
            is_transactional = _PURPOSES[int(key[1:])] == "transactional"
            assert times <= (MAX_TRANSACTIONAL_ATTEMPTS if is_transactional else 1)

    @invariant()
    def a_final_outcome_stays(self) -> None:
        for row in self.rows.values():
            stored = self.ledger.intent(row.intent_key)
            assert stored is not None
            if row.intent_key in self.finals:
                assert stored.outcome == self.finals[row.intent_key]
            elif stored.outcome in FINAL_OUTCOMES:
                self.finals[row.intent_key] = stored.outcome

    @invariant()
    def nothing_processed_is_forgotten(self) -> None:
        """It is sent (perhaps unconfirmed), or a live sender still has it in its hands."""
        self.ledger.recover(now=self.now)
        in_hand = {item.intent_key for sender in self.senders for item in sender.answers}
        for key in set(self.processed) - in_hand:
            stored = self.ledger.intent(key)
            assert stored is not None
            assert stored.outcome == "sent"


# No shrinking: a failing sequence is short enough to read, and shrinking it takes minutes.
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


class TestSendOnce(SendOnce.TestCase):
    settings = settings(max_examples=60, stateful_step_count=20, phases=_PHASES, derandomize=True)


@pytest.mark.soak
class TestSendOnceForLong(SendOnce.TestCase):
    settings = settings(max_examples=500, stateful_step_count=50, phases=_PHASES)
