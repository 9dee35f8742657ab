"""What became of claimed messages: the provider's answers, receipts, and processes that died.

Belongs here: the pure rule from (what the ledger says, what the answer says) to what is written,
and the writing. Does not belong here: what a provider's code means (the channels).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from activations.backoff import BETWEEN_RUNS
from activations.ledger.schema import (
    attempts,
    decision_history,
    intents,
    retries,
    suppressions,
)
from activations.outcomes import (
    AttemptStatus,
    Outcome,
    OutcomeClass,
    Reason,
    SendOutcome,
    State,
)
from activations.rows import Settlement

# A HOLD whose table names no time.
_DEFAULT_HOLD_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one answer does to its attempt and intent.

    Attributes:
        attempt: New status of the attempt.
        outcome: New outcome of the intent; None leaves outcome and reason as they are.
        reason: New reason, with `outcome`.
        state: New state of the intent.
        retry_in: Seconds until the next try; None when there is none to be written.
        counts_as_try: The retry counts towards a bounded number of tries.
    """

    attempt: AttemptStatus
    outcome: Outcome | None = None
    reason: Reason | None = None
    state: State
    retry_in: float | None = None
    counts_as_try: bool = False


def plan_settlement(
    *,
    attempt_status: str,
    intent_outcome: str,
    intent_state: str | None,
    answer: SendOutcome,
    tries: int,
    holds: int,
) -> Verdict | None:
    """Decide what an answer changes.

    Args:
        attempt_status: Present status of the attempt.
        intent_outcome: Present outcome of the intent.
        intent_state: Present state of the intent.
        answer: The channel's verdict.
        tries: Counted tries before this one.
        holds: Times the provider asked to hold this message before.

    Returns:
        None when the ledger already knows better: a receipt proves the hand-over, and no lost or
        negative answer that comes later takes that back.
    """
    if attempt_status == AttemptStatus.ACCEPTED and answer.outcome is not OutcomeClass.ACCEPTED:
        return None
    if attempt_status in (AttemptStatus.REJECTED, AttemptStatus.RETRY):
        return None
    if intent_state == State.ACCEPTED and answer.outcome is not OutcomeClass.ACCEPTED:
        # A receipt proved an earlier attempt of this message while this one was under way.
        unanswered = answer.outcome is OutcomeClass.UNKNOWN
        return Verdict(
            attempt=AttemptStatus.UNKNOWN if unanswered else AttemptStatus.REJECTED,
            state=State.ACCEPTED,
        )
    match answer.outcome:
        case OutcomeClass.ACCEPTED:
            return Verdict(
                attempt=AttemptStatus.ACCEPTED,
                outcome=Outcome.SENT,
                reason=Reason.SENT,
                state=State.ACCEPTED,
            )
        case OutcomeClass.UNKNOWN:
            return Verdict(
                attempt=AttemptStatus.UNKNOWN,
                outcome=Outcome.SENT,
                reason=Reason.UNCONFIRMED,
                state=State.UNKNOWN,
            )
        case _:
            verdict = _plan_refused(answer, tries=tries, holds=holds)
    if intent_outcome == Outcome.SENT:
        # The second try of a transactional message failed. The first may have arrived, so the
        # intent is still what it was: sent, unconfirmed.
        return Verdict(attempt=verdict.attempt, state=State.UNKNOWN)
    return verdict


def _plan_refused(answer: SendOutcome, *, tries: int, holds: int) -> Verdict:
    rejected = Verdict(
        attempt=AttemptStatus.REJECTED,
        outcome=Outcome.SKIPPED,
        reason=Reason.PROVIDER_REJECTED,
        state=State.REJECTED,
    )
    match answer.outcome:
        case OutcomeClass.RETRY:
            if answer.max_tries is not None and tries + 1 >= answer.max_tries:
                return rejected
            wait = max(answer.retry_after or 0.0, BETWEEN_RUNS.wait(tries + 1))
            return Verdict(
                attempt=AttemptStatus.RETRY,
                state=State.RETRY,
                retry_in=wait,
                counts_as_try=True,
            )
        case OutcomeClass.HOLD:
            # Longer each time: a user's cap that still stands is not asked about every day.
            wait = (answer.retry_after or _DEFAULT_HOLD_SECONDS) * 2.0 ** min(holds, 6)
            return Verdict(attempt=AttemptStatus.RETRY, state=State.RETRY, retry_in=wait)
        case OutcomeClass.STOP:
            # Not this message's fault: it waits for the operator and then goes as planned.
            return Verdict(attempt=AttemptStatus.RETRY, state=State.PLANNED)
        case _:
            return rejected


def settle(
    connection: Connection,
    settlements: Sequence[Settlement],
    *,
    run_as_of: datetime,
    now: datetime,
) -> dict[str, Verdict]:
    """Write a batch of answers; see `Ledger.settle`. Returns the verdicts by attempt id."""
    if not settlements:
        return {}
    current = {
        row.attempt_id: row
        for row in connection.execute(
            select(
                attempts.c.attempt_id,
                attempts.c.status,
                intents.c.intent_key,
                intents.c.outcome,
                intents.c.reason,
                intents.c.state,
                intents.c.channel,
                intents.c.address,
                retries.c.tries,
            )
            .select_from(
                attempts.join(intents, intents.c.intent_key == attempts.c.intent_key).outerjoin(
                    retries, retries.c.intent_key == attempts.c.intent_key
                )
            )
            .where(attempts.c.attempt_id.in_([item.attempt_id for item in settlements]))
            .order_by(intents.c.intent_key)
            .with_for_update(of=[attempts, intents])
        )
    }
    holds = _count_holds(connection, settlements)
    writes = _Writes(run_as_of=run_as_of, now=now)
    verdicts: dict[str, Verdict] = {}
    for item in settlements:
        before = current[item.attempt_id]
        verdict = plan_settlement(
            attempt_status=before.status,
            intent_outcome=before.outcome,
            intent_state=before.state,
            answer=item.outcome,
            tries=before.tries or 0,
            holds=holds.get(item.intent_key, 0),
        )
        if verdict is None:
            continue
        verdicts[item.attempt_id] = verdict
        writes.add(before, verdict, item.outcome)
        if before.address is not None and (
            item.outcome.outcome is OutcomeClass.SUPPRESS
            or _has_failed_often(connection, before.address, before.channel, item.outcome)
        ):
            writes.suppress(before.address, before.channel, item.outcome)
    writes.apply(connection)
    return verdicts


def _count_holds(connection: Connection, settlements: Iterable[Settlement]) -> dict[str, int]:
    held = [item.intent_key for item in settlements if item.outcome.outcome is OutcomeClass.HOLD]
    if not held:
        return {}
    counted = (
        select(attempts.c.intent_key, func.count().label("number"))
        .where(attempts.c.intent_key.in_(held), attempts.c.error_class == OutcomeClass.HOLD)
        .group_by(attempts.c.intent_key)
    )
    return {row.intent_key: row.number for row in connection.execute(counted)}


def _has_failed_often(
    connection: Connection, address: str, channel: str, answer: SendOutcome
) -> bool:
    if answer.suppress_after is None:
        return False
    earlier = connection.scalar(
        select(func.count())
        .select_from(attempts.join(intents, intents.c.intent_key == attempts.c.intent_key))
        .where(
            intents.c.address == address,
            attempts.c.channel == channel,
            attempts.c.error_code == answer.error_code,
        )
    )
    # This answer is not written yet.
    return (earlier or 0) + 1 >= answer.suppress_after


class _Writes:
    """Collects the rows of one settle transaction, so that each table is written once."""

    def __init__(self, *, run_as_of: datetime | None, now: datetime) -> None:
        self._run_as_of = run_as_of
        self._now = now
        self._attempts: list[dict[str, Any]] = []
        self._intents: list[dict[str, Any]] = []
        self._history: list[dict[str, Any]] = []
        self._retries: list[dict[str, Any]] = []
        self._done: list[str] = []
        self._suppressions: list[dict[str, Any]] = []

    def add(self, before: Any, verdict: Verdict, answer: SendOutcome) -> None:
        failed = answer.outcome is not OutcomeClass.ACCEPTED
        self._attempts.append(
            {
                "key": before.attempt_id,
                "new_status": verdict.attempt.value,
                "new_message_id": answer.provider_message_id,
                "new_http_status": answer.http_status,
                "new_error_class": answer.outcome.value if failed else None,
                "new_error_code": answer.error_code,
                "new_error_detail": answer.error_detail,
                "new_cost": answer.cost,
                "new_currency": answer.currency,
            }
        )
        outcome = before.outcome if verdict.outcome is None else verdict.outcome.value
        reason = before.reason
        if verdict.outcome is not None:
            reason = None if verdict.reason is None else verdict.reason.value
        self._intents.append(
            {
                "key": before.intent_key,
                "new_outcome": outcome,
                "new_reason": reason,
                "new_state": verdict.state.value,
            }
        )
        if (outcome, reason) != (before.outcome, before.reason):
            self._history.append(
                {
                    "intent_key": before.intent_key,
                    "run_as_of": self._run_as_of or before.run_as_of,
                    "outcome": outcome,
                    "reason": reason,
                    "lost_to": None,
                    "decided_at": self._now,
                }
            )
        if verdict.retry_in is not None:
            self._retries.append(
                {
                    "intent_key": before.intent_key,
                    "not_before": self._now + timedelta(seconds=verdict.retry_in),
                    "tries": (before.tries or 0) + verdict.counts_as_try,
                    "error_class": answer.outcome.value,
                    "updated_at": self._now,
                }
            )
        elif before.tries is not None:
            self._done.append(before.intent_key)

    def suppress(self, address: str, channel: str, answer: SendOutcome) -> None:
        until = None
        if answer.suppress_for is not None:
            until = self._now + timedelta(seconds=answer.suppress_for)
        self._suppressions.append(
            {
                "address": address,
                "channel": channel,
                "scope": answer.suppress_scope.value,
                "reason": f"provider:{answer.error_code or answer.http_status}",
                "since": self._now,
                "until": until,
                "updated_at": self._now,
            }
        )

    def apply(self, connection: Connection) -> None:
        if not self._attempts:
            return
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        connection.execute(
            update(attempts)
            .where(attempts.c.attempt_id == bindparam("key"))
            .values(
                status=bindparam("new_status"),
                # A receipt may have brought the id before our own answer was written.
                provider_message_id=func.coalesce(
                    bindparam("new_message_id"), attempts.c.provider_message_id
                ),
                http_status=bindparam("new_http_status"),
                error_class=bindparam("new_error_class"),
                error_code=bindparam("new_error_code"),
                error_detail=bindparam("new_error_detail"),
                cost=bindparam("new_cost"),
                currency=bindparam("new_currency"),
                finished_at=self._now,
                updated_at=self._now,
            ),
            self._attempts,
        )
        changes = {
            "outcome": bindparam("new_outcome"),
            "reason": bindparam("new_reason"),
            "state": bindparam("new_state"),
            "updated_at": self._now,
        }
        if self._run_as_of is not None:
            changes["run_as_of"] = self._run_as_of
        connection.execute(
            update(intents).where(intents.c.intent_key == bindparam("key")).values(changes),
            self._intents,
        )
        if self._history:
            connection.execute(insert(decision_history), self._history)
        if self._retries:
            upsert = dialect.insert(retries)
            connection.execute(
                upsert.on_conflict_do_update(
                    index_elements=[retries.c.intent_key],
                    set_={
                        name: upsert.excluded[name]
                        for name in ("not_before", "tries", "error_class", "updated_at")
                    },
                ),
                self._retries,
            )
        if self._done:
            connection.execute(delete(retries).where(retries.c.intent_key.in_(self._done)))
        if self._suppressions:
            write_suppressions(connection, self._suppressions)


def write_suppressions(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Upsert suppressions; the earlier `since` and the later `until` stay."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    for row in rows:
        present = connection.execute(
            select(suppressions)
            .where(
                suppressions.c.address == row["address"],
                suppressions.c.channel == row["channel"],
                suppressions.c.scope == row["scope"],
            )
            .with_for_update()
        ).one_or_none()
        if present is not None:
            ends = [present.until, row["until"]]
            row = row | {
                "since": min(present.since, row["since"]),
                "until": None if None in ends else max(ends),
            }
            if (present.since, present.until, present.reason) == (
                row["since"],
                row["until"],
                row["reason"],
            ):
                continue
        upsert = dialect.insert(suppressions).values(row)
        connection.execute(
            upsert.on_conflict_do_update(
                index_elements=list(suppressions.primary_key),
                set_={
                    name: upsert.excluded[name]
                    for name in ("reason", "since", "until", "updated_at")
                },
            )
        )


def confirm(
    connection: Connection,
    intent_keys: Sequence[str],
    *,
    provider_message_ids: dict[str, str],
    now: datetime,
) -> int:
    """Settle hand-overs that a receipt proves; see `Ledger.confirm`."""
    rows = list(
        connection.execute(
            select(
                attempts.c.attempt_id,
                attempts.c.attempt_no,
                attempts.c.status,
                intents.c.intent_key,
                intents.c.outcome,
                intents.c.reason,
                intents.c.run_as_of,
                retries.c.tries,
            )
            .select_from(
                attempts.join(intents, intents.c.intent_key == attempts.c.intent_key).outerjoin(
                    retries, retries.c.intent_key == attempts.c.intent_key
                )
            )
            .where(
                attempts.c.intent_key.in_(list(intent_keys)),
                attempts.c.status.in_([AttemptStatus.CLAIMED, AttemptStatus.UNKNOWN]),
            )
            .order_by(intents.c.intent_key, attempts.c.attempt_no)
            .with_for_update(of=[attempts, intents])
        )
    )
    # Of several lost answers of one message (transactional only) the receipt proves one; which
    # one cannot be told, so the first is taken and the others stay as they are.
    first: dict[str, Any] = {}
    for row in rows:
        first.setdefault(row.intent_key, row)
    writes = _Writes(run_as_of=None, now=now)
    for row in first.values():
        writes.add(
            row,
            Verdict(
                attempt=AttemptStatus.ACCEPTED,
                outcome=Outcome.SENT,
                reason=Reason.SENT,
                state=State.ACCEPTED,
            ),
            SendOutcome(
                outcome=OutcomeClass.ACCEPTED,
                provider_message_id=provider_message_ids.get(row.intent_key),
            ),
        )
    writes.apply(connection)
    return len(first)


def abandon(
    connection: Connection, run_id: str, *, channel: str | None, now: datetime
) -> list[str]:
    """Turn the claims of a dead run into unknowns; see `Ledger.recover`."""
    query = (
        select(
            attempts.c.attempt_id,
            attempts.c.status,
            intents.c.intent_key,
            intents.c.outcome,
            intents.c.reason,
            intents.c.run_as_of,
            retries.c.tries,
        )
        .select_from(
            attempts.join(intents, intents.c.intent_key == attempts.c.intent_key).outerjoin(
                retries, retries.c.intent_key == attempts.c.intent_key
            )
        )
        .where(attempts.c.claimed_by == run_id, attempts.c.status == AttemptStatus.CLAIMED)
        .order_by(intents.c.intent_key)
        .with_for_update(of=[attempts, intents])
    )
    if channel is not None:
        query = query.where(attempts.c.channel == channel)
    rows = list(connection.execute(query))
    writes = _Writes(run_as_of=None, now=now)
    for row in rows:
        writes.add(
            row,
            Verdict(
                attempt=AttemptStatus.UNKNOWN,
                outcome=Outcome.SENT,
                reason=Reason.UNCONFIRMED,
                state=State.UNKNOWN,
            ),
            SendOutcome(
                outcome=OutcomeClass.UNKNOWN,
                error_code="abandoned",
                error_detail="the sending process ended before an answer came",
            ),
        )
    writes.apply(connection)
    return [row.intent_key for row in rows]
