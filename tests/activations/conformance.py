"""What the conformance suite has to know of each channel, and nothing else.

A new channel adds one `Case`; `test_conformance` holds it to what every channel promises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from activations.channels.base import Channel, ChannelLimits
from activations.channels.email import EmailChannel, EmailConfig
from activations.channels.email.errors import RULES as EMAIL_RULES
from activations.channels.whatsapp.errors import RULES as WHATSAPP_RULES
from activations.outcomes import OutcomeClass
from activations.rows import Decision
from tests.activations import world
from tests.activations.provider import Received, Reply


@dataclass(frozen=True, kw_only=True)
class Case:
    """One channel under test.

    Attributes:
        build: Makes the channel for a base URL.
        full: The channel with every optional setting.
        decide: A planned decision this channel can send.
        accept: The provider's answer when all is well.
        key_of: The intent key a request carries.
        message_id: The provider's id of the message with key i0001, as `accept` gives it.
        secret: Must never be printed.
        bad_address: Not this channel's form.
        errors: Every code of the error table: the answer, and the class it must give.
        garbled_success: A success whose body says nothing, and what it means.
        throttle: An answer that asks for three seconds of patience.
        stop: An answer that stops the channel.
        refuse: An answer that refuses this one message for good.
    """

    build: Callable[[str, ChannelLimits], Channel]
    full: Channel
    decide: Callable[..., Decision]
    accept: Callable[[Received], Reply]
    key_of: Callable[[Received], str]
    message_id: str
    secret: str
    bad_address: str
    errors: Mapping[str, tuple[Reply, OutcomeClass]] = field(default_factory=dict)
    garbled_success: tuple[Reply, OutcomeClass]
    throttle: Reply
    stop: Reply
    refuse: Reply


def _graph(code: int, *, status: int = 400, **headers: str) -> Reply:
    error = {"message": "text", "type": "OAuthException", "code": code}
    return Reply.of_json({"error": error}, status=status, **headers)


def _sendgrid(status: int, fault: str = "", **headers: str) -> Reply:
    errors = [{"message": "text", "field": fault or None, "help": None}]
    return Reply.of_json({"errors": errors}, status=status, **headers)


# Written down again from the provider's reference, not taken from the table under test.
_WHATSAPP_CLASSES: Mapping[OutcomeClass, tuple[int, ...]] = {
    OutcomeClass.STOP: (
        0, 190, 3, 10, 200, 250, 299, 131005, 131048, 131064, 131042, 368, 131031, 131037, 131045,
        133010, 132001, 132007, 132016, 132068, 131063,
    ),
    OutcomeClass.RETRY: (
        1, 2, 131000, 131016, 131057, 133004, 4, 80007, 130429, 131052, 131053, 135000,
    ),
    OutcomeClass.HOLD: (131056, 131049, 132015, 132069),
    OutcomeClass.SUPPRESS: (131050, 130497),
    OutcomeClass.PERM: (
        130472, 131026, 131047, 131021, 131030, 100, 131008, 131009, 131051, 132000, 132012, 132018,
        132005, 132008, 137000, 131062,
    ),
}  # fmt: skip

CASES: Mapping[str, Case] = {
    "whatsapp": Case(
        build=world.whatsapp,
        full=world.whatsapp("https://provider.example/"),
        decide=world.decision,
        accept=world.accept_whatsapp,
        key_of=lambda request: request.json()["biz_opaque_callback_data"],
        message_id="wamid.i0001",
        secret="wa-token",
        bad_address="98765",
        errors={
            str(code): (_graph(code), outcome)
            for outcome, codes in _WHATSAPP_CLASSES.items()
            for code in codes
        }
        | {
            "unlisted 4xx": (_graph(999001), OutcomeClass.PERM),
            "unlisted 5xx": (_graph(999001, status=500), OutcomeClass.UNKNOWN),
            "bare 500": (Reply(status=500, body=b"<html>"), OutcomeClass.UNKNOWN),
            "bare 502": (Reply(status=502), OutcomeClass.UNKNOWN),
            "bare 429": (Reply(status=429), OutcomeClass.RETRY),
            "bare 401": (Reply(status=401), OutcomeClass.STOP),
            "redirect": (Reply(status=302), OutcomeClass.STOP),
            "odd code": (Reply.of_json({"error": {"code": True}}, status=400), OutcomeClass.PERM),
            "odd error": (Reply.of_json({"error": "no"}, status=400), OutcomeClass.PERM),
        },
        garbled_success=(Reply(status=200, body=b'{"messages":['), OutcomeClass.UNKNOWN),
        throttle=_graph(130429, status=429, Retry_After="3"),
        stop=_graph(190, status=401),
        refuse=_graph(131008),
    ),
    "email": Case(
        build=world.email,
        full=EmailChannel(
            EmailConfig(
                api_key="sg-key",
                from_email="hello@shop.example",
                from_name="ReCell",
                reply_to="care@shop.example",
                base_url="https://provider.example/",
            )
        ),
        decide=lambda number=1, **changes: world.decision(
            number, **({"channel": "email"} | changes)
        ),
        accept=world.accept_email,
        key_of=lambda request: request.json()["personalizations"][0]["custom_args"]["intent_key"],
        message_id="sg-i0001",
        secret="sg-key",
        bad_address="nobody",
        errors={
            "400 row": (_sendgrid(400, "personalizations.0.to"), OutcomeClass.PERM),
            "400 sender": (_sendgrid(400, "from.email"), OutcomeClass.STOP),
            "400 bare": (Reply(status=400, body=b"{"), OutcomeClass.PERM),
            "401": (_sendgrid(401), OutcomeClass.STOP),
            "403": (_sendgrid(403, "from"), OutcomeClass.STOP),
            "404": (_sendgrid(404), OutcomeClass.STOP),
            "405": (_sendgrid(405), OutcomeClass.STOP),
            "408": (_sendgrid(408), OutcomeClass.UNKNOWN),
            "413": (_sendgrid(413), OutcomeClass.PERM),
            "415": (_sendgrid(415), OutcomeClass.STOP),
            "429": (_sendgrid(429), OutcomeClass.RETRY),
            "500": (_sendgrid(500), OutcomeClass.UNKNOWN),
            "503": (Reply(status=503), OutcomeClass.UNKNOWN),
            "redirect": (Reply(status=301), OutcomeClass.STOP),
        },
        # SendGrid's success has no body; the status alone is its word.
        garbled_success=(Reply(status=202, body=b"\xff\xfe"), OutcomeClass.ACCEPTED),
        throttle=_sendgrid(429, Retry_After="3"),
        stop=_sendgrid(401),
        refuse=_sendgrid(400, "personalizations.0.to"),
    ),
}

# Every code of each table must be tried: a line added without a case here fails the suite.
LISTED: Mapping[str, frozenset[str]] = {
    "whatsapp": frozenset(str(code) for code in WHATSAPP_RULES),
    "email": frozenset(str(status) for status in EMAIL_RULES),
}
