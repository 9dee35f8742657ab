"""What each SendGrid answer means to the engine.

Belongs here: the table by HTTP status and, for a bad request, by the field the provider names.
Does not belong here: reading an answer (`activations.channels.email.channel`). SendGrid has no
error codes; ``errors[].field`` is the only thing that tells our fault from the row's.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from activations.channels.base import ErrorRule
from activations.outcomes import OutcomeClass, StopScope


def _stop(meaning: str) -> ErrorRule:
    return ErrorRule(outcome=OutcomeClass.STOP, meaning=meaning, stop_scope=StopScope.CHANNEL)


RULES: Mapping[int, ErrorRule] = MappingProxyType(
    {
        401: _stop("the API key is invalid or expired: renew it"),
        403: _stop("the API key or the sender's address lacks a permission: verify the sender"),
        404: _stop("no such endpoint: look at the base URL"),
        405: _stop("the endpoint does not take this method: look at the base URL"),
        413: ErrorRule(outcome=OutcomeClass.PERM, meaning="the e-mail is too large"),
        415: _stop("the provider does not take our content type: a bug"),
        429: ErrorRule(
            outcome=OutcomeClass.RETRY, meaning="rate limit of the account", throttled=True
        ),
        # Not 4xx in spirit: the provider gave up waiting and may have queued the mail.
        408: ErrorRule(outcome=OutcomeClass.UNKNOWN, meaning="the provider timed out"),
    }
)

BAD_ROW = ErrorRule(outcome=OutcomeClass.PERM, meaning="the provider refuses this e-mail")
# The same for every row, so it is no row's fault.
BAD_SENDER = _stop("the provider refuses the sender's settings")
UNKNOWN = ErrorRule(
    outcome=OutcomeClass.UNKNOWN, meaning="the provider failed after it had the e-mail"
)
REDIRECTED = _stop("the provider redirects: look at the base URL")

SENDER_FIELDS = ("from", "reply_to", "categories", "tracking_settings", "mail_settings", "asm")
