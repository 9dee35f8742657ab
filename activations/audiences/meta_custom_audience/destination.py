"""Calls to ``/{audience}/users`` and what their answers mean.

Belongs here: the wire format and the error table. Does not belong here: which rows go
(`activations.audiences.sync`). Source: Graph API v25 reference, custom-audience/users: at most
10,000 records a call; adding and removing are set operations.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from activations.audiences.base import CallResult, Identifiers, Session
from activations.channels.base import ErrorRule, read_json_object
from activations.errors import ConfigurationError
from activations.outcomes import OutcomeClass, SendOutcome, StopScope
from activations.rows import RateLimit
from activations.scrub import scrub
from activations.transport import HttpAnswer, HttpRequest

MAX_ROWS = 10_000


def _stop(meaning: str) -> ErrorRule:
    return ErrorRule(outcome=OutcomeClass.STOP, meaning=meaning, stop_scope=StopScope.CHANNEL)


def _slower(meaning: str) -> ErrorRule:
    return ErrorRule(outcome=OutcomeClass.RETRY, meaning=meaning, throttled=True, retry_after=60.0)


_TOKEN = _stop("the access token is invalid or expired: renew it")
_PERMISSION = _stop("the access token may not change this audience")
_BLOCKED = _stop("uploads to this audience are blocked: look at it in the ads manager")
_FAULT = ErrorRule(outcome=OutcomeClass.RETRY, meaning="service fault at the destination")

RULES: Mapping[int, ErrorRule] = MappingProxyType(
    {
        190: _TOKEN,
        102: _TOKEN,
        3: _PERMISSION,
        10: _PERMISSION,
        294: _PERMISSION,
        1: _FAULT,
        2: _FAULT,
        4: _slower("call limit of the app"),
        17: _slower("call limit of the user"),
        80003: _slower("call limit of the ad account"),
        100: ErrorRule(
            outcome=OutcomeClass.PERM, meaning="a parameter is wrong: a bug, or no such audience"
        ),
        2650: ErrorRule(
            outcome=OutcomeClass.HOLD,
            meaning="the audience is being updated",
            retry_after=600.0,
        ),
    }
)
_BLOCKED_SUBCODE = 1713230


@dataclass(frozen=True, slots=True, kw_only=True)
class MetaAudienceConfig:
    """Settings of one audience.

    Attributes:
        audience_id: The audience at Meta.
        access_token: Bearer token with ads_management.
        base_url: Where the API is; the sandbox's address in tests and in the demo.
        version: Graph API version.
        batch_size: Rows a call, at most 10,000.
        calls_per_second: Pace; Meta limits by account and publishes no number.
    """

    audience_id: str
    access_token: str = field(repr=False)
    base_url: str = "https://graph.facebook.com"
    version: str = "v25.0"
    batch_size: int = MAX_ROWS
    calls_per_second: float = 5.0


class MetaCustomAudience:
    """One custom audience."""

    name = "meta_custom_audience"

    def __init__(self, config: MetaAudienceConfig) -> None:
        """Prepare the destination.

        Raises:
            ConfigurationError: When the audience or the token is missing, or a batch too large.
        """
        if not config.audience_id or not config.access_token:
            raise ConfigurationError("a Meta audience needs its id and an access token")
        if not 1 <= config.batch_size <= MAX_ROWS:
            raise ConfigurationError(f"a call takes 1 to {MAX_ROWS} rows, not {config.batch_size}")
        self.batch_size = config.batch_size
        self.rate = RateLimit(
            destination=f"meta:{config.audience_id}",
            per_second=config.calls_per_second,
            burst=max(1.0, config.calls_per_second),
        )
        base = config.base_url.rstrip("/")
        self._url = f"{base}/{config.version}/{config.audience_id}/users"
        self._headers = {
            "authorization": f"Bearer {config.access_token}",
            "content-type": "application/json",
        }

    def prepare(
        self,
        action: Literal["add", "remove"],
        rows: Sequence[Identifiers],
        session: Session,
    ) -> HttpRequest:
        """Build one call; see `activations.audiences.base.AudienceDestination`."""
        document = {
            "payload": {
                "schema": ["EMAIL_SHA256", "PHONE_SHA256"],
                "data": [[row.email_sha256, row.phone_sha256] for row in rows],
            },
            "session": {
                "session_id": session.session_id,
                "batch_seq": session.batch_seq,
                "last_batch_flag": session.is_last,
                "estimated_num_total": session.total,
            },
        }
        return HttpRequest(
            method="POST" if action == "add" else "DELETE",
            url=self._url,
            headers=self._headers,
            body=json.dumps(document, separators=(",", ":")).encode(),
        )

    def classify(self, answer: HttpAnswer, *, sent: int) -> CallResult:
        """Say what an answer means; see `activations.audiences.base.AudienceDestination`."""
        document = read_json_object(answer.body) or {}
        if 200 <= answer.status < 300:
            return _taken(answer, document, sent=sent)
        error = document.get("error")
        code = error.get("code") if isinstance(error, dict) else None
        if not isinstance(error, dict) or not isinstance(code, int) or isinstance(code, bool):
            return CallResult(outcome=_by_status(answer))
        if error.get("error_subcode") == _BLOCKED_SUBCODE:
            return CallResult(outcome=_BLOCKED.apply(answer, code=f"{code}/{_BLOCKED_SUBCODE}"))
        rule = RULES.get(code) or (_PERMISSION if 200 <= code <= 299 else None)
        if rule is None:
            said = scrub(str(error.get("message", "")))
            return CallResult(outcome=_by_status(answer, code=str(code), said=said))
        if rule.throttled:
            rule = rule.with_wait(_seconds_to_regain(answer))
        return CallResult(outcome=rule.apply(answer, code=str(code)))


def _taken(answer: HttpAnswer, document: Mapping[str, Any], *, sent: int) -> CallResult:
    received, invalid = document.get("num_received"), document.get("num_invalid_entries", 0)
    if received != sent or not isinstance(invalid, int) or not 0 <= invalid <= sent:
        # Repeating a set operation is harmless, trusting an answer about other rows is not.
        return CallResult(
            outcome=SendOutcome(
                outcome=OutcomeClass.RETRY,
                http_status=answer.status,
                error_code="unreadable",
                error_detail="the answer does not account for the rows that were sent",
            )
        )
    return CallResult(
        outcome=SendOutcome(outcome=OutcomeClass.ACCEPTED, http_status=answer.status),
        invalid=invalid,
    )


def _by_status(answer: HttpAnswer, *, code: str | None = None, said: str = "") -> SendOutcome:
    label = code or f"http_{answer.status}"
    if answer.status == 429:
        rule = _slower("rate limit of the destination")
    elif answer.status >= 500 or answer.status == 408:
        rule = _FAULT
    elif answer.status in (401, 403):
        rule = _PERMISSION
    else:
        rule = _stop(f"the destination refuses the call: {said}".rstrip(": "))
    return rule.apply(answer, code=label)


def _seconds_to_regain(answer: HttpAnswer) -> float | None:
    """Return how long the account stays limited: minutes, in a header of JSON."""
    usage = read_json_object(answer.headers.get("x-business-use-case-usage", "").encode()) or {}
    minutes = [
        entry.get("estimated_time_to_regain_access")
        for entries in usage.values()
        if isinstance(entries, list)
        for entry in entries
        if isinstance(entry, dict)
    ]
    known = [float(value) for value in minutes if isinstance(value, int | float) and value > 0]
    return 60.0 * max(known) if known else None
