from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activations.backoff import Backoff
from activations.errors import AnswerLostError, NotSentError
from activations.ledger import Ledger
from activations.outcomes import OutcomeClass, SendOutcome, StopScope
from activations.rows import RateLimit
from activations.transport import (
    HttpAnswer,
    HttpRequest,
    Pacer,
    Patience,
    Transport,
    deliver,
    plan_retry,
)
from tests.activations.provider import Fault, Provider, Received, Reply, free_port
from tests.activations.world import NOON


@dataclass
class _Time:
    """Real time that passes only when somebody sleeps."""

    now: datetime = NOON
    slept: list[float] = field(default_factory=list)

    def wall(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 3))
        self.now += timedelta(seconds=seconds)


def _request(url: str) -> HttpRequest:
    return HttpRequest(
        method="POST", url=f"{url}/x", headers={"authorization": "Bearer top-secret"}, body=b"{}"
    )


def _call(url: str, *, times: int = 1, answer_timeout: float = 30.0) -> list[HttpAnswer]:
    async def run() -> list[HttpAnswer]:
        async with Transport(answer_timeout=answer_timeout) as transport:
            return [await transport.call(_request(url)) for _ in range(times)]

    return asyncio.run(run())


def test_an_answer_comes_back_whole() -> None:
    with Provider(lambda _: Reply(status=418, body=b"tea", headers={"X-Thing": "v"})) as provider:
        [answer] = _call(provider.url)

    assert (answer.status, answer.body, answer.headers["x-thing"]) == (418, b"tea", "v")
    assert provider.received[0].headers["authorization"] == "Bearer top-secret"


def test_connections_are_kept_alive() -> None:
    with Provider(lambda _: Reply()) as provider:
        _call(provider.url, times=5)

    assert provider.connections == 1


def test_a_refused_connection_means_nothing_was_sent() -> None:
    with pytest.raises(NotSentError):
        _call(f"http://127.0.0.1:{free_port()}")


def test_an_unknown_host_means_nothing_was_sent() -> None:
    with pytest.raises(NotSentError):
        _call("http://no-such-host.invalid")


@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_after_the_body_means_the_answer_was_lost(fault: Fault) -> None:
    with (
        Provider(lambda _: fault) as provider,
        pytest.raises(AnswerLostError),
    ):
        _call(provider.url, answer_timeout=2.0)

    assert len(provider.received) == 1


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.CLOSE])
def test_a_kept_connection_that_breaks_is_not_silently_tried_again(fault: Fault) -> None:
    seen: list[Received] = []

    def handler(request: Received) -> Reply | Fault:
        seen.append(request)
        return Reply() if len(seen) == 1 else fault

    with Provider(handler) as provider, pytest.raises(AnswerLostError):
        _call(provider.url, times=2)

    assert len(seen) == 2


def test_redirects_are_not_followed() -> None:
    with Provider(lambda _: Reply(status=307, headers={"Location": "/y"})) as provider:
        [answer] = _call(provider.url)

    assert answer.status == 307
    assert len(provider.received) == 1


def test_a_request_never_prints_its_token() -> None:
    assert "top-secret" not in repr(_request("http://x"))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("-3", 0.0), ("1e99", 86400.0), ("nan", None), ("inf", None), ("soon", None)],
)
def test_retry_after_is_read_and_bounded(header: str, seconds: float | None) -> None:
    answer = HttpAnswer(status=429, headers={"retry-after": header}, body=b"", received_at=NOON)
    assert answer.retry_after() == seconds


_OUTCOMES = st.builds(
    SendOutcome,
    outcome=st.sampled_from(OutcomeClass),
    retry_after=st.none() | st.floats(min_value=0, max_value=1e5),
    max_tries=st.none() | st.integers(min_value=1, max_value=5),
    stop_scope=st.none() | st.sampled_from(StopScope),
)


@given(
    outcome=_OUTCOMES,
    tries=st.integers(min_value=1, max_value=10),
    waited=st.floats(min_value=0, max_value=100),
    jitter=st.floats(min_value=0, max_value=1),
)
def test_only_what_was_not_processed_is_tried_again_and_within_the_limits(
    outcome: SendOutcome, tries: int, waited: float, jitter: float
) -> None:
    patience = Patience(max_tries=4, max_wait=20.0)

    wait = plan_retry(outcome, tries=tries, waited=waited, patience=patience, jitter=jitter)

    if wait is not None:
        assert outcome.outcome in (OutcomeClass.RETRY, OutcomeClass.HOLD)
        assert tries < min(4, outcome.max_tries or 4)
        assert waited + wait <= 20.0
        assert wait >= (outcome.retry_after or 0.0)


@given(tries=st.integers(min_value=1, max_value=10_000), jitter=st.floats(min_value=0, max_value=1))
def test_backoff_stays_between_half_and_whole_of_its_step(tries: int, jitter: float) -> None:
    backoff = Backoff(first=1, factor=2, longest=60)
    whole = min(60.0, 2.0 ** min(tries - 1, 10))
    assert whole / 2 <= backoff.wait(tries, jitter=jitter) <= whole


def _deliver(
    ledger: Ledger,
    handler: Callable[[Received], Reply | Fault],
    classify: Callable[[HttpAnswer], SendOutcome],
    time: _Time,
) -> tuple[SendOutcome, Pacer, int]:
    async def run(url: str) -> tuple[SendOutcome, Pacer]:
        async with Transport(wall=time.wall, sleep=time.sleep, jitter=lambda: 1.0) as transport:
            limit = RateLimit(destination="d", per_second=10, burst=10)
            pacer = Pacer(ledger, limit, transport)
            outcome = await deliver(
                transport, pacer, _request(url), classify=classify, patience=Patience()
            )
            return outcome, pacer

    with Provider(handler) as provider:
        outcome, pacer = asyncio.run(run(provider.url))
        return outcome, pacer, len(provider.received)


def _throttled(answer: HttpAnswer) -> SendOutcome:
    if answer.status == 429:
        return SendOutcome(
            outcome=OutcomeClass.RETRY, throttled=True, retry_after=answer.retry_after()
        )
    return SendOutcome(outcome=OutcomeClass.ACCEPTED)


def test_a_throttled_message_waits_as_asked_and_blocks_everybody(ledger: Ledger) -> None:
    time = _Time()
    other: list[tuple[int, float]] = []
    limit = RateLimit(destination="d", per_second=10, burst=10)

    def handler(_: Received) -> Reply:
        if not time.slept:
            return Reply(status=429, headers={"Retry-After": "5"})
        return Reply()

    def classify(answer: HttpAnswer) -> SendOutcome:
        return _throttled(answer)

    async def look() -> None:
        other.append(ledger.take_tokens(limit, want=1, wall=time.now))

    original = time.sleep

    async def sleep(seconds: float) -> None:
        await look()
        await original(seconds)

    time.sleep = sleep  # type: ignore[method-assign]
    outcome, pacer, calls = _deliver(ledger, handler, classify, time)

    assert outcome.outcome is OutcomeClass.ACCEPTED
    assert calls == 2
    assert time.slept[0] >= 5.0
    assert other[0] == (0, 5.0)
    assert pacer.limit().per_second < 10


def test_a_refused_connection_is_tried_again_and_then_left_to_a_later_run(ledger: Ledger) -> None:
    time = _Time()

    async def run() -> SendOutcome:
        async with Transport(wall=time.wall, sleep=time.sleep, jitter=lambda: 1.0) as transport:
            limit = RateLimit(destination="d", per_second=10, burst=10)
            return await deliver(
                transport,
                Pacer(ledger, limit, transport),
                _request(f"http://127.0.0.1:{free_port()}"),
                classify=_throttled,
                patience=Patience(),
            )

    outcome = asyncio.run(run())
    assert (outcome.outcome, outcome.error_code) == (OutcomeClass.RETRY, "not_connected")
    assert time.slept == [0.5, 1.0]


def test_a_lost_answer_is_unknown_after_one_call(ledger: Ledger) -> None:
    outcome, _, calls = _deliver(ledger, lambda _: Fault.RESET, _throttled, _Time())

    assert outcome.outcome is OutcomeClass.UNKNOWN
    assert calls == 1


def test_the_pace_halves_when_throttled_and_recovers_slowly(ledger: Ledger) -> None:
    time = _Time()
    transport = Transport(wall=time.wall, sleep=time.sleep)
    pacer = Pacer(ledger, RateLimit(destination="d", per_second=100, burst=100), transport)

    pacer.throttle(1.0)
    pacer.throttle(1.0)
    assert pacer.limit().per_second == 25.0
    for _ in range(100):
        pacer.throttle(1.0)
    assert pacer.limit().per_second == 5.0
    for _ in range(50):
        pacer.speed_up()
    assert pacer.limit().per_second == pytest.approx(100.0)
