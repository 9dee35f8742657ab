"""Claims: the promise, on disk before the provider is called, that nobody else will call it.

Belongs here: reading the facts of a batch, judging them with `activations.guards`, and writing
claims and refusals, in the caller's one transaction. Does not belong here: the rules themselves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from activations.erasure.identifiers import KeyedHash
from activations.guards import (
    DUPLICATE_TEMPLATE_WINDOW,
    ClaimFacts,
    find_kill_switch,
    plan_claim,
)
from activations.ledger import erasures
from activations.ledger.database import lock_for_transaction
from activations.ledger.rates import take
from activations.ledger.schema import (
    attempts,
    consent_statements,
    decision_history,
    entry_exits,
    intents,
    kill_switches,
    retries,
    suppressions,
)
from activations.outcomes import AttemptStatus, Outcome, Reason, State
from activations.rows import (
    ClaimedMessage,
    ClaimResult,
    ConsentStatement,
    Intent,
    MessageRow,
    RateLimit,
    Refusal,
    RowFault,
    Suppression,
)

# An attempt in one of these may have reached the customer.
_MAY_HAVE_ARRIVED = (AttemptStatus.CLAIMED, AttemptStatus.ACCEPTED, AttemptStatus.UNKNOWN)


def claim(
    connection: Connection,
    rows: Sequence[MessageRow],
    *,
    channel: str,
    run_id: str,
    run_as_of: datetime,
    now: datetime,
    rate: RateLimit | None,
    wall: datetime,
    keyed: KeyedHash | None = None,
) -> ClaimResult:
    """Claim what may be sent; see `Ledger.claim`."""
    # Claims of one channel take turns (milliseconds each): two senders side by side must not both
    # find that a template has not yet gone to an address.
    lock_for_transaction(connection, f"claim:{channel}")
    facts, recorded, sent = _read_facts(connection, rows, channel=channel, now=now, keyed=keyed)
    claimable: list[MessageRow] = []
    refusals: list[Refusal] = []
    for row in rows:
        key = row.intent_key
        already = sent[row.address, row.template_id]
        refusal = plan_claim(
            recorded.get(key),
            row,
            replace(facts[key], sent_recently=bool(already - {key})),
            channel=channel,
            now=now,
        )
        if refusal is not None:
            refusals.append(refusal)
            continue
        claimable.append(row)
        already.add(key)
    granted, wait = len(claimable), 0.0
    if rate is not None and claimable:
        granted, wait = take(connection, rate, want=len(claimable), wall=wall)
    chosen, postponed = claimable[:granted], claimable[granted:]
    _write_claims(
        connection,
        chosen,
        facts,
        channel=channel,
        run_id=run_id,
        run_as_of=run_as_of,
        now=now,
    )
    write_refusals(connection, refusals, recorded, run_as_of=run_as_of, now=now)
    return ClaimResult(
        claimed=tuple(
            ClaimedMessage(
                attempt_id=_attempt_id(row.intent_key, facts[row.intent_key]),
                attempt_no=facts[row.intent_key].attempts + 1,
                intent_key=row.intent_key,
            )
            for row in chosen
        ),
        refused=tuple(refusals),
        postponed=tuple(row.intent_key for row in postponed),
        wait_seconds=wait,
    )


def _read_facts(
    connection: Connection,
    rows: Sequence[MessageRow],
    *,
    channel: str,
    now: datetime,
    keyed: KeyedHash | None,
) -> tuple[dict[str, ClaimFacts], dict[str, Intent], defaultdict[tuple[str, str], set[str]]]:
    keys = [row.intent_key for row in rows]
    addresses = sorted({row.address for row in rows})
    recorded = {
        row.intent_key: Intent(**row._mapping)
        for row in connection.execute(
            select(intents).where(intents.c.intent_key.in_(keys)).with_for_update(skip_locked=True)
        )
    }
    not_before: dict[str, datetime] = {
        row.intent_key: row.not_before
        for row in connection.execute(select(retries).where(retries.c.intent_key.in_(keys)))
    }
    made: dict[str, Row[Any]] = {
        row.intent_key: row
        for row in connection.execute(
            select(
                attempts.c.intent_key,
                func.max(attempts.c.attempt_no).label("last_no"),
                func.max(attempts.c.claimed_at).label("last_at"),
            )
            .where(attempts.c.intent_key.in_(keys))
            .group_by(attempts.c.intent_key)
        )
    }
    statements: dict[str, list[ConsentStatement]] = defaultdict(list)
    for row in connection.execute(
        select(
            consent_statements.c.address,
            consent_statements.c.channel,
            consent_statements.c.purpose,
            consent_statements.c.status,
            consent_statements.c.source,
            consent_statements.c.stated_at,
            consent_statements.c.received_at,
        ).where(
            consent_statements.c.channel == channel, consent_statements.c.address.in_(addresses)
        )
    ):
        statements[row.address].append(ConsentStatement(**row._mapping))
    suppressed: dict[str, list[Suppression]] = defaultdict(list)
    for row in connection.execute(
        select(
            suppressions.c.address,
            suppressions.c.channel,
            suppressions.c.scope,
            suppressions.c.reason,
            suppressions.c.since,
            suppressions.c.until,
        ).where(suppressions.c.channel == channel, suppressions.c.address.in_(addresses))
    ):
        suppressed[row.address].append(Suppression(**row._mapping))
    exits = {
        tuple(row)
        for row in connection.execute(
            select(
                entry_exits.c.journey_key, entry_exits.c.entry_key, entry_exits.c.customer_id
            ).where(entry_exits.c.entry_key.in_(sorted({row.entry_key for row in rows})))
        )
    }
    switches = list(connection.scalars(select(kill_switches.c.scope)))
    erased: dict[str, datetime] = {}
    if erasures.check_key(connection, keyed) and keyed is not None:
        erased = erasures.erased_at(connection, addresses, keyed)
    sent: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for row in connection.execute(
        select(intents.c.address, intents.c.template_id, intents.c.intent_key)
        .join(attempts, attempts.c.intent_key == intents.c.intent_key)
        .where(
            intents.c.address.in_(addresses),
            intents.c.template_id.in_(sorted({row.template_id for row in rows})),
            intents.c.channel == channel,
            attempts.c.status.in_(_MAY_HAVE_ARRIVED),
            attempts.c.claimed_at > now - DUPLICATE_TEMPLATE_WINDOW,
        )
    ):
        sent[row.address, row.template_id].add(row.intent_key)
    facts = {
        row.intent_key: ClaimFacts(
            statements=statements.get(row.address, ()),
            suppressions=suppressed.get(row.address, ()),
            has_exited=(row.journey_key, row.entry_key, row.customer_id) in exits,
            kill_switch=find_kill_switch(switches, journey_key=row.journey_key, channel=channel),
            not_before=not_before.get(row.intent_key),
            attempts=made[row.intent_key].last_no if row.intent_key in made else 0,
            last_claimed_at=made[row.intent_key].last_at if row.intent_key in made else None,
            erased_at=erased.get(row.address),
        )
        for row in rows
    }
    return facts, recorded, sent


def _attempt_id(intent_key: str, facts: ClaimFacts) -> str:
    return f"{intent_key}:{facts.attempts + 1}"


def _write_claims(
    connection: Connection,
    rows: Sequence[MessageRow],
    facts: dict[str, ClaimFacts],
    *,
    channel: str,
    run_id: str,
    run_as_of: datetime,
    now: datetime,
) -> None:
    if not rows:
        return
    connection.execute(
        insert(attempts),
        [
            {
                "attempt_id": _attempt_id(row.intent_key, facts[row.intent_key]),
                "intent_key": row.intent_key,
                "attempt_no": facts[row.intent_key].attempts + 1,
                "channel": channel,
                "run_as_of": run_as_of,
                "claimed_by": run_id,
                "claimed_at": now,
                "status": AttemptStatus.CLAIMED.value,
                "updated_at": now,
            }
            for row in rows
        ],
    )
    connection.execute(
        update(intents)
        .where(intents.c.intent_key.in_([row.intent_key for row in rows]))
        .values(state=State.CLAIMED.value, run_as_of=run_as_of, updated_at=now)
    )


def write_refusals(
    connection: Connection,
    refusals: Iterable[Refusal],
    recorded: dict[str, Intent],
    *,
    run_as_of: datetime,
    now: datetime,
) -> None:
    """Write the refusals that change an intent: skipped for good, or held."""
    changed = [
        refusal
        for refusal in refusals
        if refusal.intent_key in recorded
        and refusal.outcome != recorded[refusal.intent_key].outcome
        # A transactional message sent once already stays sent, whatever forbids its second try.
        and recorded[refusal.intent_key].outcome != Outcome.SENT
    ]
    if not changed:
        return
    connection.execute(
        update(intents)
        .where(intents.c.intent_key == bindparam("key"))
        .values(
            outcome=bindparam("new_outcome"),
            reason=bindparam("new_reason"),
            lost_to=None,
            state=None,
            run_as_of=run_as_of,
            updated_at=now,
        ),
        [
            {
                "key": refusal.intent_key,
                "new_outcome": str(refusal.outcome),
                "new_reason": str(refusal.reason),
            }
            for refusal in changed
        ],
    )
    connection.execute(
        insert(decision_history),
        [
            {
                "intent_key": refusal.intent_key,
                "run_as_of": run_as_of,
                "outcome": str(refusal.outcome),
                "reason": str(refusal.reason),
                "lost_to": None,
                "decided_at": now,
            }
            for refusal in changed
        ],
    )
    connection.execute(
        delete(retries).where(
            retries.c.intent_key.in_(
                [item.intent_key for item in changed if item.outcome == Outcome.SKIPPED]
            )
        )
    )


def skip_faulty(
    connection: Connection, faults: Sequence[RowFault], *, run_as_of: datetime, now: datetime
) -> set[str]:
    """End intents whose rows can never be sent; see `Ledger.skip_faulty`. Returns their keys."""
    recorded = {
        row.intent_key: Intent(**row._mapping)
        for row in connection.execute(
            select(intents)
            .where(
                intents.c.intent_key.in_([fault.intent_key for fault in faults]),
                intents.c.outcome == Outcome.PLANNED,
                intents.c.state.in_([State.PLANNED, State.RETRY]),
            )
            .with_for_update()
        )
    }
    write_refusals(
        connection,
        [
            Refusal(intent_key=fault.intent_key, outcome=Outcome.SKIPPED, reason=fault.reason)
            for fault in faults
        ],
        recorded,
        run_as_of=run_as_of,
        now=now,
    )
    return set(recorded)


def expired(intent_keys: Iterable[str]) -> list[Refusal]:
    """Return the refusals of intents whose moment has passed."""
    return [
        Refusal(intent_key=key, outcome=Outcome.SKIPPED, reason=Reason.EXPIRED)
        for key in intent_keys
    ]
