"""Requests as the channels make them, for the tests of the sandbox and the gateway."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import requests

from activations.sandbox.config import (
    DEFAULT_SENDGRID_API_KEY,
    DEFAULT_WHATSAPP_PHONE_NUMBER_ID,
    DEFAULT_WHATSAPP_TOKEN,
)
from activations.sandbox.server import RunningSandbox

NOW = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)


def text(*values: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": value} for value in values]


def whatsapp_message(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+919812345678",
        "type": "template",
        "template": {
            "name": "apv_0",
            "language": {"code": "en"},
            "components": [
                {
                    "type": "body",
                    "parameters": text("Asha", "Pixel 7", "₹21,000", "https://go.example/r/abc"),
                }
            ],
        },
        "biz_opaque_callback_data": "intent-1",
    }
    return body | changes


def with_body(*values: str, name: str = "apv_0") -> dict[str, Any]:
    body = copy.deepcopy(whatsapp_message())
    body["template"]["name"] = name
    body["template"]["components"] = [{"type": "body", "parameters": text(*values)}]
    return body


def post_whatsapp(
    http: requests.Session,
    sandbox: RunningSandbox,
    body: Any,
    *,
    token: str = DEFAULT_WHATSAPP_TOKEN,
    sender: str = DEFAULT_WHATSAPP_PHONE_NUMBER_ID,
) -> requests.Response:
    return http.post(
        f"{sandbox.base_url}/v23.0/{sender}/messages",
        json=body,
        headers={"Authorization": f"Bearer {token}", "X-Sandbox-Now": NOW.isoformat()},
        timeout=10,
    )


def mail(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "personalizations": [
            {"to": [{"email": "Asha@mail.example"}], "custom_args": {"intent_key": "intent-9"}}
        ],
        "from": {"email": "hello@shop.example", "name": "Shop"},
        "subject": "Your Pixel 7",
        "content": [
            {"type": "text/plain", "value": "See https://go.example/r/abc."},
            {
                "type": "text/html",
                "value": '<a href="https://go.example/r/abc?a=1&amp;b=2">See</a>',
            },
        ],
        "categories": ["abandoned_price_view"],
        "custom_args": {"journey_key": "abandoned_price_view"},
        "headers": {
            "List-Unsubscribe": "<https://go.example/u/tok>, <mailto:stop@shop.example>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        },
    }
    return body | changes


def post_mail(
    http: requests.Session,
    sandbox: RunningSandbox,
    body: Any,
    *,
    key: str = DEFAULT_SENDGRID_API_KEY,
) -> requests.Response:
    return http.post(
        f"{sandbox.base_url}/v3/mail/send",
        json=body,
        headers={"Authorization": f"Bearer {key}", "X-Sandbox-Now": NOW.isoformat()},
        timeout=10,
    )
