"""What every channel promises. Cases are in `conformance`; the registry says who is tested."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from activations.channels.base import Channel, ChannelLimits
from activations.channels.registry import CHANNELS, build_channel
from activations.errors import (
    InvalidAddressError,
    RenderError,
    TemplateError,
    UnknownChannelError,
)
from activations.ledger import Ledger
from activations.ledger.schema import attempts
from activations.outcomes import OutcomeClass
from activations.rows import MessageRow, RateLimit
from activations.runner import SendLimits, SendReport, send_messages
from activations.templates import Content, load_templates
from activations.transport import HttpAnswer, Patience, Transport
from tests.activations.conformance import CASES, LISTED, Case
from tests.activations.provider import Fault, Provider, Received, Reply, free_port
from tests.activations.world import CONTENT, NOON, WIDE, clock, record, row_of

SNAPSHOTS = Path(__file__).parent / "snapshots"


@pytest.fixture(params=sorted(CHANNELS))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def case(name: str) -> Case:
    return CASES[name]


def _send(
    ledger: Ledger,
    case: Case,
    url: str,
    rows: list[MessageRow],
    *,
    patience: Patience | None = None,
    window: int = 8,
    answer_timeout: float = 30.0,
) -> SendReport:
    limits = ChannelLimits(max_in_flight=window, per_second=1e6, burst=1e6)
    return send_messages(
        ledger,
        case.build(url, limits),
        rows,
        content=CONTENT,
        run_as_of=NOON,
        clock=clock(),
        limits=SendLimits(patience=patience or Patience(max_tries=1)),
        transport=Transport(answer_timeout=answer_timeout),
    )


def _rows(ledger: Ledger, case: Case, number: int) -> list[MessageRow]:
    return record(ledger, [case.decide(each) for each in range(1, number + 1)])


def test_every_registered_channel_has_a_case_and_no_other(name: str) -> None:
    assert sorted(CASES) == sorted(CHANNELS)
    assert CHANNELS[name].name == name
    assert CASES[name].build("http://x", WIDE).name == name


def test_every_code_of_the_error_table_has_a_case(name: str) -> None:
    covered = {label.split()[0] for label in CASES[name].errors}
    assert LISTED[name] <= covered


def test_a_request_carries_our_key_so_that_receipts_can_bring_it_back(
    ledger: Ledger, case: Case
) -> None:
    rows = _rows(ledger, case, 3)
    with Provider(case.accept) as provider:
        report = _send(ledger, case, provider.url, rows)

    assert report.counts.accepted == 3
    assert sorted(case.key_of(request) for request in provider.received) == [
        "i0001",
        "i0002",
        "i0003",
    ]
    assert ledger.find_intent_key(case.message_id) == "i0001"


def test_the_same_row_always_gives_the_same_bytes(case: Case) -> None:
    row = row_of(case.decide())
    channel = case.build("http://x", WIDE)
    assert channel.prepare(row, CONTENT).body == channel.prepare(row, CONTENT).body


def _wire(channel: Channel, row: MessageRow, content: Content) -> dict[str, object]:
    request = channel.prepare(row, content)
    return {
        "method": request.method,
        "url": request.url,
        "headers": sorted(request.headers),
        "body": json.loads(request.body),
    }


# After a wanted change of the wire format, change the document in `snapshots/` by hand as well:
# it is what a reviewer compares with the provider's reference.


def test_the_request_with_required_fields_only_is_as_reviewed(case: Case, name: str) -> None:
    planned = case.decide(
        variables=json.dumps({"link_url": "https://shop.example/sell"}),
        template_id="winback_1",
        journey_key="winback_inactive",
    )
    sent = _wire(case.build("https://provider.example", WIDE), row_of(planned), CONTENT)

    assert sent == json.loads((SNAPSHOTS / f"{name}_required.json").read_text("utf-8"))


def test_the_request_with_every_field_is_as_reviewed(case: Case, name: str) -> None:
    content = replace(CONTENT, templates=load_templates(Path(__file__).parent / "full_templates"))
    sent = _wire(case.full, row_of(case.decide(template_id="full")), content)

    assert sent == json.loads((SNAPSHOTS / f"{name}_all.json").read_text("utf-8"))


def test_nothing_secret_and_no_address_is_ever_printed(case: Case) -> None:
    row = row_of(case.decide())
    channel = case.build("http://x", WIDE)
    request = channel.prepare(row, CONTENT)
    printed = f"{row!r} {channel!r} {request!r} {case.decide()!r} {CONTENT!r}"
    for hidden in (case.secret, row.address, row.address.lstrip("+"), "Asha", "link-secret"):
        assert hidden not in printed


def test_an_address_of_another_form_is_a_fault_of_the_row(case: Case) -> None:
    row = row_of(case.decide(address=case.bad_address))
    with pytest.raises(InvalidAddressError) as raised:
        case.build("http://x", WIDE).prepare(row, CONTENT)
    assert case.bad_address not in str(raised.value)


@pytest.mark.parametrize("variables", ["", "[]", '{"first_name": 3}', "{"])
def test_variables_that_are_no_texts_are_a_fault_of_the_row(case: Case, variables: str) -> None:
    with pytest.raises(RenderError):
        case.build("http://x", WIDE).prepare(row_of(case.decide(variables=variables)), CONTENT)


def test_a_template_that_does_not_exist_is_named_with_the_file_to_add(case: Case) -> None:
    row = row_of(case.decide(template_id="nope"))
    with pytest.raises(TemplateError, match=r"nope\.en\.yaml"):
        case.build("http://x", WIDE).prepare(row, CONTENT)


def test_a_promotional_message_cannot_use_a_utility_template(case: Case) -> None:
    row = row_of(case.decide(template_id="pickup_0"))
    with pytest.raises(RenderError, match="utility"):
        case.build("http://x", WIDE).prepare(row, CONTENT)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "code", "messages", "id", "errors", "field", "message_status"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("channel", [CASES[key].build("http://x", WIDE) for key in sorted(CASES)])
@settings(max_examples=150)
@given(
    status=st.integers(min_value=100, max_value=599),
    body=st.binary(max_size=30) | _JSON.map(lambda value: json.dumps(value).encode()),
    headers=st.dictionaries(
        st.sampled_from(["retry-after", "x-message-id", "x-ratelimit-reset"]), st.text(max_size=8)
    ),
)
def test_no_answer_whatever_it_holds_surprises_a_channel(
    channel: Channel, status: int, body: bytes, headers: dict[str, str]
) -> None:
    answer = HttpAnswer(status=status, headers=headers, body=body, received_at=NOON)

    outcome = channel.classify(answer)

    if 200 <= status < 300:
        # Success may be doubtful, it is never a reason to send again.
        assert outcome.outcome in (OutcomeClass.ACCEPTED, OutcomeClass.UNKNOWN)
    else:
        assert outcome.outcome is not OutcomeClass.ACCEPTED
    if outcome.outcome is OutcomeClass.STOP:
        assert outcome.stop_scope is not None


_ERRORS = [
    pytest.param(key, label, id=f"{key}-{label}")
    for key in sorted(CASES)
    for label in CASES[key].errors
]


@pytest.fixture(scope="module")
def scripted() -> Iterator[Provider]:
    with Provider(lambda _: Reply()) as provider:
        yield provider


@pytest.mark.parametrize(("key", "label"), _ERRORS)
def test_every_error_of_the_table_gives_its_class(key: str, label: str, scripted: Provider) -> None:
    case = CASES[key]
    reply, expected = case.errors[label]
    scripted.handler = lambda _: reply
    channel = case.build(scripted.url, WIDE)

    async def call() -> HttpAnswer:
        async with Transport() as transport:
            return await transport.call(channel.prepare(row_of(case.decide()), CONTENT))

    outcome = channel.classify(asyncio.run(call()))

    assert outcome.outcome is expected
    assert outcome.http_status == reply.status
    assert outcome.error_code
    assert outcome.error_detail


@pytest.mark.parametrize("fault", list(Fault))
def test_a_lost_answer_is_unknown_and_the_message_is_never_sent_again(
    ledger: Ledger, case: Case, fault: Fault
) -> None:
    rows = _rows(ledger, case, 2)
    with Provider(lambda _: fault) as provider:
        # long enough for a slow machine to receive it, short enough to wait for where nobody answers
        first = _send(ledger, case, provider.url, rows, answer_timeout=2.0)
        second = _send(ledger, case, provider.url, rows)
        arrived = len(provider.received)

    assert (first.counts.unknown, first.status) == (2, "partial")
    assert second.refused == {"already_handled": 2}
    assert arrived == 2
    assert len(ledger.list_unknown()) == 2


def test_a_success_nobody_can_read_is_judged_as_the_channel_says(
    ledger: Ledger, case: Case
) -> None:
    reply, expected = case.garbled_success
    rows = _rows(ledger, case, 1)
    with Provider(lambda _: reply) as provider:
        report = _send(ledger, case, provider.url, rows)

    counted = {
        OutcomeClass.UNKNOWN: report.counts.unknown,
        OutcomeClass.ACCEPTED: report.counts.accepted,
    }
    assert counted[expected] == 1


def test_a_provider_that_is_down_loses_nothing(ledger: Ledger, case: Case) -> None:
    rows = _rows(ledger, case, 3)
    report = _send(ledger, case, f"http://127.0.0.1:{free_port()}", rows)
    assert (report.counts.retried, report.status) == (3, "partial")

    later = clock(NOON + timedelta(minutes=5))
    with Provider(case.accept) as provider:
        report = send_messages(
            ledger,
            case.build(provider.url, WIDE),
            rows,
            content=CONTENT,
            run_as_of=later.now(),
            clock=later,
        )
    assert report.counts.accepted == 3


class _PassingTime:
    """Real time for a transport: it passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = NOON
        self.slept: list[float] = []

    def wall(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)
        await asyncio.sleep(0)


def test_retry_after_is_honoured_and_binds_every_process(ledger: Ledger, case: Case) -> None:
    time = _PassingTime()
    calls: list[datetime] = []
    seen: list[tuple[int, float]] = []

    def handler(request: Received) -> Reply:
        calls.append(time.now)
        return case.throttle if len(calls) == 1 else case.accept(request)

    rows = _rows(ledger, case, 1)
    with Provider(handler) as provider:
        channel = case.build(provider.url, WIDE)

        async def sleep(seconds: float) -> None:
            bucket = RateLimit(destination=channel.destination, per_second=1e6, burst=1e6)
            seen.append(ledger.take_tokens(bucket, want=1, wall=time.now))
            await time.sleep(seconds)

        report = send_messages(
            ledger,
            channel,
            rows,
            content=CONTENT,
            run_as_of=NOON,
            clock=clock(),
            transport=Transport(wall=time.wall, sleep=sleep, jitter=lambda: 0.0),
        )

    assert report.counts.accepted == 1
    assert calls[1] - calls[0] >= timedelta(seconds=3)
    assert seen[0] == (0, 3.0)


def test_a_stop_leaves_the_rest_planned_and_ready_for_the_next_run(
    ledger: Ledger, case: Case
) -> None:
    rows = _rows(ledger, case, 30)
    with Provider(lambda _: case.stop) as provider:
        report = _send(ledger, case, provider.url, rows, window=4)
        assert len(provider.received) <= 4

        assert report.status == "stopped"
        assert report.detail is not None
        assert report.counts.retried + report.refused["stopped"] == 30
        provider.handler = case.accept
        assert _send(ledger, case, provider.url, rows).counts.accepted == 30


def test_one_bad_row_does_not_hurt_a_good_one(ledger: Ledger, case: Case) -> None:
    decided = [case.decide(number) for number in range(1, 4)]
    decided.append(case.decide(4, address=case.bad_address))
    decided.append(case.decide(5, variables="{"))
    rows = record(ledger, decided)

    def handler(request: Received) -> Reply:
        return case.refuse if case.key_of(request) == "i0002" else case.accept(request)

    with Provider(handler) as provider:
        report = _send(ledger, case, provider.url, rows)

    assert (report.counts.accepted, report.counts.rejected, report.counts.skipped) == (2, 1, 2)
    assert report.refused == {"invalid_address": 1, "invalid_content": 1}
    assert [ledger.history(f"i000{number}")[-1][:2] for number in range(1, 6)] == [
        ("sent", "sent"),
        ("skipped", "provider_rejected"),
        ("sent", "sent"),
        ("skipped", "invalid_address"),
        ("skipped", "invalid_content"),
    ]


def test_never_more_claimed_without_an_answer_on_disk_than_the_window(
    ledger: Ledger, case: Case
) -> None:
    rows = _rows(ledger, case, 40)
    claimed: list[int] = []
    counting = select(func.count()).where(attempts.c.status == "claimed")

    def handler(request: Received) -> Reply:
        with ledger.engine.connect() as connection:
            claimed.append(connection.scalar(counting) or 0)
        return case.accept(request)

    with Provider(handler) as provider:
        report = _send(ledger, case, provider.url, rows, window=3)

    assert report.counts.accepted == 40
    assert 1 <= max(claimed) <= 3
    assert min(claimed) >= 1


def test_an_unregistered_channel_or_foreign_settings_are_refused(name: str) -> None:
    with pytest.raises(UnknownChannelError, match=f"registered are {', '.join(sorted(CHANNELS))}"):
        build_channel("pigeon", object())
    with pytest.raises(UnknownChannelError, match=CHANNELS[name].config.__name__):
        build_channel(name, object())
