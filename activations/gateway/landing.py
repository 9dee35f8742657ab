"""Writing what a webhook said: one transaction for all of it, or one by one when that fails.

Everything here may run twice: events are keyed by the provider, statements by their instant,
suppressions by address. A provider that got no 200 sends again, and the second landing completes
the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from activations.gateway.database import transaction
from activations.gateway.reading import Item, Lift, Reading, Reject
from activations.gateway.rejects import record_rejects
from activations.gateway.whatsapp import UNDELIVERABLE_CODE
from activations.ledger import Ledger
from activations.ledger.schema import consent_statements, inbound_events, suppressions
from activations.rows import ConsentStatement, InboundEvent, Suppression


@dataclass(frozen=True, slots=True, kw_only=True)
class LandingReport:
    """What one webhook brought.

    Attributes:
        events: events that were readable.
        new: of them not known before.
        rejected: unreadable or unwritable ones, kept as rejects.
        ignored: of no interest.
    """

    events: int
    new: int
    rejected: int
    ignored: int


class Landing:
    """Lands readings in a ledger."""

    def __init__(
        self, ledger: Ledger, *, undeliverable_limit: int, undeliverable_for: timedelta
    ) -> None:
        self._ledger = ledger
        self._limit = undeliverable_limit
        self._undeliverable_for = undeliverable_for

    def land(self, reading: Reading, *, channel: str, now: datetime) -> LandingReport:
        """Write everything a webhook said.

        Args:
            reading: what it said.
            channel: whose webhook it was.
            now: the business instant, received_at of the rejects.

        Raises:
            LedgerUnavailableError: nothing or a part was written; the provider's repeat completes
                it.
        """
        items = self._with_intents(reading.items)
        rejects = list(reading.rejects)
        try:
            new = self._write(items, now)
        except SQLAlchemyError:
            # Something the database itself refuses, in one of them: find out which.
            new = 0
            for item in items:
                try:
                    new += self._write((item,), now)
                except SQLAlchemyError as error:
                    reason = f"the ledger refused it: {type(error).__name__}"
                    rejects.append(Reject(channel=channel, reason=reason, body=item.source))
        record_rejects(self._ledger.engine, rejects, received_at=now)
        return LandingReport(
            events=sum(len(item.events) for item in items),
            new=new,
            rejected=len(rejects),
            ignored=reading.ignored,
        )

    def _write(self, items: Sequence[Item], now: datetime) -> int:
        if not items:
            return 0
        blocked = [each for item in items for each in item.suppressions]
        blocked += self._undeliverable(items)
        new = self._ledger.land(
            events=[event for item in items for event in item.events],
            statements=[each for item in items for each in item.statements],
            suppressions=blocked,
            now=now,
        )
        for item in items:
            for lift in item.lifts:
                self._lift(lift)
        return new

    def _with_intents(self, items: Sequence[Item]) -> list[Item]:
        """Fill in the intent of events that name only the provider's message id."""
        known: dict[str, str | None] = {}

        def fill(event: InboundEvent) -> InboundEvent:
            message_id = event.provider_message_id
            if event.intent_key is not None or message_id is None:
                return event
            if message_id not in known:
                known[message_id] = self._ledger.find_intent_key(message_id)
            return replace(event, intent_key=known[message_id])

        return [replace(item, events=tuple(map(fill, item.events))) for item in items]

    def _undeliverable(self, items: Sequence[Item]) -> list[Suppression]:
        """Suppress numbers that failed as undeliverable often enough, this webhook included."""
        failures: dict[str, dict[str, datetime]] = {}
        for item in items:
            if item.undeliverable:
                seen = failures.setdefault(item.undeliverable, {})
                seen |= {event.event_id: event.occurred_at for event in item.events}
        if not failures:
            return []
        query = select(
            inbound_events.c.address, inbound_events.c.event_id, inbound_events.c.occurred_at
        ).where(
            inbound_events.c.address.in_(list(failures)),
            inbound_events.c.channel == "whatsapp",
            inbound_events.c.event == "failed",
            inbound_events.c.reason.like(f"{UNDELIVERABLE_CODE} %"),
        )
        with transaction(self._ledger.engine) as connection:
            for address, event_id, occurred_at in connection.execute(query):
                failures[address][event_id] = occurred_at
        return [
            Suppression(
                address=address,
                channel="whatsapp",
                scope="all",
                reason="not_on_whatsapp",
                since=max(seen.values()),
                until=max(seen.values()) + self._undeliverable_for,
            )
            for address, seen in failures.items()
            if len(seen) >= self._limit
        ]

    def _lift(self, lift: Lift) -> None:
        # A stop that happened after this resume but arrived before it must stay.
        query = select(suppressions.c.since).where(
            suppressions.c.address == lift.address,
            suppressions.c.channel == lift.channel,
            suppressions.c.scope == lift.scope,
        )
        with transaction(self._ledger.engine) as connection:
            since = connection.scalar(query)
        if since is not None and since <= lift.at:
            self._ledger.lift_suppression(
                address=lift.address, channel=lift.channel, scope=lift.scope
            )

    def record_unsubscribe(
        self, statement: ConsentStatement, *, intent_key: str, repeat_window: timedelta
    ) -> bool:
        """Record an opt-out from a link; False when the same was said a moment ago.

        The statement is not compared with older ones: the person may have opted in elsewhere
        meanwhile, and then this click is news. Only the repeats of a double click or of a mail
        provider's retry are left out.
        """
        query = (
            select(consent_statements.c.status)
            .where(
                consent_statements.c.address == statement.address,
                consent_statements.c.channel == statement.channel,
                consent_statements.c.purpose == statement.purpose,
                consent_statements.c.stated_at > statement.stated_at - repeat_window,
                consent_statements.c.stated_at <= statement.stated_at,
            )
            .order_by(consent_statements.c.stated_at.desc(), consent_statements.c.id.desc())
            .limit(1)
        )
        with transaction(self._ledger.engine) as connection:
            if connection.scalar(query) == statement.status:
                return False
        event = InboundEvent(
            event_id=f"u:{intent_key}",
            channel=statement.channel,
            event="opt_out",
            intent_key=intent_key,
            address=statement.address,
            occurred_at=statement.stated_at,
            received_at=statement.received_at,
            reason=statement.source,
        )
        self._ledger.land(events=[event], statements=[statement], now=statement.received_at)
        return True
