"""The business clock: the one place that says what "now" is.

Belongs here: instants that decide something (is it due, is it still useful, when was it sent).
Does not belong here: how long to wait for a provider. Waiting is about real seconds even when the
business time is simulated, so `activations.transport` has its own timer.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Says what time it is."""

    def now(self) -> datetime:
        """Return the current instant, aware and in UTC."""
        ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """Return the current instant, aware and in UTC."""
        return datetime.now(UTC)


class FixedClock:
    """A clock that stands still until it is told to advance.

    Tests, backtests and the demo use it: `advance_to` moves it, and only forwards, because a
    ledger whose times run backwards can no longer say what came first.
    """

    def __init__(self, instant: datetime) -> None:
        """Start the clock at an instant.

        Args:
            instant: Where the clock stands, an aware datetime.

        Raises:
            ValueError: When the instant has no time zone.
        """
        self._instant = _as_utc(instant)

    def now(self) -> datetime:
        """Return the instant the clock stands at, aware and in UTC."""
        return self._instant

    def advance_to(self, instant: datetime) -> None:
        """Move the clock.

        Args:
            instant: The new instant, an aware datetime, not before the present one.

        Raises:
            ValueError: When the instant has no time zone or lies in the past.
        """
        moved = _as_utc(instant)
        if moved < self._instant:
            raise ValueError(f"a clock does not run backwards: {moved} is before {self._instant}")
        self._instant = moved


def _as_utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError("an instant needs a time zone: pass an aware datetime, in UTC")
    return instant.astimezone(UTC)
