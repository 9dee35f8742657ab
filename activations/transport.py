"""One way to every provider: a request goes out, and what came back is told apart honestly.

Belongs here: the HTTP client, the difference between "nothing was handed over" and "the answer was
lost", pacing by the token bucket that all processes share, and waiting within a run. Does not
belong here: what a provider's code means (`activations.channels`), what the ledger does about it.

The client is pyreqwest (Rust): about 0.04 ms of CPU a request against 1.2 ms of requests. Its
exception classes cannot be trusted for our question: measured on 0.15, a connection reset after the
whole body was sent raises ``ConnectError`` and a lost answer raises ``ConnectTimeoutError``. The
chain of causes does tell: the phase is ``client error (Connect)`` only while no connection stands.
So that one text means "not sent", everything else means "lost". Should a later version word it
differently, refused connections become unknowns: a test notices, and no customer gets two messages.
It was also measured that the client never repeats a request by itself once bytes were written.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import DetailedPyreqwestError, PoolTimeoutError

from activations.backoff import Backoff
from activations.errors import AnswerLostError, NotSentError
from activations.ledger import Ledger
from activations.outcomes import OutcomeClass, SendOutcome
from activations.rows import RateLimit

_NOT_CONNECTED = "client error (Connect)"

# A load balancer drops idle connections after a minute or more. Dropping ours first keeps a request
# from being written into a connection that is just being closed, which would be an unknown.
_IDLE_SECONDS = 20.0


# A header nobody meant must not silence a channel for longer than a day.
_LONGEST_RETRY_AFTER = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request to a provider. Headers and body stay out of any repr."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """A complete answer.

    Attributes:
        status: HTTP status.
        headers: By lower-case name.
        body: All of it.
        received_at: Real instant, for headers that count from it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    received_at: datetime

    def retry_after(self) -> float | None:
        """Return the seconds a ``Retry-After`` in seconds asks for, or None."""
        try:
            seconds = float(self.headers.get("retry-after", ""))
        except ValueError:
            return None
        return min(_LONGEST_RETRY_AFTER, max(0.0, seconds)) if math.isfinite(seconds) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a message may be waited for inside one run.

    Attributes:
        max_tries: Calls of one message in one run.
        max_wait: Real seconds of waiting, in all, for one message.
        backoff: Waiting times when the provider names none.
    """

    max_tries: int = 3
    max_wait: float = 30.0
    backoff: Backoff = field(default=Backoff(first=0.5, factor=2.0, longest=10.0))


def plan_retry(
    outcome: SendOutcome, *, tries: int, waited: float, patience: Patience, jitter: float
) -> float | None:
    """Decide whether to call again inside this run.

    Only answers that say "not processed" are repeated. What would take too long is left to the
    ledger, which gives it to a later run.

    Args:
        outcome: The verdict on the last call.
        tries: Calls made so far.
        waited: Real seconds waited so far for this message.
        patience: The limits.
        jitter: 0 to 1.

    Returns:
        Real seconds to wait, or None when this run is done with the message.
    """
    if outcome.outcome is OutcomeClass.HOLD:
        if outcome.retry_after is None or outcome.stop_scope is not None:
            return None
    elif outcome.outcome is not OutcomeClass.RETRY:
        return None
    limit = patience.max_tries
    if outcome.max_tries is not None:
        limit = min(limit, outcome.max_tries)
    if tries >= limit:
        return None
    wait = patience.backoff.wait(tries, jitter=jitter)
    if outcome.retry_after is not None:
        # Never earlier than asked, and not all at the same moment.
        wait = outcome.retry_after + 0.1 * wait
    return wait if waited + wait <= patience.max_wait else None


class Transport:
    """An HTTP client with keep-alive. Use it as an async context manager."""

    def __init__(
        self,
        *,
        max_connections: int = 64,
        connect_timeout: float = 5.0,
        answer_timeout: float = 30.0,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Prepare the client.

        Args:
            max_connections: Connections open at once.
            connect_timeout: Seconds to make one.
            answer_timeout: Seconds for the whole call, connecting included.
            wall: The real instant.
            sleep: Waits real seconds.
            jitter: Draws from 0 to 1.
        """
        self.wall = wall
        self.sleep = sleep
        self.jitter = jitter
        self._builder = (
            ClientBuilder()
            .max_connections(max_connections)
            .pool_max_idle_per_host(max_connections)
            .pool_idle_timeout(timedelta(seconds=_IDLE_SECONDS))
            .connect_timeout(timedelta(seconds=connect_timeout))
            .timeout(timedelta(seconds=answer_timeout))
            # A redirected POST would arrive twice, or as a GET; no provider here redirects.
            .follow_redirects(False)
            .error_for_status(False)
            .user_agent("lifecycle/0.1")
        )
        self._client: Client | None = None

    async def __aenter__(self) -> Self:
        self._client = self._builder.build()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def call(self, request: HttpRequest) -> HttpAnswer:
        """Make one call, never repeated.

        Raises:
            NotSentError: When no connection could be made: nothing was handed over.
            AnswerLostError: When the request may have arrived and no whole answer came.
        """
        if self._client is None:
            raise NotSentError("the transport is not open: use it as an async context manager")
        try:
            answer = await (
                self._client.request(request.method, request.url)
                .headers(dict(request.headers))
                .body_bytes(request.body)
                .build()
                .send()
            )
            body = bytes(await answer.bytes())
        except PoolTimeoutError as error:
            raise NotSentError("no connection of the pool became free") from error
        except DetailedPyreqwestError as error:
            if _was_not_connected(error):
                raise NotSentError("no connection to the provider could be made") from error
            raise AnswerLostError(
                f"the request may have arrived, its answer did not ({type(error).__name__})"
            ) from error
        return HttpAnswer(
            status=answer.status,
            headers={name.lower(): value for name, value in answer.headers.items()},
            body=body,
            received_at=self.wall(),
        )


def _was_not_connected(error: DetailedPyreqwestError) -> bool:
    causes = (error.details or {}).get("causes") or []
    return any(cause["message"] == _NOT_CONNECTED for cause in causes)


class Pacer:
    """Keeps one destination at a pace it takes, together with every process on the ledger.

    The bucket in the ledger is the hard limit. On top of it this process adapts: half the pace
    after each throttling, a little more after each accepted message.
    """

    _SLOWEST = 0.05
    _STEP = 0.02

    def __init__(self, ledger: Ledger, limit: RateLimit, transport: Transport) -> None:
        self._ledger = ledger
        self._limit = limit
        self._transport = transport
        self._share = 1.0

    def limit(self) -> RateLimit:
        """Return the bucket at the present pace."""
        return RateLimit(
            destination=self._limit.destination,
            per_second=self._limit.per_second * self._share,
            burst=max(1.0, self._limit.burst * self._share),
        )

    def speed_up(self) -> None:
        """Note an accepted message."""
        self._share = min(1.0, self._share + self._STEP)

    def throttle(self, seconds: float) -> None:
        """Note that the destination asked for patience, for every process.

        Args:
            seconds: Real seconds nobody calls it.
        """
        self._share = max(self._SLOWEST, self._share / 2)
        self._ledger.block_destination(
            self._limit.destination, seconds=seconds, wall=self._transport.wall()
        )

    async def take_turn(self, *, longest: float) -> bool:
        """Wait for a token; says whether one came within some real seconds."""
        waited = 0.0
        while True:
            granted, wait = self._ledger.take_tokens(
                self.limit(), want=1, wall=self._transport.wall()
            )
            if granted:
                return True
            if waited + wait > longest:
                return False
            await self._transport.sleep(wait)
            waited += wait


# Seconds a destination that throttles without saying for how long is left alone.
_DEFAULT_PAUSE = 1.0


async def deliver(
    transport: Transport,
    pacer: Pacer,
    request: HttpRequest,
    *,
    classify: Callable[[HttpAnswer], SendOutcome],
    patience: Patience,
) -> SendOutcome:
    """Call a provider until it said something final or this run's patience is over.

    The first call's rate token must have been taken with the claim.

    Args:
        transport: An open transport.
        pacer: The destination's pace.
        request: The request; the same bytes go out each time.
        classify: The channel's reading of an answer.
        patience: Limits of waiting.

    Returns:
        The last verdict.
    """
    tries, waited = 0, 0.0
    while True:
        tries += 1
        try:
            outcome = classify(await transport.call(request))
        except NotSentError as error:
            outcome = SendOutcome(
                outcome=OutcomeClass.RETRY, error_code="not_connected", error_detail=str(error)
            )
        except AnswerLostError as error:
            return SendOutcome(
                outcome=OutcomeClass.UNKNOWN, error_code="answer_lost", error_detail=str(error)
            )
        if outcome.throttled:
            pacer.throttle(outcome.retry_after or _DEFAULT_PAUSE)
        elif outcome.outcome is OutcomeClass.ACCEPTED:
            pacer.speed_up()
        wait = plan_retry(
            outcome, tries=tries, waited=waited, patience=patience, jitter=transport.jitter()
        )
        if wait is None:
            return outcome
        await transport.sleep(wait)
        waited += wait
        if not await pacer.take_turn(longest=max(0.0, patience.max_wait - waited)):
            return outcome
