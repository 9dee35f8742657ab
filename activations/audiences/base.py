"""What every audience destination is, and the rows that go there.

Belongs here: the protocol and the dataclasses. Does not belong here: the difference
(`activations.audiences.diff`), the run (`activations.audiences.sync`), a provider's wire format
(its own folder).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from activations.outcomes import SendOutcome
from activations.rows import RateLimit, RunCounts
from activations.transport import HttpAnswer, HttpRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceRow:
    """A person who should be in an audience.

    Attributes:
        member_key: The customer.
        email_sha256: Lower-case hex, '' for none.
        phone_sha256: Lower-case hex, '' for none.
        payload_hash: Signed 64-bit hash of the identifiers, by the warehouse.
    """

    member_key: str
    email_sha256: str = field(repr=False)
    phone_sha256: str = field(repr=False)
    payload_hash: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifiers:
    """What a destination is told about one person; '' where there is nothing to tell."""

    email_sha256: str = field(repr=False)
    phone_sha256: str = field(repr=False)

    def __bool__(self) -> bool:
        """Say whether there is anything to match by."""
        return bool(self.email_sha256 or self.phone_sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Names one call among those of one upload.

    Attributes:
        session_id: Ours, positive, below 2**63.
        batch_seq: From 1.
        is_last: No further call follows.
        total: Rows of the whole upload.
    """

    session_id: int
    batch_seq: int
    is_last: bool
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """What a destination said about one call.

    Attributes:
        outcome: The verdict on the call.
        invalid: Rows of it the destination could not use; the others are in.
    """

    outcome: SendOutcome
    invalid: int = 0


class AudienceDestination(Protocol):
    """A place that keeps audiences.

    Attributes:
        name: Its name in ``sync_runs``.
        batch_size: Rows a call takes.
        rate: Its token bucket.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - described above

    @property
    def batch_size(self) -> int: ...  # noqa: D102 - described above

    @property
    def rate(self) -> RateLimit: ...  # noqa: D102 - described above

    def prepare(
        self,
        action: Literal["add", "remove"],
        rows: Sequence[Identifiers],
        session: Session,
    ) -> HttpRequest:
        """Build one call. Adding and removing must be set operations: repeating does no harm."""
        ...

    def classify(self, answer: HttpAnswer, *, sent: int) -> CallResult:
        """Say what an answer to a call of `sent` rows means. Never raises."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceLimits:
    """What one run may do to an audience.

    Attributes:
        max_removed_share: A run that would remove a larger share stops before its first call:
            an empty input is more likely a fault than everybody's wish to leave.
        free_removals: Removals below this number never stop a run.
        max_search_calls: Calls a run spends on finding bad rows. What is left unfound is neither
            confirmed nor blamed, and comes back in the next run.
        max_tries: Calls of one batch that fails transiently.
        max_wait_seconds: Real seconds the run waits for one batch.
    """

    max_removed_share: float = 0.5
    free_removals: int = 1_000
    max_search_calls: int = 200
    max_tries: int = 3
    max_wait_seconds: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceReport:
    """What one run did.

    Attributes:
        sync_run_id: The run's row in ``sync_runs``.
        audience_key: The audience.
        status: ``ok``; ``partial`` when rows were refused or are left; ``stopped``.
        counts: Counters as in ``sync_runs``.
        unchanged: Members already as they should be.
        postponed: Members refused before, not tried again yet.
        left: Members whose change was not confirmed and comes back in the next run.
        calls: Requests made.
        rebaselined: Members whose hash was renewed because the hash function changed.
        errors: Calls that failed, by ``CLASS:code``.
        detail: Why the run stopped, for the operator.
    """

    sync_run_id: str
    audience_key: str
    status: str
    counts: RunCounts
    unchanged: int
    postponed: int
    left: int
    calls: int
    rebaselined: int
    errors: Mapping[str, int]
    detail: str | None
