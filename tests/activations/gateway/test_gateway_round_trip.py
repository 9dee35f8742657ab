"""Sandbox → gateway → ledger over real HTTP: reports arrive once, in whatever order."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import requests

from activations.gateway.rejects import inbound_rejects
from activations.ledger.schema import consent_statements, inbound_events, suppressions
from activations.outcomes import OutcomeClass, SendOutcome
from activations.rows import Suppression
from activations.sandbox.records import Fault, FaultKind, Receipt
from tests.activations.gateway.world import EMAIL, NOW, PHONE, World
from tests.activations.sandbox.payloads import mail, post_mail, post_whatsapp, whatsapp_message

LATER = NOW + timedelta(minutes=5)


def send_whatsapp(world: World, intent_key: str, to: str = PHONE) -> str:
    body = whatsapp_message(to=to, biz_opaque_callback_data=intent_key)
    return post_whatsapp(world.http, world.sandbox, body).json()["messages"][0]["id"]


def send_mail(world: World, intent_key: str, to: str = EMAIL) -> str:
    person = {"to": [{"email": to}], "custom_args": {"intent_key": intent_key}}
    answer = post_mail(world.http, world.sandbox, mail(personalizations=[person]))
    return answer.headers["X-Message-Id"]


def tell(world: World, *receipts: Receipt, **options: Any) -> tuple[int, ...]:
    return world.control.send_receipts(receipts, **options).statuses


def receipt(event: str, message_id: str, minutes: float = 0, **detail: Any) -> Receipt:
    return Receipt(
        event=event,
        occurred_at=NOW + timedelta(minutes=minutes),
        message_id=message_id,
        detail=detail,
    )


def events(world: World) -> dict[str, Any]:
    return {row["event"]: row for row in world.rows(inbound_events)}


def test_whatsapp_statuses_land_with_provider_time_address_and_intent(world: World) -> None:
    wamid = send_whatsapp(world, "i1")
    world.clock.advance_to(LATER)

    statuses = tell(
        world,
        receipt("sent", wamid),
        receipt("delivered", wamid, 1),
        receipt("read", wamid, 2),
    )

    assert statuses == (200,)
    landed = events(world)
    assert set(landed) == {"sent", "delivered", "read"}
    assert landed["read"] == {
        "event_id": f"wa:{wamid}:read",
        "channel": "whatsapp",
        "event": "read",
        "provider_message_id": wamid,
        "intent_key": "i1",
        "address": PHONE,
        "occurred_at": NOW + timedelta(minutes=2),
        "received_at": LATER,
        "reason": None,
        "is_machine": None,
    }


def test_duplicates_land_once_and_order_does_not_matter(world: World) -> None:
    wamid = send_whatsapp(world, "i1")

    tell(world, receipt("read", wamid, 2), copies=3)
    tell(world, receipt("delivered", wamid, 1), receipt("sent", wamid), receipt("read", wamid, 2))

    assert sorted(row["event"] for row in world.rows(inbound_events)) == [
        "delivered",
        "read",
        "sent",
    ]


def test_an_echoed_intent_settles_a_whatsapp_send_whose_answer_was_lost(world: World) -> None:
    world.hand_over("i1")
    world.control.program_faults(Fault(kind=FaultKind.DROP))
    with pytest.raises(requests.ConnectionError):
        send_whatsapp(world, "i1")
    [message] = world.control.fetch_messages()
    assert world.state("i1") == "unknown"

    tell(world, receipt("delivered", message.message_id, 1))

    assert world.state("i1") == "accepted"
    assert world.ledger.find_intent_key(message.message_id) == "i1"


def test_custom_args_settle_a_mail_whose_answer_was_lost(world: World) -> None:
    world.hand_over("m1", channel="email", address=EMAIL)
    message_id = send_mail(world, "m1")

    tell(world, receipt("delivered", message_id))

    assert world.state("m1") == "accepted"
    assert events(world)["delivered"]["provider_message_id"] == message_id


def test_a_status_without_echo_finds_its_intent_by_the_message_id(world: World) -> None:
    wamid = send_whatsapp(world, "")
    accepted = SendOutcome(outcome=OutcomeClass.ACCEPTED, provider_message_id=wamid)
    world.hand_over("i1", answer=accepted)

    tell(world, receipt("read", wamid), receipt("reply", wamid, text="thanks"))

    assert {row["intent_key"] for row in world.rows(inbound_events)} == {"i1"}


def test_one_failure_is_no_suppression_and_the_second_is(world: World) -> None:
    first, second = send_whatsapp(world, "i1"), send_whatsapp(world, "i2")

    tell(world, receipt("failed", first, code=131026), copies=2)
    assert world.rows(suppressions) == []
    tell(world, receipt("failed", second, 9, code=131026))

    assert events(world)["failed"]["reason"] == "131026 Message undeliverable"
    [row] = world.rows(suppressions)
    assert (row["address"], row["channel"], row["scope"]) == (PHONE, "whatsapp", "all")
    assert row["until"] == NOW + timedelta(minutes=9, days=90)


def test_two_failures_in_one_webhook_suppress_and_other_codes_do_not(world: World) -> None:
    ids = [send_whatsapp(world, f"i{n}") for n in range(2)]
    others = [send_whatsapp(world, f"j{n}", to="+919700000001") for n in range(3)]

    tell(
        world,
        *[receipt("failed", each, code=131026) for each in ids],
        *[receipt("failed", each, code=131049) for each in others],
    )

    assert [row["address"] for row in world.rows(suppressions)] == [PHONE]


def test_code_131050_is_an_opt_out_of_promotions(world: World) -> None:
    wamid = send_whatsapp(world, "i1")

    tell(world, receipt("failed", wamid, 3, code=131050), copies=2)

    [row] = world.rows(consent_statements)
    assert (row["address"], row["channel"], row["purpose"]) == (PHONE, "whatsapp", "promotional")
    assert (row["status"], row["source"]) == ("opt_out", "provider")
    assert row["stated_at"] == NOW + timedelta(minutes=3)
    assert world.rows(suppressions) == []


@pytest.mark.parametrize("text", ["STOP", "बंद करो 🙏", "நிறுத்து", "Please stop!"])
def test_a_stop_reply_is_an_opt_out_and_its_words_are_not_kept(world: World, text: str) -> None:
    wamid = send_whatsapp(world, "i1")
    world.clock.advance_to(LATER)

    tell(world, receipt("reply", wamid, 4, text=text), copies=2)

    [row] = world.rows(consent_statements)
    assert (row["status"], row["source"]) == ("opt_out", "stop_reply")
    assert (row["stated_at"], row["received_at"]) == (NOW + timedelta(minutes=4), LATER)
    assert set(events(world)) == {"reply", "opt_out"}
    assert text not in repr(world.rows(inbound_events))


def test_an_ordinary_reply_changes_no_consent(world: World) -> None:
    wamid = send_whatsapp(world, "i1")

    tell(world, receipt("reply", wamid, text="can you stop by at five?"))

    assert set(events(world)) == {"reply"}
    assert world.rows(consent_statements) == []


def test_the_stop_button_of_a_template_counts(world: World) -> None:
    tell(world, receipt("reply", send_whatsapp(world, "i1"), button="Stop promotions"))

    assert world.rows(consent_statements)[0]["status"] == "opt_out"


def test_start_after_stop_is_an_opt_in_at_its_own_time(world: World) -> None:
    wamid = send_whatsapp(world, "i1")

    tell(world, receipt("reply", wamid, 9, text="START"), receipt("reply", wamid, 2, text="stop"))

    stated = {row["status"]: row["stated_at"] for row in world.rows(consent_statements)}
    assert stated["opt_out"] < stated["opt_in"]


def test_preferences_stop_and_resume_are_statements_and_the_sandbox_obeys_them(
    world: World,
) -> None:
    def preference(event: str, minutes: int) -> Receipt:
        return Receipt(
            event=event,
            occurred_at=NOW + timedelta(minutes=minutes),
            channel="whatsapp",
            address=PHONE,
        )

    tell(world, preference("opt_out", 1), copies=2)
    refused = post_whatsapp(world.http, world.sandbox, whatsapp_message())
    tell(world, preference("opt_in", 2))
    taken = post_whatsapp(world.http, world.sandbox, whatsapp_message())

    assert (refused.json()["error"]["code"], taken.status_code) == (131050, 200)
    assert [(row["status"], row["source"]) for row in world.rows(consent_statements)] == [
        ("opt_out", "provider"),
        ("opt_in", "provider"),
    ]
    assert PHONE[1:] not in "".join(row["event_id"] for row in world.rows(inbound_events))


@pytest.mark.parametrize(("minutes", "left"), [(5, 0), (-5, 1)])
def test_resume_lifts_an_older_suppression_only(world: World, minutes: int, left: int) -> None:
    row = Suppression(
        address=PHONE, channel="whatsapp", scope="promotional", reason="131050", since=NOW
    )
    world.ledger.suppress([row], now=NOW)

    tell(
        world,
        Receipt(
            event="opt_in",
            occurred_at=NOW + timedelta(minutes=minutes),
            channel="whatsapp",
            address=PHONE,
        ),
    )

    assert len(world.rows(suppressions)) == left


def test_mail_events_land_with_machine_opens_marked(world: World) -> None:
    message_id = send_mail(world, "m1")

    tell(
        world,
        receipt("processed", message_id),
        receipt("delivered", message_id, 1),
        receipt("deferred", message_id, 1),
        receipt("open", message_id, 2, machine=True),
        receipt("click", message_id, 3, url="https://x.example/"),
        copies=2,
    )

    landed = events(world)
    assert set(landed) == {"sent", "delivered", "open", "click"}
    assert landed["open"]["is_machine"] is True
    assert landed["click"]["is_machine"] is None
    assert {row["intent_key"] for row in landed.values()} == {"m1"}
    assert {row["address"] for row in landed.values()} == {EMAIL}


def test_a_hard_bounce_suppresses_the_mailbox_and_a_block_does_not(world: World) -> None:
    hard, soft = send_mail(world, "m1"), send_mail(world, "m2", to="b@mail.example")

    tell(
        world,
        receipt("bounce", hard, 1, reason=f"550 5.1.1 <{EMAIL}> unknown"),
        receipt("bounce", soft, 1, type="blocked"),
    )

    [row] = world.rows(suppressions)
    assert (row["address"], row["channel"], row["scope"]) == (EMAIL, "email", "all")
    assert (row["reason"], row["until"]) == ("hard_bounce", None)
    landed = events(world)
    assert landed["bounce"]["address"] == EMAIL
    assert landed["failed"]["reason"] == "blocked 4.7.1 Invalid Address"


def test_after_a_bounce_the_provider_drops_what_follows(world: World) -> None:
    tell(world, receipt("bounce", send_mail(world, "m1"), 1))
    send_mail(world, "m2")

    last = world.control.fetch_messages()[-1]
    assert last.fate == "Bounced Address"
    tell(world, receipt("dropped", last.message_id, 2))
    assert events(world)["failed"]["reason"] == "dropped Bounced Address"


def test_a_complaint_opts_out_and_suppresses(world: World) -> None:
    tell(world, receipt("complaint", send_mail(world, "m1"), 1), copies=2)

    [statement] = world.rows(consent_statements)
    assert (statement["status"], statement["source"]) == ("opt_out", "complaint")
    assert [row["reason"] for row in world.rows(suppressions)] == ["complaint"]
    assert set(events(world)) == {"complaint"}


def test_a_providers_unsubscribe_is_an_opt_out_of_promotions_only(world: World) -> None:
    tell(world, receipt("opt_out", send_mail(world, "m1"), 1))

    [statement] = world.rows(consent_statements)
    assert (statement["purpose"], statement["source"]) == ("promotional", "provider")
    assert world.rows(suppressions) == []


@pytest.mark.parametrize("signature", ["wrong", "missing"])
def test_what_the_provider_did_not_sign_changes_nothing(world: World, signature: str) -> None:
    wamid, message_id = send_whatsapp(world, "i1"), send_mail(world, "m1")

    statuses = tell(
        world,
        receipt("delivered", wamid),
        receipt("delivered", message_id),
        signature=signature,
    )

    assert statuses == (401, 401)
    assert world.rows(inbound_events) == []
    assert world.rows(inbound_rejects) == []


def test_many_receipts_travel_in_few_webhooks(world: World) -> None:
    ids = [send_whatsapp(world, f"i{n}") for n in range(600)]

    report = world.control.send_receipts([receipt("delivered", each) for each in ids])

    assert (report.events, report.statuses) == (600, (200, 200))
    assert len(world.rows(inbound_events)) == 600


def test_receipts_for_messages_nobody_sent_are_named(world: World) -> None:
    report = world.control.send_receipts([receipt("delivered", "wamid.no")])

    assert (report.events, report.unknown) == (0, ("wamid.no",))
