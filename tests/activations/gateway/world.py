"""A ledger behind a gateway behind a sandbox, for the tests of the gateway."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from sqlalchemy import Table, select

from activations.clock import FixedClock
from activations.ledger import Ledger
from activations.outcomes import OutcomeClass, SendOutcome
from activations.rows import Decision, MessageRow, Settlement
from activations.sandbox.client import SandboxClient
from activations.sandbox.server import RunningSandbox

NOW = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)
PHONE = "+919812345678"
EMAIL = "asha@mail.example"
LINK_SECRET = "link-secret"
APP_SECRET = "sandbox-whatsapp-app-secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A ledger behind a gateway, with a sandbox that reports to it."""

    ledger: Ledger
    clock: FixedClock
    url: str
    sandbox: RunningSandbox
    control: SandboxClient
    http: requests.Session = field(repr=False)

    def rows(self, table: Table) -> list[dict[str, Any]]:
        query = select(table).order_by(*table.primary_key)
        with self.ledger.engine.begin() as connection:
            return [dict(row._mapping) for row in connection.execute(query)]

    def hand_over(
        self,
        intent_key: str,
        *,
        channel: str = "whatsapp",
        address: str = PHONE,
        answer: SendOutcome | None = None,
    ) -> None:
        """Record an intent and claim it; with an answer, settle it as well."""
        shared: dict[str, Any] = {
            "intent_key": intent_key,
            "journey_key": "abandoned_price_view",
            "entry_key": f"entry-{intent_key}",
            "step_key": "0",
            "customer_id": f"c-{intent_key}",
            "variant": None,
            "address": address,
            "purpose": "promotional",
            "template_id": f"t-{intent_key}",
            "language": "en",
            "variables": "{}",
            "priority": 50,
            "due_at": NOW,
            "latest_useful_at": NOW + timedelta(hours=6),
        }
        decision = Decision(
            **shared,
            arm="treatment",
            channel=channel,
            outcome="planned",
            reason=None,
            lost_to=None,
            decided_at=NOW,
        )
        self.ledger.record_decisions([decision], run_as_of=NOW, now=NOW)
        run = self.ledger.start_run(destination=channel, kind="messages", run_as_of=NOW, now=NOW)
        claim = self.ledger.claim([MessageRow(**shared)], channel=channel, run=run, now=NOW)
        [claimed] = claim.claimed
        settlement = Settlement(
            attempt_id=claimed.attempt_id,
            intent_key=intent_key,
            outcome=answer or SendOutcome(outcome=OutcomeClass.UNKNOWN),
        )
        self.ledger.settle([settlement], run=run, now=NOW)
        run.lock.release()

    def state(self, intent_key: str) -> str | None:
        intent = self.ledger.intent(intent_key)
        assert intent is not None
        return intent.state
