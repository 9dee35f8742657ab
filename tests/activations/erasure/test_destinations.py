"""Providers asked to forget, over real HTTP: the emulators and a HubSpot stand-in, with their faults."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from activations.audiences.meta_custom_audience import MetaAudienceConfig
from activations.audiences.normalise import hash_email, hash_phone
from activations.erasure.destinations import (
    Answered,
    erase_at_hubspot,
    erase_at_meta,
    erase_at_sendgrid,
    single_identifiers,
)
from activations.ledger import Ledger
from activations.sandbox.client import SandboxClient
from activations.sandbox.records import Channel, Fault, FaultKind
from activations.sandbox.server import RunningSandbox, running_sandbox
from activations.transport import Transport
from tests.sources.crm.hubspot_stand_in import TOKEN, HubSpotStandIn, running_hubspot

MAIL, PHONE = "asha@mail.example", "+919812345678"
AUDIENCE = "23850000000000001"


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    with running_sandbox() as running:
        yield running


@pytest.fixture
def account() -> Iterator[HubSpotStandIn]:
    with running_hubspot() as stand_in:
        yield stand_in


def _impatient() -> Transport:
    """A transport that waits in no time, and whose clock says it did."""
    at = [datetime(2026, 11, 1, tzinfo=UTC)]

    async def wait(seconds: float) -> None:
        at[0] += timedelta(seconds=seconds)

    return Transport(sleep=wait, wall=lambda: at[0])


def _sendgrid(
    ledger: Ledger, url: str, *emails: str, key: str = "sandbox-sendgrid-key"
) -> Answered:
    return erase_at_sendgrid(ledger, emails, api_key=key, base_url=url, transport=_impatient())


def _meta(ledger: Ledger, url: str, *, token: str = "sandbox-meta-token") -> Answered:
    config = MetaAudienceConfig(audience_id=AUDIENCE, access_token=token, base_url=url)
    rows = single_identifiers([hash_email(MAIL)], [hash_phone(PHONE)])
    return erase_at_meta(ledger, rows, config, transport=_impatient())


def _hubspot(ledger: Ledger, url: str, *ids: str, token: str = TOKEN) -> Answered:
    return erase_at_hubspot(ledger, ids, access_token=token, base_url=url, transport=_impatient())


def test_sendgrid_takes_an_erase_job(ledger: Ledger, sandbox: RunningSandbox) -> None:
    answered = _sendgrid(ledger, sandbox.base_url, MAIL, MAIL)
    ((job, addresses),) = sandbox.state.erase_jobs.items()
    assert addresses == (MAIL,)
    assert answered == Answered(is_done=True, detail=f"taken: job {job}", calls=1)


def test_nothing_to_erase_makes_no_request(ledger: Ledger) -> None:
    assert _sendgrid(ledger, "http://127.0.0.1:1").is_done


@pytest.mark.parametrize("kind", [FaultKind.RATE_LIMIT, FaultKind.SERVER_ERROR])
def test_a_passing_fault_is_waited_out(
    ledger: Ledger, sandbox: RunningSandbox, kind: FaultKind
) -> None:
    with SandboxClient(sandbox.base_url) as control:
        control.program_faults(Fault(kind=kind, times=1, retry_after_seconds=0))
        assert _sendgrid(ledger, sandbox.base_url, MAIL).is_done


def test_meta_asking_for_a_minute_is_left_to_the_next_run(
    ledger: Ledger, sandbox: RunningSandbox
) -> None:
    with SandboxClient(sandbox.base_url) as control:
        control.program_faults(Fault(kind=FaultKind.RATE_LIMIT, channel=Channel.META, times=1))
        answered = _meta(ledger, sandbox.base_url)
    assert not answered.is_done
    assert "next run" in str(answered.next_step)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (FaultKind.EXPIRED_TOKEN, "SENDGRID_API_KEY"),
        (FaultKind.SERVER_ERROR, "lifecycle erase"),
        (FaultKind.DROP, "lifecycle erase"),
    ],
)
def test_a_failure_names_the_next_step_and_nobody(
    ledger: Ledger, sandbox: RunningSandbox, kind: FaultKind, said: str
) -> None:
    with SandboxClient(sandbox.base_url) as control:
        control.program_faults(Fault(kind=kind, channel=Channel.EMAIL, times=None))
        answered = _sendgrid(ledger, sandbox.base_url, MAIL)
    assert not answered.is_done
    assert said in str(answered.next_step)
    assert MAIL not in repr(answered)


def test_the_sandbox_refuses_what_sendgrid_refuses(sandbox: RunningSandbox) -> None:
    def ask(body: dict[str, Any], key: str = "sandbox-sendgrid-key") -> int:
        return requests.post(
            f"{sandbox.base_url}/v3/recipients/erasejob",
            json=body,
            headers={"authorization": f"Bearer {key}"},
            timeout=10,
        ).status_code

    assert ask({"email_addresses": [MAIL]}, key="wrong") == 401
    assert ask({"email_addresses": []}) == 400
    assert ask({"email_addresses": ["nobody"]}) == 400
    assert ask({"email_addresses": [f"p{n}@mail.example" for n in range(5_001)]}) == 400
    assert ask({"emails": [MAIL]}) == 400
    assert ask({"email_addresses": ["x" * 300_000]}) == 413
    assert not sandbox.state.erase_jobs


def test_meta_forgets_a_member_by_each_identifier_alone(
    ledger: Ledger, sandbox: RunningSandbox
) -> None:
    audience = sandbox.state.audience(AUDIENCE)
    both = frozenset({("EMAIL", hash_email(MAIL)), ("PHONE", hash_phone(PHONE))})
    phone = frozenset({("PHONE", hash_phone(PHONE)), ("EMAIL", hash_email("old@mail.example"))})
    other = frozenset({("EMAIL", hash_email("ravi@mail.example"))})
    sandbox.state.add_members(audience, [both, phone, other])
    assert _meta(ledger, sandbox.base_url) == Answered(is_done=True, detail="taken", calls=1)
    assert list(audience.members) == [other]
    failed = _meta(ledger, sandbox.base_url, token="wrong")
    assert not failed.is_done
    assert "token" in failed.detail


def test_hubspot_deletes_contacts_for_good_and_only_once(
    ledger: Ledger, account: HubSpotStandIn
) -> None:
    account.save(11, 1, email=MAIL)
    account.save(12, 1, email="ravi@mail.example")
    assert _hubspot(ledger, account.url, "11").is_done
    assert set(account.contacts) == {12}
    assert _hubspot(ledger, account.url, "11").is_done  # already gone


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "HUBSPOT_ACCESS_TOKEN"), (403, "crm.objects.contacts.write"), (500, "lifecycle erase")],
)
def test_hubspot_failures_say_what_to_do(
    ledger: Ledger, account: HubSpotStandIn, status: int, said: str
) -> None:
    account.save(11, 1, email=MAIL)
    account.answers = [(status, {"category": "X"}, {})] * 3
    answered = _hubspot(ledger, account.url, "11")
    assert not answered.is_done
    assert said in str(answered.next_step)
    account.answers = []
    assert _hubspot(ledger, account.url, "11").is_done


def test_hubspot_429_is_waited_out(ledger: Ledger, account: HubSpotStandIn) -> None:
    account.save(11, 1, email=MAIL)
    account.answers = [(429, {"policyName": "TEN_SECONDLY_ROLLING"}, {"Retry-After": "0"})]
    assert _hubspot(ledger, account.url, "11").is_done
    assert not account.contacts
