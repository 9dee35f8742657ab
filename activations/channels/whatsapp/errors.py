"""What each WhatsApp error code means to the engine.

Belongs here: the table, from the provider's error reference. Does not belong here: reading an
answer (`activations.channels.whatsapp.channel`).

Meta says to branch on ``error.code`` and on nothing else. A code that is not listed is judged by
its HTTP status: 4xx will never pass, 5xx may have been processed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from activations.channels.base import DAY, ErrorRule
from activations.outcomes import OutcomeClass, StopScope, SuppressionScope

_HOUR = 3600.0


def _retry(meaning: str, *, max_tries: int | None = None) -> ErrorRule:
    return ErrorRule(outcome=OutcomeClass.RETRY, meaning=meaning, max_tries=max_tries)


def _slower(meaning: str, *, seconds: float) -> ErrorRule:
    return ErrorRule(
        outcome=OutcomeClass.RETRY, meaning=meaning, throttled=True, retry_after=seconds
    )


def _hold(meaning: str, *, seconds: float, scope: StopScope | None = None) -> ErrorRule:
    return ErrorRule(
        outcome=OutcomeClass.HOLD, meaning=meaning, retry_after=seconds, stop_scope=scope
    )


def _stop(meaning: str, scope: StopScope = StopScope.CHANNEL) -> ErrorRule:
    return ErrorRule(outcome=OutcomeClass.STOP, meaning=meaning, stop_scope=scope)


def _never(meaning: str) -> ErrorRule:
    return ErrorRule(outcome=OutcomeClass.PERM, meaning=meaning)


_TOKEN = "the access token is invalid or expired: renew it"  # noqa: S105 - a sentence
_PERMISSION = "the access token lacks a permission for this number"
_FAULT = "service fault or maintenance at the provider"
_PARAMETER = "a parameter is missing or wrong: look at the template and its variables"
_TEMPLATE_PARAMETER = "the parameters do not fit the approved template: count, format or length"

RULES: Mapping[int, ErrorRule] = MappingProxyType(
    {
        0: _stop(_TOKEN),
        190: _stop(_TOKEN),
        3: _stop(_PERMISSION),
        10: _stop(_PERMISSION),
        131005: _stop(_PERMISSION),
        1: _retry(_FAULT),
        2: _retry(_FAULT),
        131000: _retry(_FAULT, max_tries=3),
        131016: _retry(_FAULT),
        131057: _retry(_FAULT),
        133004: _retry(_FAULT),
        4: _slower("call limit of the app", seconds=60),
        80007: _slower("call limit of the business account", seconds=60),
        130429: _slower("throughput limit of the number", seconds=1),
        131056: _hold("too many messages to this person in a short time", seconds=6),
        131048: _stop("spam limit on the number: do not send more today"),
        131064: _stop("the messaging limit was cut for wrongly categorised templates"),
        131049: _hold("this person's cap on marketing messages is reached", seconds=DAY),
        131050: ErrorRule(
            outcome=OutcomeClass.SUPPRESS,
            meaning="this person stopped marketing messages from us",
            suppress_scope=SuppressionScope.PROMOTIONAL,
        ),
        130472: _never("this person is in an experiment of the provider"),
        131026: ErrorRule(
            outcome=OutcomeClass.PERM,
            meaning="undeliverable: not on WhatsApp, an old app, or terms not accepted",
            suppress_after=3,
            # The number may come to WhatsApp later, or be somebody else's by then.
            suppress_for=90 * DAY,
        ),
        131047: _never("the 24 hour window is closed: only templates may be sent"),
        131021: _never("sender and recipient are the same number"),
        131030: _never("the recipient is not on the test number's list"),
        100: _never(_PARAMETER),
        131008: _never(_PARAMETER),
        131009: _never(_PARAMETER),
        131051: _never("the message type is not supported"),
        131052: _retry("media could not be downloaded", max_tries=2),
        131053: _retry("media could not be uploaded", max_tries=2),
        131042: _stop("payment: the business account has a billing problem"),
        368: _stop("the account is restricted for policy violations"),
        131031: _stop("the account is locked"),
        130497: ErrorRule(
            outcome=OutcomeClass.SUPPRESS,
            meaning="this business may not message people in this country",
        ),
        131037: _stop("the number's display name is not approved"),
        131045: _stop("the number's registration is broken: register it again"),
        133010: _stop("the number is not registered"),
        132000: _never(_TEMPLATE_PARAMETER),
        132005: _never(_TEMPLATE_PARAMETER),
        132008: _never(_TEMPLATE_PARAMETER),
        132012: _never(_TEMPLATE_PARAMETER),
        132018: _never(_TEMPLATE_PARAMETER),
        132001: _stop("no approved template of this name and language", StopScope.TEMPLATE),
        132007: _stop("the template violates the content policy", StopScope.TEMPLATE),
        132015: _hold(
            "the template is paused for low quality", seconds=3 * _HOUR, scope=StopScope.TEMPLATE
        ),
        132016: _stop("the template is disabled for good", StopScope.TEMPLATE),
        132068: _stop("the template's flow is blocked", StopScope.TEMPLATE),
        132069: _hold("the template's flow is throttled", seconds=_HOUR, scope=StopScope.TEMPLATE),
        131062: _never("this message type does not take this kind of recipient"),
        131063: _stop("marketing is disabled on this endpoint: use the marketing endpoint"),
        135000: _retry("generic user error", max_tries=2),
        137000: _never("the recipient's identity key changed"),
    }
)

# Any other code from 200 to 299 is a missing permission.
PERMISSION = _stop(_PERMISSION)
