"""The gateway as an ASGI app.

| call | does |
|---|---|
| `GET /webhooks/whatsapp` | subscription handshake |
| `POST /webhooks/whatsapp` | statuses, replies, preferences; signature over the raw bytes first |
| `POST /webhooks/sendgrid` | mail events; signature first |
| `GET /u/{token}` | a page with a button; changes nothing, mail scanners open every link |
| `POST /u/{token}` | one-click unsubscribe (RFC 8058): no login, no redirect, repeatable |
| `GET /r/{token}` | counts a click and redirects to the signed target, never elsewhere |
| `GET /healthz` | whether the ledger answers |

Answers to providers: 200 landed (also when nothing was new), 400 unreadable (kept as a reject), 401
not signed by them, 413 too large, 503 ledger away, come again. Nothing logged names a person.
"""

from __future__ import annotations

import hmac
import logging
import re
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import Route

from activations.clock import Clock
from activations.errors import LedgerUnavailableError, TokenError
from activations.gateway import pages, sendgrid, whatsapp
from activations.gateway.config import GatewayConfig
from activations.gateway.landing import Landing
from activations.gateway.reading import Reading, Reject, UnreadableEventError, parse_document
from activations.gateway.rejects import create_rejects_table, decode_body, record_rejects
from activations.gateway.serving import BodyCutShortError, BodyTooLargeError, read_body
from activations.ledger import Ledger
from activations.links import LinkToken, parse_token
from activations.rows import ConsentStatement, InboundEvent, Intent

# A double click or a mail provider's retry, not a second opinion.
REPEAT_WINDOW = timedelta(seconds=10)
MAX_FORM_BYTES = 64 * 1024
MAX_TOKEN = 4096
MAX_CHALLENGE = 200
RETRY_AFTER_SECONDS = 30
NOW_HEADER = "X-Sandbox-Now"

_PREFETCH_HEADERS = ("purpose", "sec-purpose", "x-purpose", "x-moz")
# Link previews and scanners that fetch what a person has not opened.
_MACHINE_AGENT = re.compile(
    r"bot\b|crawl|spider|preview|scan|facebookexternalhit|^whatsapp/|imageproxy|slurp|headless",
    re.IGNORECASE,
)
_PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_log = logging.getLogger(__name__)


class _Endpoints:
    """The routes' functions, over one ledger."""

    def __init__(self, ledger: Ledger, config: GatewayConfig, clock: Clock) -> None:
        self._ledger = ledger
        self._config = config
        self._clock = clock
        self._landing = Landing(
            ledger,
            undeliverable_limit=config.undeliverable_limit,
            undeliverable_for=config.undeliverable_for,
        )
        self._rules = whatsapp.ReplyRules(
            stop_phrases=config.stop_phrases, start_phrases=config.start_phrases
        )
        self._sendgrid_key = (
            sendgrid.load_public_key(config.sendgrid_public_key)
            if config.sendgrid_public_key
            else None
        )

    # -- webhooks

    async def whatsapp_handshake(self, request: Request) -> Response:
        query = request.query_params
        token = self._config.whatsapp_verify_token
        is_ours = bool(token) and hmac.compare_digest(
            query.get("hub.verify_token", "").encode(), token.encode()
        )
        if not is_ours or query.get("hub.mode") != "subscribe":
            return PlainTextResponse("forbidden", status_code=403)
        return PlainTextResponse(
            query.get("hub.challenge", "")[:MAX_CHALLENGE],
            headers={"X-Content-Type-Options": "nosniff"},
        )

    async def whatsapp_webhook(self, request: Request) -> Response:
        def is_signed(body: bytes) -> bool:
            return whatsapp.is_signed(
                self._config.whatsapp_app_secret, body, request.headers.get("x-hub-signature-256")
            )

        def read(document: Any, received_at: datetime) -> Reading:
            return whatsapp.read_webhook(document, received_at=received_at, rules=self._rules)

        return await self._webhook(request, whatsapp.CHANNEL, is_signed, read)

    async def sendgrid_webhook(self, request: Request) -> Response:
        key = self._sendgrid_key

        def is_signed(body: bytes) -> bool:
            return key is not None and sendgrid.is_signed(
                key,
                body,
                request.headers.get("x-twilio-email-event-webhook-signature"),
                request.headers.get("x-twilio-email-event-webhook-timestamp"),
            )

        def read(document: Any, received_at: datetime) -> Reading:
            return sendgrid.read_webhook(document, received_at=received_at)

        return await self._webhook(request, sendgrid.CHANNEL, is_signed, read)

    async def _webhook(
        self,
        request: Request,
        channel: str,
        is_signed: Callable[[bytes], bool],
        read: Callable[[Any, datetime], Reading],
    ) -> Response:
        try:
            body = await read_body(request, limit_bytes=self._config.max_body_bytes)
        except BodyTooLargeError:
            return PlainTextResponse("too large", status_code=413)
        except BodyCutShortError:
            return PlainTextResponse("cut short", status_code=400)
        if not is_signed(body):
            _log.warning("%s webhook refused: the signature does not fit", channel)
            return PlainTextResponse("unauthorized", status_code=401)
        try:
            return await run_in_threadpool(self._read_and_land, channel, body, read)
        except LedgerUnavailableError:
            _log.warning("%s webhook put off: the ledger is away", channel)
            return PlainTextResponse(
                "try again", status_code=503, headers={"Retry-After": str(RETRY_AFTER_SECONDS)}
            )

    def _read_and_land(
        self, channel: str, body: bytes, read: Callable[[Any, datetime], Reading]
    ) -> Response:
        now = self._clock.now()
        try:
            reading = read(parse_document(body), now)
        except UnreadableEventError as error:
            reject = Reject(channel=channel, reason=str(error), body=decode_body(body))
            record_rejects(self._ledger.engine, [reject], received_at=now)
            _log.warning("%s webhook unreadable and kept: %s", channel, error)
            return PlainTextResponse("unreadable", status_code=400)
        report = self._landing.land(reading, channel=channel, now=now)
        _log.info(
            "%s webhook: %d events, %d new, %d rejected, %d ignored",
            channel,
            report.events,
            report.new,
            report.rejected,
            report.ignored,
        )
        return JSONResponse({"events": report.events, "new": report.new})

    # -- links

    async def ask_unsubscribe(self, request: Request) -> Response:
        return await self._with_intent(request, self._show_question)

    async def unsubscribe(self, request: Request) -> Response:
        # The body says List-Unsubscribe=One-Click; that it is a POST is what counts. Read it all
        # the same, so that the connection can be used again.
        try:
            await read_body(request, limit_bytes=MAX_FORM_BYTES)
        except (BodyTooLargeError, BodyCutShortError):
            return PlainTextResponse("too large", status_code=413)
        return await self._with_intent(request, self._record_unsubscribe)

    async def _with_intent(
        self,
        request: Request,
        act: Callable[[Intent, datetime], Response],
    ) -> Response:
        token = self._read_token(request, "unsubscribe")
        if token is None:
            return self._missing()
        at = self._instant(request)

        def look_up_and_act() -> Response:
            intent = self._ledger.intent(token.intent_key)
            if intent is None or not intent.address or not intent.channel:
                return self._missing()
            return act(intent, at)

        try:
            return await run_in_threadpool(look_up_and_act)
        except LedgerUnavailableError:
            return HTMLResponse(
                pages.later_page(brand=self._config.brand_name),
                status_code=503,
                headers=_PAGE_HEADERS | {"Retry-After": str(RETRY_AFTER_SECONDS)},
            )

    def _show_question(self, intent: Intent, _: datetime) -> Response:
        page = pages.ask_page(
            brand=self._config.brand_name,
            channel=intent.channel or "",
            address=intent.address or "",
        )
        return HTMLResponse(page, headers=_PAGE_HEADERS)

    def _record_unsubscribe(self, intent: Intent, at: datetime) -> Response:
        channel, address = intent.channel or "", intent.address or ""
        self._landing.record_unsubscribe(
            ConsentStatement(
                address=address,
                channel=channel,
                purpose="promotional",
                status="opt_out",
                source="one_click_unsubscribe",
                stated_at=at,
                received_at=self._clock.now(),
                evidence=f"intent {intent.intent_key}",
            ),
            intent_key=intent.intent_key,
            repeat_window=REPEAT_WINDOW,
        )
        page = pages.done_page(brand=self._config.brand_name, channel=channel, address=address)
        return HTMLResponse(page, headers=_PAGE_HEADERS)

    async def redirect(self, request: Request) -> Response:
        token = self._read_token(request, "redirect")
        if token is None or token.target_url is None:
            return self._missing()
        if request.method == "GET" and not _is_prefetch(request):
            at = self._instant(request)
            agent = request.headers.get("user-agent", "")
            try:
                await run_in_threadpool(self._record_click, token, at, _is_machine(agent))
            except LedgerUnavailableError:
                # The person comes first: a click that is not counted still leads on.
                _log.warning("a click could not be counted: the ledger is away")
        return RedirectResponse(
            token.target_url,
            status_code=302,
            headers={
                "Cache-Control": "no-store",
                "Referrer-Policy": "no-referrer",
                "X-Robots-Tag": "noindex",
            },
        )

    def _record_click(self, token: LinkToken, at: datetime, is_machine: bool | None) -> None:
        intent = self._ledger.intent(token.intent_key)
        if intent is None or not intent.channel:
            return
        event = InboundEvent(
            # Every click is one: two in a second are two.
            event_id=f"r:{uuid.uuid4().hex}",
            channel=intent.channel,
            event="click",
            intent_key=intent.intent_key,
            address=intent.address,
            occurred_at=at,
            received_at=self._clock.now(),
            is_machine=is_machine,
        )
        self._ledger.land(events=[event], now=self._clock.now())

    def _read_token(
        self, request: Request, kind: Literal["redirect", "unsubscribe"]
    ) -> LinkToken | None:
        given = request.path_params["token"]
        if len(given) > MAX_TOKEN or not given.isascii():
            return None
        try:
            token = parse_token(self._config.link_secret, given)
        except TokenError:
            return None
        return token if token.kind == kind else None

    def _missing(self) -> Response:
        return HTMLResponse(
            pages.missing_page(brand=self._config.brand_name),
            status_code=404,
            headers=_PAGE_HEADERS,
        )

    def _instant(self, request: Request) -> datetime:
        given = request.headers.get(NOW_HEADER)
        if self._config.accepts_simulated_time and given:
            try:
                instant = datetime.fromisoformat(given)
            except ValueError:
                return self._clock.now()
            if instant.tzinfo is not None:
                return instant
        return self._clock.now()

    # -- health

    async def health(self, _: Request) -> Response:
        try:
            await run_in_threadpool(self._ledger.check)
        except LedgerUnavailableError:
            return JSONResponse({"status": "ledger unavailable"}, status_code=503)
        return JSONResponse({"status": "ok"})

    async def not_found(self, _: Request, __: Exception) -> Response:
        return self._missing()


def create_gateway(ledger: Ledger, config: GatewayConfig, clock: Clock) -> Starlette:
    """The gateway app.

    Args:
        ledger: where everything lands. Requests are served by several threads, so an in-memory
            ledger that others use at the same time is not enough: give it a file or a server.
        config: secrets and rules.
        clock: says when something was received.

    Raises:
        ConfigurationError: the SendGrid key is no public key.
        LedgerUnavailableError: the ledger does not answer.
    """
    on = _Endpoints(ledger, config, clock)
    create_rejects_table(ledger.engine)
    app = Starlette(
        routes=[
            Route("/webhooks/whatsapp", on.whatsapp_handshake, methods=["GET"]),
            Route("/webhooks/whatsapp", on.whatsapp_webhook, methods=["POST"]),
            Route("/webhooks/sendgrid", on.sendgrid_webhook, methods=["POST"]),
            Route("/u/{token}", on.ask_unsubscribe, methods=["GET"]),
            Route("/u/{token}", on.unsubscribe, methods=["POST"]),
            Route("/r/{token}", on.redirect, methods=["GET"]),
            Route("/healthz", on.health, methods=["GET"]),
        ],
        exception_handlers={404: on.not_found},
    )
    # A token with a slash after it is not our link; one-click POSTs must never meet a redirect.
    app.router.redirect_slashes = False
    return app


def _is_prefetch(request: Request) -> bool:
    return any(
        word in request.headers.get(name, "").lower()
        for name in _PREFETCH_HEADERS
        for word in ("prefetch", "preview", "prerender")
    )


def _is_machine(agent: str) -> bool | None:
    """True for a known fetcher, False for a browser, None when nobody can tell."""
    if _MACHINE_AGENT.search(agent):
        return True
    return False if agent.startswith("Mozilla/") else None
