from __future__ import annotations

import json

import pytest

from activations.channels.whatsapp import WhatsAppChannel, WhatsAppConfig
from activations.errors import ConfigurationError
from activations.outcomes import OutcomeClass, StopScope, SuppressionScope
from activations.transport import HttpAnswer
from tests.activations.world import CONTENT, NOON, decision, row_of

_CHANNEL = WhatsAppChannel(WhatsAppConfig(phone_number_id="1055", access_token="t"))


def _answer(status: int, document: object, **headers: str) -> HttpAnswer:
    return HttpAnswer(
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        body=json.dumps(document).encode(),
        received_at=NOON,
    )


def _error(code: int, **headers: str) -> HttpAnswer:
    return _answer(400, {"error": {"code": code, "message": "to +919812345678"}}, **headers)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("accepted", OutcomeClass.ACCEPTED),
        ("held_for_quality_assessment", OutcomeClass.ACCEPTED),
        ("paused", OutcomeClass.UNKNOWN),
        (None, OutcomeClass.ACCEPTED),
    ],
)
def test_a_success_is_read_with_its_message_status(
    status: str | None, expected: OutcomeClass
) -> None:
    message = {"id": "wamid.1"} | ({"message_status": status} if status else {})
    outcome = _CHANNEL.classify(_answer(200, {"messages": [message]}))

    assert outcome.outcome is expected
    assert outcome.provider_message_id == "wamid.1"


@pytest.mark.parametrize("document", [{}, {"messages": []}, {"messages": [{"id": ""}]}, []])
def test_a_success_without_a_message_id_is_unknown(document: object) -> None:
    assert _CHANNEL.classify(_answer(200, document)).outcome is OutcomeClass.UNKNOWN


def test_a_stopped_person_is_suppressed_for_marketing_only() -> None:
    outcome = _CHANNEL.classify(_error(131050))
    assert outcome.suppress_scope is SuppressionScope.PROMOTIONAL


def test_an_undeliverable_number_is_suppressed_only_after_some_times() -> None:
    outcome = _CHANNEL.classify(_error(131026))
    assert outcome.outcome is OutcomeClass.PERM
    assert outcome.suppress_after == 3
    assert outcome.suppress_for is not None


@pytest.mark.parametrize("code", [132001, 132007, 132015, 132016, 132068, 132069])
def test_a_templates_fault_reaches_that_template_only(code: int) -> None:
    assert _CHANNEL.classify(_error(code)).stop_scope is StopScope.TEMPLATE


@pytest.mark.parametrize("code", [4, 80007, 130429])
def test_limits_slow_the_whole_sender(code: int) -> None:
    outcome = _CHANNEL.classify(_error(code))
    assert outcome.throttled
    assert outcome.retry_after is not None
    assert _CHANNEL.classify(_error(code, retry_after="500")).retry_after == 500.0


def test_the_cap_of_a_person_holds_a_day_at_least() -> None:
    outcome = _CHANNEL.classify(_error(131049, retry_after="5"))
    assert (outcome.outcome, outcome.retry_after) == (OutcomeClass.HOLD, 86400.0)


@pytest.mark.parametrize(("code", "tries"), [(131000, 3), (131052, 2), (131053, 2), (135000, 2)])
def test_some_faults_are_tried_a_few_times_only(code: int, tries: int) -> None:
    assert _CHANNEL.classify(_error(code)).max_tries == tries


def test_a_providers_words_are_stored_without_the_number_they_name() -> None:
    detail = _CHANNEL.classify(_error(999001)).error_detail
    assert detail is not None
    assert "9812345678" not in detail


def test_the_address_goes_out_without_its_plus() -> None:
    request = _CHANNEL.prepare(row_of(decision()), CONTENT)
    assert json.loads(request.body)["to"] == "919800000001"
    assert request.url == "https://graph.facebook.com/v23.0/1055/messages"


def test_a_sender_without_id_or_token_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="access token"):
        WhatsAppChannel(WhatsAppConfig(phone_number_id="1055", access_token=""))
