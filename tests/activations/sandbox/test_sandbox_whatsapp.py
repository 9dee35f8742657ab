"""The WhatsApp emulator accepts what the real API accepts and refuses with the real codes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import requests

from activations.sandbox.client import SandboxClient
from activations.sandbox.config import (
    SandboxConfig,
    WhatsAppTemplate,
)
from activations.sandbox.records import Channel, RecipientRule
from activations.sandbox.server import RunningSandbox, running_sandbox
from tests.activations.sandbox.payloads import NOW, post_whatsapp, text, whatsapp_message, with_body


def test_an_accepted_template_is_listed_with_what_the_person_reads(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    answer = post_whatsapp(http, sandbox, whatsapp_message())

    assert answer.status_code == 200
    document = answer.json()
    assert document["messaging_product"] == "whatsapp"
    assert document["contacts"] == [{"input": "+919812345678", "wa_id": "919812345678"}]
    [accepted] = document["messages"]
    assert accepted["message_status"] == "accepted"
    [listed] = control.fetch_messages()
    assert listed.message_id == accepted["id"]
    assert listed.message_id.startswith("wamid.")
    assert listed.channel == "whatsapp"
    assert listed.client_reference == "intent-1"
    assert listed.to == "+919812345678"
    assert listed.template == "apv_0"
    assert listed.category == "marketing"
    assert listed.variables == {
        "1": "Asha",
        "2": "Pixel 7",
        "3": "₹21,000",
        "4": "https://go.example/r/abc",
    }
    assert listed.text == "Hi Asha, your Pixel 7 is worth ₹21,000. https://go.example/r/abc"
    assert listed.links == ("https://go.example/r/abc",)
    assert listed.accepted_at == NOW
    assert "919812345678" not in repr(listed)


def test_the_same_message_twice_is_two_messages_since_the_api_has_no_idempotency(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    first = post_whatsapp(http, sandbox, whatsapp_message()).json()["messages"][0]["id"]
    second = post_whatsapp(http, sandbox, whatsapp_message()).json()["messages"][0]["id"]

    assert first != second
    assert len(control.fetch_messages()) == 2


def test_a_named_template_takes_named_parameters(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    body = with_body(name="named")
    body["template"]["components"][0]["parameters"] = [
        {"type": "text", "parameter_name": "order_id", "text": "CK1"},
        {"type": "text", "parameter_name": "first_name", "text": "Asha"},
    ]

    assert post_whatsapp(http, sandbox, body).status_code == 200
    assert control.fetch_messages()[0].text == "Asha: CK1"


def test_header_and_button_parameters_are_taken(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    body = with_body(name="with_button")
    body["template"]["components"] = [
        {"type": "header", "parameters": text("Asha")},
        {"type": "body", "parameters": text("this")},
        {"type": "button", "sub_type": "url", "index": "0", "parameters": text("r/abc")},
    ]

    assert post_whatsapp(http, sandbox, body).status_code == 200
    assert control.fetch_messages()[0].variables == {
        "1": "this",
        "header1": "Asha",
        "button0": "r/abc",
    }


def _without(name: str) -> dict[str, Any]:
    return {key: value for key, value in whatsapp_message().items() if key != name}


def named(template: str) -> dict[str, Any]:
    return whatsapp_message(template={"name": template, "language": {"code": "en"}})


REFUSED = {
    "parameter count": (with_body("a", "b"), 132000, 400),
    "unknown template": (with_body("a", name="nothing"), 132001, 404),
    "language it was not translated to": (
        whatsapp_message(template={"name": "apv_0", "language": {"code": "hi"}}),
        132001,
        404,
    ),
    "template in review": (named("pending"), 132001, 404),
    "paused template": (named("paused"), 132015, 400),
    "disabled template": (named("disabled"), 132016, 400),
    "newline in a parameter": (with_body("a\nb", "b", "c", "d"), 132018, 400),
    "tab in a parameter": (with_body("a\tb", "b", "c", "d"), 132018, 400),
    "five spaces in a parameter": (with_body("a     b", "b", "c", "d"), 132018, 400),
    "text too long": (with_body("a" * 1000, "b", "c", "d"), 132005, 400),
    "empty parameter": (with_body("", "b", "c", "d"), 131008, 400),
    "no recipient": (_without("to"), 131008, 400),
    "recipient that is no number": (whatsapp_message(to="asha"), 131009, 400),
    "recipient without country code": (whatsapp_message(to="12345"), 131009, 400),
    "no template": (_without("template"), 131008, 400),
    "sender as recipient": (whatsapp_message(to="918000000001"), 131021, 400),
    "callback data too long": (whatsapp_message(biz_opaque_callback_data="x" * 513), 131009, 400),
    "message type": (whatsapp_message(type="sticker"), 131051, 400),
    "messaging product": (whatsapp_message(messaging_product="sms"), 100, 400),
    "no object": ([], 100, 400),
    "positional parameter for a named template": (with_body("a", "b", name="named"), 132012, 400),
    "missing button parameter": (
        whatsapp_message(
            template={
                "name": "with_button",
                "language": {"code": "en"},
                "components": [
                    {"type": "header", "parameters": text("a")},
                    {"type": "body", "parameters": text("b")},
                ],
            }
        ),
        131008,
        400,
    ),
}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.replace(" ", "_"))
def test_a_bad_request_is_refused_with_the_real_code(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session, case: str
) -> None:
    body, code, status = REFUSED[case]

    answer = post_whatsapp(http, sandbox, body)

    error = answer.json()["error"]
    assert (error["code"], answer.status_code) == (code, status)
    assert error["type"] == "OAuthException"
    assert error["error_data"]["messaging_product"] == "whatsapp"
    assert error["fbtrace_id"]
    assert control.fetch_messages() == []


def test_four_spaces_in_a_parameter_are_still_allowed(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    assert post_whatsapp(http, sandbox, with_body("a    b", "b", "c", "d")).status_code == 200


def test_a_wrong_token_is_error_190(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    answer = post_whatsapp(http, sandbox, whatsapp_message(), token="other")

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, 190)


def test_a_foreign_sender_is_error_100_subcode_33(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    error = post_whatsapp(http, sandbox, whatsapp_message(), sender="999").json()["error"]

    assert (error["code"], error["error_subcode"]) == (100, 33)


def test_a_number_programmed_as_not_on_whatsapp_is_131026(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    control.program_recipients(RecipientRule(pattern=r"\+9198123\d+"))

    assert post_whatsapp(http, sandbox, whatsapp_message()).json()["error"]["code"] == 131026
    assert post_whatsapp(http, sandbox, whatsapp_message(to="+919700000001")).status_code == 200


def test_a_rule_at_receipt_accepts_and_shows_the_fate(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    control.program_recipients(RecipientRule(pattern=r"\+91.*", code=131049, at="receipt"))

    assert post_whatsapp(http, sandbox, whatsapp_message()).status_code == 200
    assert control.fetch_messages()[0].fate == "131049"


def test_free_text_outside_the_service_window_is_taken_and_fated_to_fail(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    free = {
        "messaging_product": "whatsapp",
        "to": "919812345678",
        "type": "text",
        "text": {"body": "hello"},
    }

    sandbox.state.note_inbound("919700000001", NOW - timedelta(hours=23))
    assert post_whatsapp(http, sandbox, free).status_code == 200
    assert post_whatsapp(http, sandbox, free | {"to": "919700000001"}).status_code == 200
    assert [each.fate for each in control.fetch_messages()] == ["131047", ""]


def test_marketing_to_a_person_who_stopped_it_is_131050_and_utility_goes_through(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    sandbox.state.apply_preference("919812345678", stop=True)

    assert post_whatsapp(http, sandbox, whatsapp_message()).json()["error"]["code"] == 131050
    assert (
        post_whatsapp(http, sandbox, with_body("2 Nov", "4 pm", name="pickup_0")).status_code == 200
    )
    sandbox.state.apply_preference("919812345678", stop=False)
    assert post_whatsapp(http, sandbox, whatsapp_message()).status_code == 200


def test_more_than_the_throughput_of_a_number_is_130429(http: requests.Session) -> None:
    template = WhatsAppTemplate(name="t", language="en", category="utility", body="hi")
    config = SandboxConfig(templates={("t", "en"): template}, whatsapp_per_second=0.001)
    with running_sandbox(config) as slow:
        answers = [post_whatsapp(http, slow, named("t")) for _ in range(3)]

    assert [each.status_code for each in answers] == [200, 429, 429]
    assert answers[-1].json()["error"]["code"] == 130429


def test_a_test_number_writes_only_to_its_list(http: requests.Session) -> None:
    config = SandboxConfig(whatsapp_allowed_recipients=frozenset({"919700000001"}))
    with running_sandbox(config) as limited:
        assert post_whatsapp(http, limited, whatsapp_message()).json()["error"]["code"] == 131030


def test_ids_differ_between_two_starts_and_are_repeatable_with_a_seed(
    http: requests.Session,
) -> None:
    template = WhatsAppTemplate(name="t", language="en", category="utility", body="hi")

    def first_id(seed: str | None) -> str:
        config = SandboxConfig(templates={("t", "en"): template}, id_seed=seed)
        with running_sandbox(config) as running:
            body = whatsapp_message(template={"name": "t", "language": {"code": "en"}})
            return post_whatsapp(http, running, body).json()["messages"][0]["id"]

    assert first_id(None) != first_id(None)
    assert first_id("a") == first_id("a")


def test_rules_of_the_email_channel_leave_whatsapp_alone(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    control.program_recipients(RecipientRule(pattern=".*", channel=Channel.EMAIL))

    assert post_whatsapp(http, sandbox, whatsapp_message()).status_code == 200
