from __future__ import annotations

import json

import pytest

from activations.channels.email import EmailChannel, EmailConfig
from activations.errors import ConfigurationError
from activations.outcomes import OutcomeClass
from activations.transport import HttpAnswer
from tests.activations.world import CONTENT, NOON, decision, row_of

_CHANNEL = EmailChannel(EmailConfig(api_key="k", from_email="hello@shop.example"))


def _answer(status: int, document: object = None, **headers: str) -> HttpAnswer:
    return HttpAnswer(
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        body=json.dumps(document).encode(),
        received_at=NOON,
    )


def test_a_rate_limit_waits_for_the_reset_the_provider_names() -> None:
    reset = str(int(NOON.timestamp()) + 42)
    outcome = _CHANNEL.classify(_answer(429, x_ratelimit_reset=reset))
    assert (outcome.outcome, outcome.retry_after) == (OutcomeClass.RETRY, 42.0)
    assert outcome.throttled


@pytest.mark.parametrize(("ahead", "wait"), [(-500, 0.0), (10**9, 3600.0)])
def test_a_wrong_clock_of_theirs_silences_nothing_for_long(ahead: int, wait: float) -> None:
    reset = str(int(NOON.timestamp()) + ahead)
    assert _CHANNEL.classify(_answer(429, x_ratelimit_reset=reset)).retry_after == wait


def test_a_refused_address_is_not_repeated_in_what_is_stored() -> None:
    errors = [{"field": "personalizations.0.to", "message": "asha@mail.example is not valid"}]
    outcome = _CHANNEL.classify(_answer(400, {"errors": errors}))
    assert outcome.outcome is OutcomeClass.PERM
    assert "asha" not in (outcome.error_detail or "")


def test_a_refused_sender_stops_the_channel_because_no_row_is_to_blame() -> None:
    errors = [{"field": "from.email", "message": "does not match a verified sender"}]
    assert _CHANNEL.classify(_answer(400, {"errors": errors})).outcome is OutcomeClass.STOP


def test_an_accepted_mail_without_id_is_still_accepted() -> None:
    outcome = _CHANNEL.classify(_answer(202))
    assert (outcome.outcome, outcome.provider_message_id) == (OutcomeClass.ACCEPTED, None)


def test_a_service_mail_has_no_unsubscribe_headers_and_no_person_in_its_arguments() -> None:
    planned = decision(channel="email", purpose="service", template_id="pickup_0")
    mail = json.loads(_CHANNEL.prepare(row_of(planned), CONTENT).body)

    assert "headers" not in mail
    arguments = mail["personalizations"][0]["custom_args"]
    assert set(arguments) == {"intent_key", "journey_key", "step_key", "template_id"}
    assert "person1@mail.example" not in json.dumps(arguments)


def test_a_promotional_mail_can_be_left_with_one_click() -> None:
    mail = json.loads(_CHANNEL.prepare(row_of(decision(channel="email")), CONTENT).body)

    assert mail["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["headers"]["List-Unsubscribe"].startswith("<https://go.example/u/")


def test_a_sender_without_key_or_address_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="API key"):
        EmailChannel(EmailConfig(api_key="", from_email="a@b.co"))
