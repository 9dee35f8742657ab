"""Providers that forget a person when asked: the requests they take and what their answers mean.

Belongs here: SendGrid, HubSpot and Meta's audience, by HTTP. Does not belong here: who is erased and
when (`orchestration.lib.erasure`). WhatsApp has no such call: the Cloud API keeps no list of people.

Sources: SendGrid's OpenAPI (`POST /v3/recipients/erasejob`, at most 5,000 addresses a call), HubSpot's
CRM v3 (`POST /crm/v3/objects/contacts/gdpr-delete`, one contact a call), Meta's
custom-audience/users. Asking twice does no harm anywhere, hence a lost answer is simply a failure.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from activations.audiences.base import Identifiers, Session
from activations.audiences.meta_custom_audience import MetaAudienceConfig, MetaCustomAudience
from activations.channels.base import ErrorRule, read_json_object
from activations.ledger import Ledger
from activations.outcomes import OutcomeClass, SendOutcome
from activations.rows import RateLimit
from activations.transport import (
    HttpAnswer,
    HttpRequest,
    Pacer,
    Patience,
    Transport,
    deliver,
)

SENDGRID_BATCH = 5_000
# HubSpot's slowest plan takes 100 requests in ten seconds.
_HUBSPOT_PER_SECOND = 5.0
_SERVER_FAULT = 500
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a provider made of an erasure.

    Attributes:
        is_done: Whether all of it was taken.
        detail: What it said, naming nobody.
        next_step: What to do when it was not; None when it was.
        calls: Requests that were taken.
    """

    is_done: bool
    detail: str
    next_step: str | None = None
    calls: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    request: HttpRequest
    classify: Callable[[HttpAnswer], SendOutcome]


def _rule(outcome: OutcomeClass, meaning: str, *, throttled: bool = False) -> ErrorRule:
    return ErrorRule(outcome=outcome, meaning=meaning, throttled=throttled)


def _refused(answer: HttpAnswer, *, setting: str, scope: str) -> SendOutcome:
    code = f"http_{answer.status}"
    if answer.status == 429:
        rule = _rule(OutcomeClass.RETRY, "asks for patience", throttled=True)
    elif answer.status >= _SERVER_FAULT or answer.status == 408:
        rule = _rule(OutcomeClass.RETRY, "has a fault of its own")
    elif answer.status == 401:
        rule = _rule(OutcomeClass.STOP, f"does not know {setting}: renew it")
    elif answer.status == 403:
        rule = _rule(OutcomeClass.STOP, f"{setting} may not erase: give it {scope}")
    else:
        rule = _rule(OutcomeClass.PERM, "refuses the request: a bug, report it")
    return rule.apply(answer, code=code)


def erase_at_sendgrid(
    ledger: Ledger,
    emails: Sequence[str],
    *,
    api_key: str,
    base_url: str,
    transport: Transport | None = None,
) -> Answered:
    """Have SendGrid erase what it keeps about recipients: messages, events, lists.

    Args:
        ledger: Whose token bucket paces the calls.
        emails: Addresses, each spelling that was ever written to.
        api_key: SendGrid API key.
        base_url: Where the API is.
        transport: For tests.
    """

    def classify(answer: HttpAnswer) -> SendOutcome:
        if answer.status in (200, 202):
            job = (read_json_object(answer.body) or {}).get("job_id")
            return SendOutcome(
                outcome=OutcomeClass.ACCEPTED,
                http_status=answer.status,
                provider_message_id=str(job) if job else None,
            )
        return _refused(answer, setting="SENDGRID_API_KEY", scope="full access")

    unique = sorted(set(emails))
    calls = [
        _Call(
            request=HttpRequest(
                method="POST",
                url=f"{base_url.rstrip('/')}/v3/recipients/erasejob",
                headers=_headers(api_key),
                body=json.dumps(
                    {"email_addresses": unique[start : start + SENDGRID_BATCH]}
                ).encode(),
            ),
            classify=classify,
        )
        for start in range(0, len(unique), SENDGRID_BATCH)
    ]
    return _ask(ledger, calls, name="sendgrid", per_second=5.0, transport=transport)


def erase_at_hubspot(
    ledger: Ledger,
    contact_ids: Sequence[str],
    *,
    access_token: str,
    base_url: str,
    transport: Transport | None = None,
) -> Answered:
    """Have HubSpot delete contacts for good, with everything that hangs on them.

    By id, never by e-mail: an e-mail HubSpot does not know would go on a blocklist there.

    Args:
        ledger: Whose token bucket paces the calls.
        contact_ids: HubSpot's ids.
        access_token: Private-app token that may write contacts.
        base_url: Where the API is.
        transport: For tests.
    """

    def classify(answer: HttpAnswer) -> SendOutcome:
        # 404: an earlier try, or a person in HubSpot, was faster.
        if 200 <= answer.status < 300 or answer.status == _NOT_FOUND:
            return SendOutcome(outcome=OutcomeClass.ACCEPTED, http_status=answer.status)
        return _refused(
            answer, setting="HUBSPOT_ACCESS_TOKEN", scope="the scope crm.objects.contacts.write"
        )

    calls = [
        _Call(
            request=HttpRequest(
                method="POST",
                url=f"{base_url.rstrip('/')}/crm/v3/objects/contacts/gdpr-delete",
                headers=_headers(access_token),
                body=json.dumps({"objectId": contact}).encode(),
            ),
            classify=classify,
        )
        for contact in sorted(set(contact_ids))
    ]
    return _ask(ledger, calls, name="hubspot", per_second=_HUBSPOT_PER_SECOND, transport=transport)


def erase_at_meta(
    ledger: Ledger,
    identifiers: Sequence[Identifiers],
    config: MetaAudienceConfig,
    *,
    transport: Transport | None = None,
) -> Answered:
    """Take hashed identifiers out of the custom audience, whoever put them there.

    Args:
        ledger: Whose token bucket paces the calls.
        identifiers: One identifier a row, so that a member goes whatever else it carries.
        config: The audience.
        transport: For tests.
    """
    destination = MetaCustomAudience(config)
    rows = sorted(set(identifiers), key=lambda row: (row.email_sha256, row.phone_sha256))
    total = (len(rows) + destination.batch_size - 1) // destination.batch_size
    calls = []
    for number in range(total):
        batch = rows[number * destination.batch_size : (number + 1) * destination.batch_size]

        def classify(answer: HttpAnswer, sent: int = len(batch)) -> SendOutcome:
            return destination.classify(answer, sent=sent).outcome

        session = Session(
            session_id=_session_id(rows),
            batch_seq=number + 1,
            is_last=number + 1 == total,
            total=len(rows),
        )
        calls.append(
            _Call(request=destination.prepare("remove", batch, session), classify=classify)
        )
    return _ask(
        ledger, calls, name="meta", per_second=destination.rate.per_second, transport=transport
    )


def _session_id(rows: Sequence[Identifiers]) -> int:
    """Name the upload: the same rows asked again are the same session."""
    text = "".join(row.email_sha256[:8] + row.phone_sha256[:8] for row in rows) or "0"
    return int(text[:15], 16) + 1


def _headers(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}", "content-type": "application/json"}


def _ask(
    ledger: Ledger,
    calls: Sequence[_Call],
    *,
    name: str,
    per_second: float,
    transport: Transport | None,
) -> Answered:
    if not calls:
        return Answered(is_done=True, detail="nothing of this person was there")

    async def run() -> Answered:
        jobs: list[str] = []
        async with transport or Transport() as opened:
            limit = RateLimit(destination=f"erase:{name}", per_second=per_second, burst=per_second)
            pacer = Pacer(ledger, limit, opened)
            for number, call in enumerate(calls):
                outcome = await deliver(
                    opened, pacer, call.request, classify=call.classify, patience=Patience()
                )
                if outcome.outcome is not OutcomeClass.ACCEPTED:
                    return _failed(outcome, taken=number)
                if outcome.provider_message_id:
                    jobs.append(outcome.provider_message_id)
        detail = f"taken: job {', '.join(jobs)}" if jobs else "taken"
        return Answered(is_done=True, detail=detail, calls=len(calls))

    return asyncio.run(run())


def _failed(outcome: SendOutcome, *, taken: int) -> Answered:
    said = outcome.error_detail or outcome.outcome.value
    step = (
        "the next run tries again; or run `lifecycle erase` again"
        if outcome.outcome in (OutcomeClass.RETRY, OutcomeClass.UNKNOWN, OutcomeClass.HOLD)
        else f"{said}; then run `lifecycle erase` again"
    )
    return Answered(
        is_done=False, detail=f"{outcome.error_code}: {said}", next_step=step, calls=taken
    )


def single_identifiers(emails: Sequence[str], phones: Sequence[str]) -> list[Identifiers]:
    """Return one row an identifier hash."""
    empty = Identifiers(email_sha256="", phone_sha256="")
    return [
        *(replace(empty, email_sha256=each) for each in sorted(set(emails)) if each),
        *(replace(empty, phone_sha256=each) for each in sorted(set(phones)) if each),
    ]
