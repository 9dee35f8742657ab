"""How long to wait before the next try.

Belongs here: pure arithmetic. Does not belong here: the decision whether a try is allowed at all
(`activations.transport` inside a run, `activations.ledger.settlements` between runs).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential waiting times.

    Attributes:
        first: Seconds before the second try.
        factor: By what each wait is longer than the one before.
        longest: Seconds no wait of ours exceeds; a provider's own Retry-After may.
    """

    first: float
    factor: float
    longest: float

    def wait(self, tries: int, *, jitter: float = 1.0) -> float:
        """Return the seconds to wait after a number of tries.

        Args:
            tries: Tries made so far, at least 1.
            jitter: 0 to 1; how much of the upper half of the wait is used, so that workers that
                failed together do not come back together.
        """
        # The exponent is bounded because a float power overflows long before a counter does.
        whole = min(self.longest, self.first * self.factor ** min(tries - 1, 64))
        return whole / 2 + whole / 2 * jitter


# Between runs: a minute, two, four ... six hours. A run comes at most every few minutes.
BETWEEN_RUNS = Backoff(first=60, factor=2, longest=6 * 3600)
