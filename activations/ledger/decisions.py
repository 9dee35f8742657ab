"""Recording what the warehouse decided.

Belongs here: the upsert of intents and their history. Does not belong here: claims and answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from activations.guards import find_kill_switch, is_final
from activations.ledger.schema import decision_history, intents, kill_switches, retries
from activations.outcomes import Outcome, Reason, State
from activations.rows import Decision

# Columns a new decision may change; the others never change for one intent key.
_MUTABLE = (
    "arm",
    "variant",
    "channel",
    "address",
    "purpose",
    "template_id",
    "language",
    "variables",
    "priority",
    "due_at",
    "latest_useful_at",
    "outcome",
    "reason",
    "lost_to",
)
_FIXED = ("intent_key", "journey_key", "entry_key", "step_key", "customer_id")
_columns_of = attrgetter(*_FIXED, *_MUTABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionCounts:
    """What recording decisions changed.

    Attributes:
        inserted: Intents seen for the first time.
        changed: Intents whose decision differs from the recorded one.
        unchanged: Intents decided as before; nothing was written.
        protected: Intents with a final outcome or in flight; nothing was written.
    """

    inserted: int = 0
    changed: int = 0
    unchanged: int = 0
    protected: int = 0

    def plus(self, other: DecisionCounts) -> DecisionCounts:
        """Add two counts."""
        return DecisionCounts(
            inserted=self.inserted + other.inserted,
            changed=self.changed + other.changed,
            unchanged=self.unchanged + other.unchanged,
            protected=self.protected + other.protected,
        )


def record(
    connection: Connection, rows: Sequence[Decision], run_as_of: datetime, now: datetime
) -> DecisionCounts:
    """Write one chunk of decisions; see `Ledger.record_decisions`."""
    known = {
        row.intent_key: row
        for row in connection.execute(
            select(
                intents.c.intent_key,
                *(intents.c[name] for name in _MUTABLE),
                intents.c.state,
                retries.c.tries,
            )
            .select_from(intents.outerjoin(retries, intents.c.intent_key == retries.c.intent_key))
            .where(intents.c.intent_key.in_([row.intent_key for row in rows]))
            # Sorted, so that two writers that lock the same rows on PostgreSQL do it in one order.
            .order_by(intents.c.intent_key)
            .with_for_update(of=intents)
        )
    }
    switches = list(connection.scalars(select(kill_switches.c.scope)))
    inserts: list[dict[str, Any]] = []
    updates: list[dict[str, Any]] = []
    history: list[dict[str, Any]] = []
    settled_retries: list[str] = []
    unchanged = protected = 0
    for decision in rows:
        values: dict[str, Any] = dict(zip((*_FIXED, *_MUTABLE), _columns_of(decision), strict=True))
        if decision.outcome == Outcome.PLANNED and find_kill_switch(
            switches, journey_key=decision.journey_key, channel=decision.channel
        ):
            # Recorded as held at once: planned here and held at each claim would write two rows of
            # history every hour for as long as the switch is on.
            values |= {"outcome": Outcome.HELD.value, "reason": Reason.KILL_SWITCH.value}
        before = known.get(decision.intent_key)
        state = _state(values, before)
        if before is not None:
            if is_final(before.outcome) or before.state == State.CLAIMED:
                protected += 1
                continue
            if state == before.state and all(
                values[name] == getattr(before, name) for name in _MUTABLE
            ):
                unchanged += 1
                continue
            if before.tries is not None and state != State.RETRY and values["outcome"] != "held":
                settled_retries.append(decision.intent_key)
        values |= {
            "state": state,
            "run_as_of": run_as_of,
            "decided_at": decision.decided_at,
            "updated_at": now,
        }
        if before is None:
            inserts.append(values)
        else:
            updates.append(
                {"key": values.pop("intent_key")}
                | {name: value for name, value in values.items() if name not in _FIXED}
            )
        if before is None or (values["outcome"], values["reason"], values["lost_to"]) != (
            before.outcome,
            before.reason,
            before.lost_to,
        ):
            history.append(
                {
                    "intent_key": decision.intent_key,
                    "run_as_of": run_as_of,
                    "outcome": values["outcome"],
                    "reason": values["reason"],
                    "lost_to": values["lost_to"],
                    "decided_at": decision.decided_at,
                }
            )
    if inserts:
        connection.execute(insert(intents), inserts)
    if updates:
        connection.execute(
            update(intents)
            .where(intents.c.intent_key == bindparam("key"))
            .values({name: bindparam(name) for name in updates[0] if name != "key"}),
            updates,
        )
    if history:
        connection.execute(insert(decision_history), history)
    if settled_retries:
        connection.execute(delete(retries).where(retries.c.intent_key.in_(settled_retries)))
    return DecisionCounts(
        inserted=len(inserts), changed=len(updates), unchanged=unchanged, protected=protected
    )


def _state(values: dict[str, Any], before: Any) -> str | None:
    if values["outcome"] != Outcome.PLANNED:
        return None
    if (
        before is not None
        and before.tries is not None
        and (before.channel, before.address) == (values["channel"], values["address"])
    ):
        # The provider asked for patience, and a new decision does not end that.
        return State.RETRY.value
    return State.PLANNED.value
