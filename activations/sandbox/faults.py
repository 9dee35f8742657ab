"""How a programmed fault looks to the caller, provider by provider.

Pure: which fault a request meets is `SandboxState.take_fault`, and dropping the connection is the
app's business.
"""

from __future__ import annotations

import time

from activations.sandbox import meta, sendgrid, slack, whatsapp
from activations.sandbox.records import Channel, Fault, FaultKind
from activations.sandbox.state import Answer, SandboxState


def answer_for(state: SandboxState, channel: Channel, fault: Fault) -> Answer:
    """The bad answer of a fault that answers at all (not `drop`, not `delay`)."""
    if fault.kind == FaultKind.MALFORMED:
        # Cut inside a string: no parser takes it, and a byte count does not give it away. For mail
        # the id travels in a header, which is missing then.
        status = 202 if channel == Channel.EMAIL else 200
        return Answer(status=status, body=b'{"messaging_product":"what', outcome="fault_malformed")
    answer = _provider_answer(state, channel, fault)
    headers = dict(answer.headers)
    if fault.kind in (FaultKind.RATE_LIMIT, FaultKind.UNAVAILABLE):
        headers["Retry-After"] = str(fault.retry_after_seconds)
    return Answer(
        status=answer.status,
        body=answer.body,
        media_type=answer.media_type,
        headers=headers,
        outcome=f"fault_{fault.kind}",
    )


def _provider_answer(state: SandboxState, channel: Channel, fault: Fault) -> Answer:
    match channel:
        case Channel.WHATSAPP:
            return _whatsapp(state, fault)
        case Channel.EMAIL:
            return _email(fault)
        case Channel.META:
            return _meta(state, fault)
        case Channel.SLACK:
            return _slack(fault)


def _whatsapp(state: SandboxState, fault: Fault) -> Answer:
    match fault.kind:
        case FaultKind.RATE_LIMIT:
            return whatsapp.refusal(state, 130429, "Cloud API message throughput reached")
        case FaultKind.SERVER_ERROR:
            return whatsapp.refusal(state, 131000, "Something went wrong")
        case FaultKind.UNAVAILABLE:
            return whatsapp.refusal(state, 131016, "Service unavailable")
        case FaultKind.EXPIRED_TOKEN:
            return whatsapp.refuse_token(state, expired=True)
        case _:
            return whatsapp.refusal(state, fault.code, "Programmed in the sandbox")


def _email(fault: Fault) -> Answer:
    match fault.kind:
        case FaultKind.RATE_LIMIT:
            reset = str(int(time.time()) + fault.retry_after_seconds)
            return sendgrid.refusal(
                429,
                "too many requests",
                X_RateLimit_Limit="600",
                X_RateLimit_Remaining="0",
                X_RateLimit_Reset=reset,
            )
        case FaultKind.SERVER_ERROR:
            return sendgrid.refusal(500, "Internal Server Error")
        case FaultKind.UNAVAILABLE:
            return sendgrid.refusal(503, "Service Unavailable")
        case FaultKind.EXPIRED_TOKEN:
            return sendgrid.refuse_token()
        case _:
            status = fault.code if 400 <= fault.code <= 599 else 400
            return sendgrid.refusal(status, "Programmed in the sandbox")


def _meta(state: SandboxState, fault: Fault) -> Answer:
    match fault.kind:
        case FaultKind.RATE_LIMIT:
            return meta.refusal(state, 80003, "")
        case FaultKind.SERVER_ERROR:
            return meta.refusal(state, 1, "")
        case FaultKind.UNAVAILABLE:
            return meta.refusal(state, 2, "")
        case FaultKind.EXPIRED_TOKEN:
            return meta.refusal(state, 190, "Session has expired", subcode=463)
        case _:
            if fault.code == 1713230:
                return meta.refusal(state, 100, "Audience Upload Blocked", subcode=1713230)
            return meta.refusal(state, fault.code, "Programmed in the sandbox")


def _slack(fault: Fault) -> Answer:
    match fault.kind:
        case FaultKind.RATE_LIMIT:
            return slack.refusal(429, "rate_limited")
        case FaultKind.SERVER_ERROR:
            return slack.refusal(500, "server_error")
        case FaultKind.UNAVAILABLE:
            return slack.refusal(503, "service_unavailable")
        case FaultKind.EXPIRED_TOKEN:
            return slack.refusal(404, "no_service")
        case _:
            return slack.refusal(410 if fault.code == 410 else 403, "channel_is_archived")
