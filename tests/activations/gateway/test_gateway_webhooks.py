"""Raw webhook requests: signatures, malformed input, isolation of one bad event."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from activations.errors import ConfigurationError, LedgerUnavailableError
from activations.gateway.app import create_gateway
from activations.gateway.config import GatewayConfig
from activations.gateway.landing import Landing
from activations.gateway.reading import Item, Reading
from activations.gateway.rejects import inbound_rejects
from activations.gateway.sendgrid import load_public_key
from activations.gateway.server import running_gateway
from activations.ledger.schema import inbound_events
from activations.rows import InboundEvent
from activations.sandbox.sendgrid import sign as sign_sendgrid
from activations.sandbox.whatsapp import sign as sign_whatsapp
from tests.activations.gateway.world import APP_SECRET, LINK_SECRET, NOW, World

STAMP = str(int(NOW.timestamp()))


def status(wamid: str = "wamid.a", **changes: Any) -> dict[str, Any]:
    record = {
        "id": wamid,
        "status": "delivered",
        "timestamp": STAMP,
        "recipient_id": "919812345678",
        "biz_opaque_callback_data": "i1",
    }
    return record | changes


def envelope(*records: Any, kind: str = "statuses", field: str = "messages") -> dict[str, Any]:
    value = {"messaging_product": "whatsapp", kind: list(records)}
    entry = {"id": "1", "changes": [{"field": field, "value": value}]}
    return {"object": "whatsapp_business_account", "entry": [entry]}


def post_meta(world: World, body: bytes, signature: str | None = None) -> int:
    headers = {
        "X-Hub-Signature-256": sign_whatsapp(APP_SECRET, body) if signature is None else signature
    }
    url = f"{world.url}/webhooks/whatsapp"
    return world.http.post(url, data=body, headers=headers, timeout=10).status_code


def post_document(world: World, document: Any) -> int:
    return post_meta(world, json.dumps(document).encode())


def post_mail_events(world: World, document: Any) -> int:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    headers = {
        "X-Twilio-Email-Event-Webhook-Signature": sign_sendgrid(world.sandbox.state, STAMP, body),
        "X-Twilio-Email-Event-Webhook-Timestamp": STAMP,
    }
    url = f"{world.url}/webhooks/sendgrid"
    return world.http.post(url, data=body, headers=headers, timeout=10).status_code


def mail_event(**changes: Any) -> dict[str, Any]:
    event = {
        "email": "Asha@mail.example",
        "timestamp": int(STAMP),
        "event": "delivered",
        "sg_event_id": "e1",
        "sg_message_id": "abc.recvd-1-2.0",
        "intent_key": "m1",
    }
    return event | changes


def event_ids(world: World) -> set[str]:
    return {row["event_id"] for row in world.rows(inbound_events)}


def test_the_handshake_answers_the_challenge_to_our_token_only(world: World) -> None:
    def shake(**query: str) -> tuple[int, str]:
        dotted = {f"hub.{name}": value for name, value in query.items()}
        answer = world.http.get(f"{world.url}/webhooks/whatsapp", params=dotted, timeout=10)
        return answer.status_code, answer.text

    assert shake(mode="subscribe", verify_token="verify-me", challenge="42") == (200, "42")
    assert shake(mode="subscribe", verify_token="other", challenge="42")[0] == 403
    assert shake(mode="unsubscribe", verify_token="verify-me", challenge="42")[0] == 403
    assert shake()[0] == 403


def test_the_signature_is_over_the_raw_bytes(world: World) -> None:
    # Key order, spaces and escapes differ from what a parser would write again.
    body = (
        b'{ "entry" : [ {"changes":[{"value":{"statuses":['
        + json.dumps(status(wamid="wamid.\u00e9")).encode()
        + b']}}]}] , "object":"whatsapp_business_account"}\r\n'
    )

    assert post_meta(world, body) == 200
    assert event_ids(world) == {"wa:wamid.é:delivered"}


@pytest.mark.parametrize("signature", ["sha256=00", "sha1=abc", "sha256=é", ""])
def test_a_signature_that_does_not_fit_is_401_even_for_broken_json(
    world: World, signature: str
) -> None:
    assert post_meta(world, b"{", signature.encode().decode("latin-1")) == 401
    assert world.rows(inbound_rejects) == []


def test_a_body_changed_after_signing_is_401(world: World) -> None:
    body = json.dumps(envelope(status())).encode()

    assert post_meta(world, body + b" ", sign_whatsapp(APP_SECRET, body)) == 401


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[1]", b'{"entry": 3}', b"[" * 100_000])
def test_a_signed_body_that_cannot_be_read_is_400_and_kept_once(world: World, body: bytes) -> None:
    assert [post_meta(world, body), post_meta(world, body)] == [400, 400]

    [row] = world.rows(inbound_rejects)
    assert (row["channel"], row["received_at"]) == ("whatsapp", NOW)
    assert row["body"].encode("latin-1", "replace")[:1] in (body[:1], b"\\")


def test_one_bad_status_never_loses_the_others(world: World) -> None:
    bad = [
        status(timestamp="soon"),
        status(timestamp=True),
        status(timestamp="99999999999"),
        status(id=None),
        status(id="wamid.\x00"),
        status(id="wamid.\ud800"),
        status(id="x" * 1000),
        {"status": "delivered"},
        "text",
    ]

    assert post_document(world, envelope(status("wamid.a"), *bad, status("wamid.b"))) == 200

    assert event_ids(world) == {"wa:wamid.a:delivered", "wa:wamid.b:delivered"}
    assert len(world.rows(inbound_rejects)) == len(bad)


def test_odd_optional_fields_do_not_cost_the_event(world: World) -> None:
    odd = status(recipient_id="IN.ENT.shop-scoped-id", biz_opaque_callback_data={"a": 1})

    assert post_document(world, envelope(odd)) == 200

    [row] = world.rows(inbound_events)
    assert (row["address"], row["intent_key"]) == (None, None)


def test_an_error_text_is_stored_without_the_persons_number(world: World) -> None:
    errors = [{"code": 131026, "title": "no WhatsApp at 919812345678 \x00\ud800"}]

    assert post_document(world, envelope(status(status="failed", errors=errors))) == 200
    assert post_document(world, envelope(status("wamid.b", status="failed", errors="?"))) == 200

    reasons = {row["reason"] for row in world.rows(inbound_events)}
    assert reasons == {"131026 no WhatsApp at [number] ?", "unknown"}


def test_news_about_templates_and_unknown_statuses_is_ignored(world: World) -> None:
    news = envelope({"event": "PAUSED"}, kind="event", field="message_template_status_update")

    assert post_document(world, news) == 200
    assert post_document(world, envelope(status(status="deleted"))) == 200
    assert world.rows(inbound_events) == []
    assert world.rows(inbound_rejects) == []


def test_a_body_over_the_limit_is_413(world: World) -> None:
    assert post_meta(world, b"x" * 1_000_001) == 413


def test_one_bad_mail_event_never_loses_the_others(world: World) -> None:
    bad = [mail_event(timestamp="?"), mail_event(email=None), mail_event(event=7), 5]

    assert post_mail_events(world, [mail_event(), *bad, mail_event(sg_event_id="e2")]) == 200

    assert event_ids(world) == {"sg:e1", "sg:e2"}
    assert {row["provider_message_id"] for row in world.rows(inbound_events)} == {"abc"}
    assert {row["address"] for row in world.rows(inbound_events)} == {"asha@mail.example"}
    assert len(world.rows(inbound_rejects)) == len(bad)


def test_mail_events_without_an_id_are_told_apart_by_their_content(world: World) -> None:
    first = mail_event()
    del first["sg_event_id"]

    post_mail_events(world, [first, first, first | {"timestamp": int(STAMP) + 1}])

    assert len(event_ids(world)) == 2


@pytest.mark.parametrize("body", [b"{}", b"no json\r\n"])
def test_a_signed_mail_body_that_cannot_be_read_is_kept(world: World, body: bytes) -> None:
    assert post_mail_events(world, body) == 400
    assert [row["channel"] for row in world.rows(inbound_rejects)] == ["email"]


def test_a_foreign_key_does_not_sign_for_sendgrid(world: World) -> None:
    body = json.dumps([mail_event()]).encode()
    headers = {
        "X-Twilio-Email-Event-Webhook-Signature": "MEUCIQDx=",
        "X-Twilio-Email-Event-Webhook-Timestamp": STAMP,
    }
    url = f"{world.url}/webhooks/sendgrid"

    assert world.http.post(url, data=body, headers=headers, timeout=10).status_code == 401


def test_a_row_the_database_refuses_is_rejected_alone(world: World) -> None:
    good = InboundEvent(
        event_id="good", channel="whatsapp", event="sent", occurred_at=NOW, received_at=NOW
    )
    bad = replace(good, event_id="bad", channel=cast("str", None))
    landing = Landing(world.ledger, undeliverable_limit=2, undeliverable_for=timedelta(days=1))

    report = landing.land(
        Reading(
            items=(
                Item(events=(bad,), source='{"bad": 1}'),
                Item(events=(good,), source='{"good": 1}'),
            )
        ),
        channel="whatsapp",
        now=NOW,
    )

    assert (report.new, report.rejected) == (1, 1)
    assert event_ids(world) == {"good"}
    assert [row["body"] for row in world.rows(inbound_rejects)] == ['{"bad": 1}']


def test_a_ledger_that_is_away_is_503_so_that_the_provider_comes_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise LedgerUnavailableError("away")

    monkeypatch.setattr(world.ledger, "land", away)
    monkeypatch.setattr(world.ledger, "check", away)

    assert post_document(world, envelope(status())) == 503
    assert world.http.get(f"{world.url}/healthz", timeout=10).status_code == 503
    monkeypatch.undo()
    assert post_document(world, envelope(status())) == 200
    assert world.http.get(f"{world.url}/healthz", timeout=10).json() == {"status": "ok"}


def test_a_channel_without_a_secret_takes_no_webhook(world: World) -> None:
    config = GatewayConfig(link_secret=LINK_SECRET)
    with running_gateway(world.ledger, config, world.clock) as bare:
        body = json.dumps(envelope(status())).encode()
        answers = [
            world.http.post(f"{bare.base_url}/webhooks/{name}", data=body, timeout=10).status_code
            for name in ("whatsapp", "sendgrid")
        ]
        signed = world.http.post(
            f"{bare.base_url}/webhooks/whatsapp",
            data=body,
            headers={"X-Hub-Signature-256": sign_whatsapp("", body)},
            timeout=10,
        )
        shake = world.http.get(
            f"{bare.base_url}/webhooks/whatsapp",
            params={"hub.mode": "subscribe", "hub.verify_token": ""},
            timeout=10,
        )

    assert [*answers, signed.status_code, shake.status_code] == [401, 401, 401, 403]


def test_settings_that_cannot_work_are_refused_at_start(world: World) -> None:
    with pytest.raises(ConfigurationError, match="signs links"):
        GatewayConfig(link_secret="")
    with pytest.raises(ConfigurationError, match="verification key"):
        create_gateway(
            world.ledger,
            GatewayConfig(link_secret="x", sendgrid_public_key="nonsense"),
            world.clock,
        )


def test_the_key_may_be_pem_and_must_be_p256() -> None:
    def pem(curve: ec.EllipticCurve) -> str:
        key = ec.generate_private_key(curve).public_key()
        return key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()

    assert load_public_key(pem(ec.SECP256R1())).curve.name == "secp256r1"
    with pytest.raises(ConfigurationError, match="P-256"):
        load_public_key(pem(ec.SECP384R1()))


def test_no_secret_is_in_the_configs_repr() -> None:
    config = GatewayConfig(
        link_secret="l1nk",
        whatsapp_app_secret="4pp",
        whatsapp_verify_token="v3rify",
        sendgrid_public_key="k3y",
    )

    assert not any(secret in repr(config) for secret in ("l1nk", "4pp", "v3rify", "k3y"))
