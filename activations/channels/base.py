"""What every channel is.

Belongs here: the protocol, what a channel is given, and the pieces channels share. Does not belong
here: anything of one provider (its own folder) or of the ledger.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from activations.outcomes import (
    OutcomeClass,
    SendOutcome,
    StopScope,
    SuppressionScope,
)
from activations.rows import MessageRow
from activations.templates.content import Content
from activations.transport import HttpAnswer, HttpRequest

__all__ = [
    "Channel",
    "ChannelLimits",
    "ErrorRule",
    "OutcomeClass",
    "SendOutcome",
    "read_json_object",
]

_HOUR = 3600.0
DAY = 24 * _HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelLimits:
    """How fast a channel may be driven.

    Attributes:
        max_in_flight: Messages handed over and not yet settled, at most. It is also the most a
            killed process can leave unknown.
        per_second: Messages a second, over all processes.
        burst: Messages that may go at once after a pause.
    """

    max_in_flight: int
    per_second: float
    burst: float


class Channel(Protocol):
    """A way to a person.

    Attributes:
        name: The channel's name in the ledger and the warehouse.
        destination: Whose token bucket it draws from; distinct senders have distinct ones.
        limits: How fast it may be driven.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - described above

    @property
    def destination(self) -> str: ...  # noqa: D102 - described above

    @property
    def limits(self) -> ChannelLimits: ...  # noqa: D102 - described above

    def prepare(self, row: MessageRow, content: Content) -> HttpRequest:
        """Build the request of one message.

        Args:
            row: The message.
            content: Templates, brand and links.

        Raises:
            RowError: When this row cannot be sent as it is.
            TemplateError: When no such template exists in the row's language.
        """
        ...

    def classify(self, answer: HttpAnswer) -> SendOutcome:
        """Say what an answer means. Never raises, whatever the answer holds."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRule:
    """One line of a channel's error table.

    Attributes:
        outcome: What the code means.
        meaning: A sentence for the operator.
        retry_after: Seconds before the next try, unless the answer asks for more.
        max_tries: Tries after which it is given up.
        throttled: The whole destination must go slower.
        stop_scope: How far a STOP (or the HOLD of a template) reaches.
        suppress_scope: What a suppression blocks.
        suppress_for: Seconds a suppression lasts; None means until lifted.
        suppress_after: With PERM: suppress at this many answers of the code for one address.
    """

    outcome: OutcomeClass
    meaning: str
    retry_after: float | None = None
    max_tries: int | None = None
    throttled: bool = False
    stop_scope: StopScope | None = None
    suppress_scope: SuppressionScope = SuppressionScope.ALL
    suppress_for: float | None = None
    suppress_after: int | None = None

    def apply(self, answer: HttpAnswer, *, code: str, detail: str | None = None) -> SendOutcome:
        """Return the verdict this rule gives an answer."""
        asked = answer.retry_after()
        waits = [value for value in (self.retry_after, asked) if value is not None]
        return SendOutcome(
            outcome=self.outcome,
            http_status=answer.status,
            error_code=code,
            error_detail=detail or self.meaning,
            retry_after=max(waits) if waits else None,
            max_tries=self.max_tries,
            throttled=self.throttled,
            stop_scope=self.stop_scope,
            suppress_scope=self.suppress_scope,
            suppress_for=self.suppress_for,
            suppress_after=self.suppress_after,
        )

    def with_wait(self, seconds: float | None) -> ErrorRule:
        """Return the rule with the wait an answer names, or as it is for None."""
        return self if seconds is None else replace(self, retry_after=seconds)


def read_json_object(body: bytes) -> Mapping[str, Any] | None:
    """Return the JSON object a body holds, None when it holds anything else."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
