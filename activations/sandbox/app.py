"""The sandbox as one ASGI app: four providers' endpoints and the control API.

Providers: `POST /v23.0/{phone_number_id}/messages` (WhatsApp), `POST /v3/mail/send` and
`POST /v3/recipients/erasejob` (SendGrid),
`POST` and `DELETE /v25.0/{audience_id}/users` (Meta), `POST /slack/…`. Each request is
authenticated, then meets programmed faults, then is validated as the real provider does.

Control, all JSON, under `/_sandbox`:

| call | does |
|---|---|
| `GET /messages?after_seq=&limit=&channel=` | accepted messages, oldest first |
| `GET /messages/{message_id}/body` | e-mail HTML, of the newest only |
| `POST /receipts` | `[receipt…]` or `{receipts, copies, signature}`: webhooks to the gateway, now |
| `POST /faults`, `GET`, `DELETE` | program, list, clear faults |
| `POST /recipients` | recipient rules, for example numbers that are not on WhatsApp |
| `POST /clock` | `{now}`: simulated instant, null for real time |
| `POST /gateway` | `{url}`: where webhooks go |
| `GET /stats`, `GET /keys`, `GET /audiences/{id}` | look |
| `POST /reset` | forget everything but keys, gateway and sequence numbers |

No authentication on the control API: serve it on loopback only.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from activations.gateway.serving import BodyCutShortError, BodyTooLargeError, read_body
from activations.sandbox import faults, meta, sendgrid, slack, webhooks, whatsapp
from activations.sandbox.config import SandboxConfig
from activations.sandbox.records import (
    Channel,
    ControlError,
    Fault,
    FaultKind,
    Receipt,
    RecipientRule,
    parse_instant,
)
from activations.sandbox.state import Answer, SandboxState

MAX_CONTROL_BYTES = 128 * 1024 * 1024
MAX_LISTED = 10_000
MAX_COPIES = 10
NOW_HEADER = "X-Sandbox-Now"


class _DroppedResponse(Response):
    """Ends the connection without an answer, as a dying load balancer does."""

    def __init__(self, request: Request) -> None:
        super().__init__()
        self._transport = getattr(getattr(request.receive, "__self__", None), "transport", None)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG002 - ASGI
        if self._transport is not None:
            self._transport.abort()
            # Until the server has seen the loss it would answer 500 in our place.
            while (await receive())["type"] != "http.disconnect":
                continue
            return
        # Another server than uvicorn: promise more bytes than come, which clients also notice.
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", b"1000"), (b"connection", b"close")],
            }
        )
        await send({"type": "http.response.body", "body": b"{", "more_body": False})


class _Endpoints:
    """The routes' functions, over one state."""

    def __init__(self, state: SandboxState) -> None:
        self.state = state

    # -- providers

    async def whatsapp(self, request: Request) -> Response:
        body = await self._body(request, Channel.WHATSAPP, whatsapp.MAX_BODY_BYTES)
        if isinstance(body, Response):
            return body
        state = self.state
        if not _has_bearer(request, state.config.whatsapp_token):
            return self._respond(Channel.WHATSAPP, whatsapp.refuse_token(state, expired=False))
        payload = _parse_json(body)
        now = state.now(request.headers.get(NOW_HEADER))
        return await self._meet_faults(
            request,
            Channel.WHATSAPP,
            whatsapp.parties(payload),
            lambda: whatsapp.accept(
                state,
                phone_number_id=request.path_params["phone_number_id"],
                payload=payload,
                now=now,
            ),
        )

    async def sendgrid(self, request: Request) -> Response:
        body = await self._body(request, Channel.EMAIL, self.state.config.sendgrid_max_bytes)
        if isinstance(body, Response):
            return body
        state = self.state
        if not _has_bearer(request, state.config.sendgrid_api_key):
            return self._respond(Channel.EMAIL, sendgrid.refuse_token())
        if "json" not in request.headers.get("content-type", ""):
            answer = sendgrid.refusal(415, "Content-Type should be application/json.")
            return self._respond(Channel.EMAIL, answer)
        payload = _parse_json(body)
        now = state.now(request.headers.get(NOW_HEADER))
        return await self._meet_faults(
            request,
            Channel.EMAIL,
            sendgrid.parties(payload),
            lambda: sendgrid.accept(state, payload=payload, now=now),
        )

    async def erase(self, request: Request) -> Response:
        body = await self._body(request, Channel.EMAIL, sendgrid.MAX_ERASE_BYTES)
        if isinstance(body, Response):
            return body
        state = self.state
        if not _has_bearer(request, state.config.sendgrid_api_key):
            return self._respond(Channel.EMAIL, sendgrid.refuse_token())
        payload = _parse_json(body)
        return await self._meet_faults(
            request,
            Channel.EMAIL,
            ("", "erasejob"),
            lambda: sendgrid.erase_recipients(state, payload=payload),
        )

    async def meta(self, request: Request) -> Response:
        body = await self._body(request, Channel.META, meta.MAX_BODY_BYTES)
        if isinstance(body, Response):
            return body
        state = self.state
        values, token = meta.parse_request(
            body, request.headers.get("content-type", ""), request.url.query
        )
        if not _has_bearer(request, state.config.meta_token) and not hmac.compare_digest(
            token.encode(), state.config.meta_token.encode()
        ):
            return self._respond(Channel.META, meta.refusal(state, 190, ""))
        audience_id = request.path_params["audience_id"]
        return await self._meet_faults(
            request,
            Channel.META,
            meta.parties(values, audience_id),
            lambda: meta.apply_users(
                state,
                audience_id=audience_id,
                values=values,
                is_removal=request.method == "DELETE",
            ),
        )

    async def slack(self, request: Request) -> Response:
        body = await self._body(request, Channel.SLACK, slack.MAX_BODY_BYTES)
        if isinstance(body, Response):
            return body
        state = self.state
        path = request.path_params["path"]
        payload = slack.parse_request(body, request.headers.get("content-type", ""))
        now = state.now(request.headers.get(NOW_HEADER))
        return await self._meet_faults(
            request,
            Channel.SLACK,
            (path, ""),
            lambda: slack.accept(state, path=path, payload=payload, now=now),
        )

    async def _meet_faults(
        self,
        request: Request,
        channel: Channel,
        parties: tuple[str, str],
        carry_out: Callable[[], Answer],
    ) -> Response:
        address, reference = parties
        fault = self.state.take_fault(channel, address=address, reference=reference)
        if fault is None:
            return self._respond(channel, carry_out())
        answer = carry_out() if fault.takes_effect() else None
        if fault.delay_seconds > 0:
            await asyncio.sleep(fault.delay_seconds)
        if fault.kind == FaultKind.DELAY and answer is not None:
            return self._respond(channel, answer)
        if fault.kind in (FaultKind.DROP, FaultKind.DELAY):
            self._count(channel, f"fault_{fault.kind}")
            return _DroppedResponse(request)
        return self._respond(channel, faults.answer_for(self.state, channel, fault))

    async def _body(self, request: Request, channel: Channel, limit: int) -> bytes | Response:
        try:
            return await read_body(request, limit_bytes=limit)
        except BodyTooLargeError:
            if channel == Channel.EMAIL:
                return self._respond(channel, sendgrid.refusal(413, "Payload Too Large"))
            answer = Answer(status=413, media_type="text/plain", outcome="error_413")
            return self._respond(channel, answer)
        except BodyCutShortError:
            self._count(channel, "cut_short")
            return Response(status_code=400)

    def _respond(self, channel: Channel, answer: Answer) -> Response:
        self._count(channel, answer.outcome)
        return Response(
            answer.body,
            status_code=answer.status,
            media_type=answer.media_type,
            headers=dict(answer.headers),
        )

    def _count(self, channel: Channel, outcome: str) -> None:
        with self.state.lock:
            self.state.stats[f"{channel}.requests"] += 1
            self.state.stats[f"{channel}.{outcome}"] += 1

    # -- control

    async def list_messages(self, request: Request) -> Response:
        query = request.query_params
        try:
            after_seq = int(query.get("after_seq", "0"))
            limit = min(int(query.get("limit", "1000")), MAX_LISTED)
        except ValueError as error:
            msg = "after_seq and limit must be whole numbers"
            raise ControlError(msg) from error
        messages = self.state.list_messages(
            after_seq=after_seq, limit=max(limit, 1), channel=query.get("channel")
        )
        return JSONResponse({"messages": [message.to_json() for message in messages]})

    async def show_body(self, request: Request) -> Response:
        html = self.state.bodies.get(request.path_params["message_id"])
        if html is None:
            return _problem(HTTPStatus.NOT_FOUND, "no body is kept for this message")
        return HTMLResponse(html)

    async def post_receipts(self, request: Request) -> Response:
        document = await _control_document(request)
        options: dict[str, Any] = {}
        if isinstance(document, dict):
            unknown = set(document) - {"receipts", "copies", "signature"}
            if unknown:
                msg = f"receipts: unknown {', '.join(sorted(unknown))}"
                raise ControlError(msg)
            options = {name: document[name] for name in document if name != "receipts"}
            document = document.get("receipts")
        if not isinstance(document, list):
            msg = "receipts: must be an array"
            raise ControlError(msg)
        if options.get("signature", "valid") not in ("valid", "wrong", "missing"):
            msg = "receipts: signature must be valid, wrong or missing"
            raise ControlError(msg)
        if options.get("copies", 1) not in range(1, MAX_COPIES + 1):
            msg = f"receipts: copies must be from 1 to {MAX_COPIES}"
            raise ControlError(msg)

        def tell() -> webhooks.Delivery:
            return webhooks.deliver(self.state, list(map(Receipt.from_json, document)), **options)

        delivery = await run_in_threadpool(tell)
        return JSONResponse(
            {
                "events": delivery.events,
                "statuses": list(delivery.statuses),
                "unknown": list(delivery.unknown),
            }
        )

    async def program_faults(self, request: Request) -> Response:
        document = await _control_document(request)
        given = document if isinstance(document, list) else [document]
        parsed = [Fault.from_json(each) for each in given]
        return JSONResponse({"fault_ids": [self.state.add_fault(fault) for fault in parsed]})

    async def list_faults(self, _: Request) -> Response:
        return JSONResponse({"faults": self.state.describe_faults()})

    async def clear_faults(self, _: Request) -> Response:
        return JSONResponse({"cleared": self.state.clear_faults()})

    async def program_recipients(self, request: Request) -> Response:
        document = await _control_document(request)
        given = document if isinstance(document, list) else [document]
        rules = [RecipientRule.from_json(each) for each in given]
        for rule in rules:
            self.state.add_rule(rule)
        return JSONResponse({"rules": len(self.state.rules)})

    async def set_clock(self, request: Request) -> Response:
        value = _member(await _control_document(request), "now")
        self.state.simulated_now = None if value is None else parse_instant(value)
        return JSONResponse({"now": self.state.now().isoformat()})

    async def set_gateway(self, request: Request) -> Response:
        value = _member(await _control_document(request), "url")
        if value is not None and not str(value).startswith(("http://", "https://")):
            msg = "gateway: url must start with http:// or https://"
            raise ControlError(msg)
        self.state.gateway_url = value
        return JSONResponse({"url": value})

    async def show_stats(self, _: Request) -> Response:
        state = self.state
        with state.lock:
            counters = dict(sorted(state.stats.items()))
            last_seq = next(reversed(state.messages.values())).seq if state.messages else 0
            sizes = {audience_id: len(a.members) for audience_id, a in state.audiences.items()}
        return JSONResponse({"counters": counters, "last_seq": last_seq, "audiences": sizes})

    async def show_keys(self, _: Request) -> Response:
        return JSONResponse({"sendgrid_public_key": sendgrid.public_key(self.state)})

    async def show_audience(self, request: Request) -> Response:
        audience_id = request.path_params["audience_id"]
        with self.state.lock:
            audience = self.state.audiences.get(audience_id)
            if audience is None:
                return _problem(HTTPStatus.NOT_FOUND, "no such audience was written to")
            members = [dict(sorted(member)) for member in audience.members]
            sessions = [
                {"session_id": session_id, "batch_seq": batch_seq, "times": times}
                for (session_id, batch_seq), times in audience.sessions.items()
            ]
            requests_made = dict(audience.requests)
        limit = int(request.query_params.get("limit", MAX_LISTED))
        return JSONResponse(
            {
                "audience_id": audience_id,
                "size": len(members),
                "members": members[:limit],
                "requests": requests_made,
                "sessions": sessions,
            }
        )

    async def reset(self, _: Request) -> Response:
        self.state.reset()
        return JSONResponse({"reset": True})


def create_sandbox(config: SandboxConfig | None = None) -> Starlette:
    """The sandbox app. Its memory is `app.state.sandbox`, a `SandboxState`."""
    state = SandboxState(config or SandboxConfig())
    on = _Endpoints(state)
    app = Starlette(
        routes=[
            Route("/v23.0/{phone_number_id}/messages", on.whatsapp, methods=["POST"]),
            Route("/v3/mail/send", on.sendgrid, methods=["POST"]),
            Route("/v3/recipients/erasejob", on.erase, methods=["POST"]),
            Route("/v25.0/{audience_id}/users", on.meta, methods=["POST", "DELETE"]),
            Route("/slack/{path:path}", on.slack, methods=["POST"]),
            Route("/_sandbox/messages", on.list_messages),
            Route("/_sandbox/messages/{message_id}/body", on.show_body),
            Route("/_sandbox/receipts", on.post_receipts, methods=["POST"]),
            Route("/_sandbox/faults", on.program_faults, methods=["POST"]),
            Route("/_sandbox/faults", on.list_faults, methods=["GET"]),
            Route("/_sandbox/faults", on.clear_faults, methods=["DELETE"]),
            Route("/_sandbox/recipients", on.program_recipients, methods=["POST"]),
            Route("/_sandbox/clock", on.set_clock, methods=["POST"]),
            Route("/_sandbox/gateway", on.set_gateway, methods=["POST"]),
            Route("/_sandbox/stats", on.show_stats),
            Route("/_sandbox/keys", on.show_keys),
            Route("/_sandbox/audiences/{audience_id}", on.show_audience),
            Route("/_sandbox/reset", on.reset, methods=["POST"]),
        ],
        exception_handlers={ControlError: _control_problem},
    )
    app.state.sandbox = state
    return app


async def _control_problem(_: Request, error: Exception) -> Response:
    return _problem(HTTPStatus.BAD_REQUEST, str(error))


def _problem(status: HTTPStatus, message: str) -> Response:
    return JSONResponse({"error": message}, status_code=status)


async def _control_document(request: Request) -> Any:
    try:
        body = await read_body(request, limit_bytes=MAX_CONTROL_BYTES)
        return json.loads(body)
    except (BodyTooLargeError, BodyCutShortError) as error:
        raise ControlError(str(error)) from error
    except (ValueError, RecursionError) as error:
        msg = "the body is not JSON"
        raise ControlError(msg) from error


def _member(document: Any, name: str) -> Any:
    if not isinstance(document, dict) or set(document) != {name}:
        msg = f"expected an object with {name}"
        raise ControlError(msg)
    return document[name]


def _parse_json(body: bytes) -> Any:
    """The document, or None for what is no JSON: providers then miss their first parameter."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _has_bearer(request: Request, token: str) -> bool:
    given = request.headers.get("authorization", "")
    scheme, _, value = given.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(
        value.strip().encode(), token.encode()
    )
