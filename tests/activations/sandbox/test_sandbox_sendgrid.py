"""The SendGrid emulator accepts what the real API accepts and refuses in its shape."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import requests

from activations.sandbox.client import SandboxClient, SandboxClientError
from activations.sandbox.config import DEFAULT_SENDGRID_API_KEY
from activations.sandbox.records import Channel, RecipientRule
from activations.sandbox.server import RunningSandbox
from tests.activations.sandbox.payloads import NOW, mail, post_mail


def person(**changes: Any) -> dict[str, Any]:
    return {"to": [{"email": "asha@mail.example"}]} | changes


def test_accepted_mail_is_202_empty_with_an_id_and_is_listed(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    answer = post_mail(http, sandbox, mail())

    assert (answer.status_code, answer.content) == (202, b"")
    [listed] = control.fetch_messages()
    assert listed.message_id == answer.headers["X-Message-Id"]
    assert listed.channel == "email"
    assert listed.to == "asha@mail.example"
    assert listed.client_reference == "intent-9"
    assert listed.variables == {"intent_key": "intent-9", "journey_key": "abandoned_price_view"}
    assert listed.subject == "Your Pixel 7"
    assert listed.category == "abandoned_price_view"
    assert listed.links == ("https://go.example/r/abc?a=1&b=2", "https://go.example/r/abc")
    assert listed.unsubscribe_url == "https://go.example/u/tok"
    assert listed.accepted_at == NOW
    assert "See</a>" in control.fetch_body(listed.message_id)


def test_only_the_newest_bodies_are_kept(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    first, _, last = (post_mail(http, sandbox, mail()).headers["X-Message-Id"] for _ in range(3))

    assert control.fetch_body(last)
    with pytest.raises(SandboxClientError, match="keeps no body"):
        control.fetch_body(first)


def test_one_id_answers_all_personalizations_and_each_is_a_message(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    people = [person(to=[{"email": f"p{n}@mail.example"}]) for n in range(3)]

    request_id = post_mail(http, sandbox, mail(personalizations=people)).headers["X-Message-Id"]

    assert [each.message_id for each in control.fetch_messages()] == [
        request_id,
        f"{request_id}.1",
        f"{request_id}.2",
    ]


def _content(*kinds: str) -> list[dict[str, str]]:
    return [{"type": kind, "value": "x"} for kind in kinds]


REFUSED: dict[str, tuple[Any, str | None]] = {
    "no personalizations": (mail(personalizations=[]), "personalizations"),
    "1001 personalizations": (
        mail(personalizations=[person(to=[{"email": f"p{n}@m.example"}]) for n in range(1001)]),
        "personalizations",
    ),
    "1001 recipients": (
        mail(
            personalizations=[
                person(bcc=[{"email": f"p{n}@m.example"} for n in range(1000)]),
            ]
        ),
        "personalizations",
    ),
    "no recipient": (mail(personalizations=[{"subject": "x"}]), "personalizations.0"),
    "bad recipient": (
        mail(personalizations=[person(to=[{"email": "asha"}])]),
        "personalizations.0.to.0.email",
    ),
    "one address twice": (
        mail(personalizations=[person(cc=[{"email": "ASHA@mail.example"}])]),
        "personalizations.0",
    ),
    "no sender": (mail(**{"from": {}}), "from.email"),
    "no subject": (mail(subject=""), "subject"),
    "no content": (mail(content=[]), "content"),
    "empty content": (mail(content=[{"type": "text/plain", "value": ""}]), "content.0.value"),
    "html before plain": (mail(content=_content("text/html", "text/plain")), "content"),
    "eleven categories": (mail(categories=[str(n) for n in range(11)]), "categories"),
    "one category twice": (mail(categories=["a", "a"]), "categories"),
    "custom args over 10,000 bytes": (
        mail(custom_args={"a": "x" * 10_000}),
        "personalizations.0.custom_args",
    ),
    "custom arg that is a number": (mail(custom_args={"a": 1}), "custom_args.a"),
    "send_at beyond 72 hours": (
        mail(send_at=int((NOW + timedelta(hours=73)).timestamp())),
        "send_at",
    ),
    "reserved header": (mail(headers={"Subject": "x"}), "headers"),
    "no object": ([], None),
}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.replace(" ", "_"))
def test_a_bad_request_names_its_field(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session, case: str
) -> None:
    body, field = REFUSED[case]

    answer = post_mail(http, sandbox, body)

    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert error["field"] == field
    assert error["message"]
    assert set(error) == {"message", "field", "help"}
    assert control.fetch_messages() == []


def test_a_server_side_template_needs_neither_subject_nor_content(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    body = mail(template_id="d-1", subject="")
    del body["content"]

    assert post_mail(http, sandbox, body).status_code == 202
    assert control.fetch_messages()[0].template == "d-1"


def test_a_wrong_key_is_401(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    answer = post_mail(http, sandbox, mail(), key="other")

    assert answer.status_code == 401
    assert "authorization grant is invalid" in answer.json()["errors"][0]["message"]


def test_an_unverified_sender_is_403(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    answer = post_mail(http, sandbox, mail(**{"from": {"email": "a@other.example"}}))

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (403, "from")


def test_a_request_over_the_size_limit_is_413(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    content = [{"type": "text/html", "value": "x" * 1_100_000}]

    answer = post_mail(http, sandbox, mail(content=content))

    assert answer.status_code == 413
    assert answer.json()["errors"][0]["message"] == "Payload Too Large"


def test_a_body_that_is_no_json_is_400_and_another_media_type_415(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    url = f"{sandbox.base_url}/v3/mail/send"
    auth = {"Authorization": f"Bearer {DEFAULT_SENDGRID_API_KEY}"}

    broken = http.post(
        url, data="{", headers=auth | {"Content-Type": "application/json"}, timeout=10
    )
    form = http.post(url, data={"a": "b"}, headers=auth, timeout=10)

    assert (broken.status_code, form.status_code) == (400, 415)


def test_a_programmed_mailbox_is_taken_and_fated(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    rule = RecipientRule(
        pattern="asha@.*", channel=Channel.EMAIL, at="receipt", reason="mailbox full"
    )
    control.program_recipients(rule)

    post_mail(http, sandbox, mail())

    assert control.fetch_messages()[0].fate == "mailbox full"
