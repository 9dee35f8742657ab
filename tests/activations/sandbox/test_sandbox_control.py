"""Faults, listing, clock, bounds: the control API and its client."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

import activations
from activations.sandbox.client import SandboxClient, SandboxClientError
from activations.sandbox.config import (
    SandboxConfig,
    SandboxConfigError,
    WhatsAppTemplate,
    load_templates,
)
from activations.sandbox.records import Channel, ControlError, Fault, FaultKind, Receipt
from activations.sandbox.server import RunningSandbox, running_sandbox
from activations.sandbox.state import Audience, SandboxState
from tests.activations.sandbox.payloads import (
    NOW,
    mail,
    post_mail,
    post_whatsapp,
    whatsapp_message,
)


def test_a_rate_limit_fault_fires_as_often_as_told_and_nothing_is_accepted_meanwhile(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    control.program_faults(Fault(kind=FaultKind.RATE_LIMIT, times=2, retry_after_seconds=7))

    answers = [post_whatsapp(http, sandbox, whatsapp_message()) for _ in range(3)]

    assert [each.status_code for each in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "7"
    assert answers[0].json()["error"]["code"] == 130429
    assert len(control.fetch_messages()) == 1


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (FaultKind.SERVER_ERROR, 500),
        (FaultKind.UNAVAILABLE, 503),
        (FaultKind.EXPIRED_TOKEN, 401),
        (FaultKind.RATE_LIMIT, 429),
    ],
)
def test_each_provider_words_a_fault_in_its_own_shape(
    sandbox: RunningSandbox,
    control: SandboxClient,
    http: requests.Session,
    kind: FaultKind,
    status: int,
) -> None:
    control.program_faults(Fault(kind=kind, times=2))

    whatsapp = post_whatsapp(http, sandbox, whatsapp_message())
    email = post_mail(http, sandbox, mail())

    assert (whatsapp.status_code, email.status_code) == (status, status)
    assert whatsapp.json()["error"]["fbtrace_id"]
    assert email.json()["errors"][0]["message"]
    assert control.fetch_messages() == []


def test_an_expired_token_says_so(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    control.program_faults(Fault(kind=FaultKind.EXPIRED_TOKEN))

    error = post_whatsapp(http, sandbox, whatsapp_message()).json()["error"]

    assert (error["code"], error["error_subcode"]) == (190, 463)


def test_a_programmed_provider_code_is_answered(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    control.program_faults(Fault(kind=FaultKind.PROVIDER_ERROR, code=131048))

    answer = post_whatsapp(http, sandbox, whatsapp_message())

    assert (answer.status_code, answer.json()["error"]["code"]) == (429, 131048)


def test_a_dropped_connection_loses_the_answer_and_the_message_went_out(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    control.program_faults(Fault(kind=FaultKind.DROP))

    with pytest.raises(requests.ConnectionError):
        post_whatsapp(http, sandbox, whatsapp_message())

    assert [each.client_reference for each in control.fetch_messages()] == ["intent-1"]


def test_a_drop_before_effect_leaves_nothing(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    control.program_faults(Fault(kind=FaultKind.DROP, carried_out=False))

    with pytest.raises(requests.ConnectionError):
        post_whatsapp(http, sandbox, whatsapp_message())

    assert control.fetch_messages() == []


def test_a_garbled_answer_is_no_json_and_the_message_went_out(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    control.program_faults(Fault(kind=FaultKind.MALFORMED))

    answer = post_whatsapp(http, sandbox, whatsapp_message())

    assert answer.status_code == 200
    with pytest.raises(requests.JSONDecodeError):
        answer.json()
    assert len(control.fetch_messages()) == 1


def test_a_delay_longer_than_the_callers_patience_is_a_timeout(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    control.program_faults(Fault(kind=FaultKind.DELAY, delay_seconds=2.0))

    with pytest.raises(requests.ReadTimeout):
        http.post(
            f"{sandbox.base_url}/v3/mail/send",
            json=mail(),
            headers={"Authorization": "Bearer sandbox-sendgrid-key"},
            timeout=(10, 0.5),
        )
    assert len(control.fetch_messages()) == 1


def test_a_short_delay_is_only_slow(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    control.program_faults(Fault(kind=FaultKind.DELAY, delay_seconds=0.05))

    started = time.monotonic()
    answer = post_whatsapp(http, sandbox, whatsapp_message())

    assert answer.status_code == 200
    assert time.monotonic() - started >= 0.05


def test_a_fault_by_address_and_channel_meets_nobody_else(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    control.program_faults(
        Fault(
            kind=FaultKind.SERVER_ERROR,
            channel=Channel.WHATSAPP,
            times=None,
            address_pattern=r"^\+9198",
        )
    )

    assert post_whatsapp(http, sandbox, whatsapp_message()).status_code == 500
    assert post_whatsapp(http, sandbox, whatsapp_message(to="+919700000001")).status_code == 200
    assert post_mail(http, sandbox, mail()).status_code == 202
    assert control.fetch_faults()[0]["fired"] == 1
    assert control.clear_faults() == 1
    assert post_whatsapp(http, sandbox, whatsapp_message()).status_code == 200


def test_chance_depends_on_seed_and_reference_and_not_on_the_order_of_requests() -> None:
    references = [f"intent-{n}" for n in range(200)]

    def hit(order: list[str], seed: int) -> set[str]:
        state = SandboxState(SandboxConfig())
        state.add_fault(Fault(kind=FaultKind.SERVER_ERROR, times=None, probability=0.3, seed=seed))
        return {
            each for each in order if state.take_fault(Channel.EMAIL, address="", reference=each)
        }

    assert hit(references, 1) == hit(references[::-1], 1)
    assert hit(references, 1) != hit(references, 2)
    assert 35 <= len(hit(references, 1)) <= 85


def test_a_retry_draws_anew() -> None:
    state = SandboxState(SandboxConfig())
    state.add_fault(Fault(kind=FaultKind.SERVER_ERROR, times=None, probability=0.5))

    draws = [
        state.take_fault(Channel.EMAIL, address="", reference="one") is None for _ in range(50)
    ]

    assert 10 <= sum(draws) <= 40


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "typo"},
        {"kind": "drop", "channel": "pigeon"},
        {"kind": "drop", "tiems": 3},
        {"kind": "drop", "times": 0},
        {"kind": "drop", "probability": 2},
        {"kind": "drop", "address_pattern": "("},
        [],
    ],
)
def test_a_misspelt_fault_is_refused_instead_of_never_firing(document: object) -> None:
    with pytest.raises(ControlError):
        Fault.from_json(document)


def test_the_control_api_says_what_is_wrong(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    url = f"{sandbox.base_url}/_sandbox"

    unknown = http.post(f"{url}/faults", json={"kind": "drop", "tiems": 1}, timeout=10)
    broken = http.post(f"{url}/clock", data="{", timeout=10)
    naive = http.post(f"{url}/clock", json={"now": "2026-11-02T10:00:00"}, timeout=10)

    assert (unknown.status_code, unknown.json()["error"]) == (400, "fault: unknown tiems")
    assert broken.status_code == 400
    assert naive.json()["error"] == "a time must carry its zone"


def test_receipts_without_a_gateway_are_refused(
    sandbox: RunningSandbox, control: SandboxClient
) -> None:
    control.set_gateway(None)

    with pytest.raises(SandboxClientError, match="no gateway"):
        control.send_receipts([Receipt(event="sent", occurred_at=NOW, message_id="x")])


def test_the_set_clock_is_the_acceptance_time_and_a_header_overrides_it(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    earlier = NOW - timedelta(days=1)
    assert control.set_clock(earlier) == earlier
    http.post(f"{sandbox.base_url}/slack/services/T1/B1/x", json={"text": "x"}, timeout=10)
    post_whatsapp(http, sandbox, whatsapp_message())

    assert [each.accepted_at for each in control.fetch_messages()] == [earlier, NOW]


def test_messages_are_paged_by_sequence_and_numbers_go_on_over_a_reset(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    for _ in range(5):
        post_whatsapp(http, sandbox, whatsapp_message())

    listed = list(control.iterate_messages(page=2))
    assert len(listed) == 5
    assert [each.seq for each in listed] == list(range(listed[0].seq, listed[0].seq + 5))
    assert control.fetch_messages(after_seq=listed[3].seq) == [listed[4]]
    assert control.fetch_messages(after_seq=listed[0].seq, limit=2) == listed[1:3]
    control.reset()
    assert control.fetch_messages() == []
    post_whatsapp(http, sandbox, whatsapp_message())
    assert control.fetch_messages()[0].seq > listed[-1].seq


def test_the_store_is_bounded_and_says_what_it_dropped(http: requests.Session) -> None:
    template = WhatsAppTemplate(name="t", language="en", category="utility", body="hi")
    config = SandboxConfig(templates={("t", "en"): template}, max_messages=3)
    with running_sandbox(config) as small, SandboxClient(small.base_url) as client:
        body = whatsapp_message(template={"name": "t", "language": {"code": "en"}})
        for _ in range(5):
            post_whatsapp(http, small, body)

        assert [each.seq for each in client.fetch_messages()] == [3, 4, 5]
        assert client.fetch_stats()["counters"]["messages_evicted"] == 2


def test_stats_count_by_channel_and_outcome(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    post_whatsapp(http, sandbox, whatsapp_message())
    post_whatsapp(http, sandbox, whatsapp_message(), token="no")

    counters = control.fetch_stats()["counters"]

    assert counters["whatsapp.requests"] == 2
    assert counters["whatsapp.accepted"] == 1
    assert counters["whatsapp.error_190"] == 1


def test_a_client_of_nothing_says_that_nothing_runs() -> None:
    with (
        SandboxClient("http://127.0.0.1:9") as client,
        pytest.raises(SandboxClientError, match="is it running"),
    ):
        client.fetch_stats()


def test_templates_come_from_the_senders_own_files(tmp_path: Path) -> None:
    (tmp_path / "apv_0.en.yaml").write_text(
        "name: apv_0\nlanguage: en\ncategory: MARKETING\nbody: 'Hi {{1}} {{2}} {{1}}'\n"
        "parameters: [first_name, device]\n"
        "buttons: [{type: url, text: See, url: 'https://x.example/{{1}}'}]\n",
        encoding="utf-8",
    )

    [template] = load_templates(tmp_path).values()

    assert template.category == "marketing"
    assert template.body_places() == ("1", "2")
    assert template.url_buttons == {0: "https://x.example/{{1}}"}


def test_the_products_own_templates_load_and_count_their_parameters() -> None:
    folder = Path(activations.__file__).parent / "templates" / "whatsapp"

    templates = load_templates(folder)

    assert len(templates) == len(list(folder.glob("*.yaml"))) > 0
    for template in templates.values():
        places = template.body_places()
        assert places == tuple(str(number + 1) for number in range(len(places)))


def test_concurrent_senders_get_distinct_ids_and_unbroken_numbers(
    sandbox: RunningSandbox, control: SandboxClient
) -> None:
    def send(reference: int) -> None:
        with requests.Session() as session:
            session.trust_env = False
            body = whatsapp_message(biz_opaque_callback_data=str(reference))
            assert post_whatsapp(session, sandbox, body).status_code == 200

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(64)))

    listed = control.fetch_messages()
    assert {each.client_reference for each in listed} == {str(n) for n in range(64)}
    assert len({each.message_id for each in listed}) == 64
    assert [each.seq for each in listed] == list(range(listed[0].seq, listed[0].seq + 64))


@pytest.mark.parametrize("text", ["name: a\n", "[]", "a: [", "name: a\nlanguage: en\nbody: x\n"])
def test_a_broken_template_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.yaml").write_text(text, encoding="utf-8")

    with pytest.raises(SandboxConfigError, match=r"bad\.yaml"):
        load_templates(tmp_path)


def test_secrets_and_recipients_are_not_in_a_repr() -> None:
    config = SandboxConfig(
        whatsapp_token="t0k3n", sendgrid_api_key="SG.k3y", meta_token="m3ta",
        whatsapp_app_secret="s3cret", whatsapp_allowed_recipients=frozenset({"919812345678"}),
    )  # fmt: skip
    receipt = Receipt(event="reply", occurred_at=NOW, channel="whatsapp", address="+919812345678")

    assert not any(
        part in repr(config) + repr(receipt)
        for part in ("t0k3n", "k3y", "m3ta", "s3cret", "919812345678")
    )


_PAIRS = st.frozensets(
    st.tuples(st.sampled_from(["EMAIL", "PHONE"]), st.sampled_from("abcd")), min_size=1, max_size=3
)


@given(st.lists(st.tuples(st.booleans(), _PAIRS), max_size=30))
def test_an_audience_is_the_set_that_adds_and_removals_leave(
    steps: list[tuple[bool, frozenset[tuple[str, str]]]],
) -> None:
    audience = Audience()
    expected: set[frozenset[tuple[str, str]]] = set()
    for is_add, pairs in steps:
        if is_add:
            assert audience.add(pairs) == (pairs not in expected)
            expected.add(pairs)
        else:
            gone = {member for member in expected if member >= pairs}
            assert audience.remove(pairs) == len(gone)
            expected -= gone
    assert set(audience.members) == expected
