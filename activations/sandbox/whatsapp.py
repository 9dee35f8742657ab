"""WhatsApp Cloud API: what it accepts, how it refuses, what its webhooks look like.

Facts from `facebook/openapi` v23 and Meta's error page. Branch on `error.code`; titles and HTTP
statuses are for people. Not emulated: media, groups, flows, template management, the `/media` and
`/message_history` endpoints, the pair rate (program 131056 as a fault or a recipient rule).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from activations.sandbox.config import WhatsAppTemplate
from activations.sandbox.records import AcceptedMessage, Channel, ControlError, Receipt
from activations.sandbox.state import Answer, SandboxState

MAX_BODY_BYTES = 256 * 1024
MAX_CALLBACK_DATA = 512
MAX_HYDRATED_BODY = 1024
MAX_HEADER_TEXT = 60
MAX_FREE_TEXT = 4096
SERVICE_WINDOW = timedelta(hours=24)

# code -> (HTTP status, title). Statuses as Meta's error page lists them.
CODES: Mapping[int, tuple[int, str]] = {
    0: (401, "AuthException"),
    1: (500, "API Unknown"),
    2: (503, "API Service"),
    4: (400, "API Too Many Calls"),
    10: (403, "Permission Denied"),
    100: (400, "Invalid parameter"),
    190: (401, "Access token has expired"),
    368: (403, "Temporarily blocked for policies violations"),
    80007: (429, "Rate limit issues"),
    130429: (429, "Rate limit hit"),
    130472: (400, "User's number is part of an experiment"),
    130497: (403, "Business account is restricted from messaging users in this country"),
    131000: (500, "Something went wrong"),
    131005: (403, "Access denied"),
    131008: (400, "Required parameter is missing"),
    131009: (400, "Parameter value is not valid"),
    131016: (503, "Service unavailable"),
    131021: (400, "Recipient cannot be sender"),
    131026: (400, "Message undeliverable"),
    131030: (400, "Recipient phone number not in allowed list"),
    131031: (403, "Account has been locked"),
    131037: (400, "Display name approval required"),
    131042: (400, "Business eligibility payment issue"),
    131045: (500, "Incorrect certificate"),
    131047: (400, "Re-engagement message"),
    131048: (429, "Spam rate limit hit"),
    131049: (
        400,
        "This message was not delivered to maintain healthy ecosystem engagement.",
    ),
    131050: (400, "Unable to deliver the message: the user stopped marketing messages"),
    131051: (400, "Unsupported message type"),
    131052: (400, "Media download error"),
    131053: (400, "Media upload error"),
    131056: (429, "(Business Account, Consumer Account) pair rate limit hit"),
    131057: (500, "Account in maintenance mode"),
    131063: (400, "Marketing messages are disabled on Cloud API"),
    132000: (400, "Number of parameters does not match the expected number of params"),
    132001: (404, "Template name does not exist in the translation"),
    132005: (400, "Translated text too long"),
    132007: (400, "Template format character policy violated"),
    132012: (400, "Template parameter format mismatch"),
    132015: (400, "Template is paused"),
    132016: (400, "Template is disabled"),
    132018: (400, "Template parameter text is not valid"),
    133004: (503, "Server temporarily unavailable"),
    133010: (400, "Phone number not registered"),
    135000: (400, "Generic user error"),
}

_PARAMETER_TYPES = frozenset(
    [
        "text",
        "currency",
        "date_time",
        "image",
        "video",
        "document",
        "payload",
        "coupon_code",
        "location",
        "action",
    ]
)
_BUTTON_TYPES = frozenset({"quick_reply", "url", "catalog", "copy_code", "flow"})
_URL = re.compile(r"https?://[^\s<>\"']+")
_FORBIDDEN_IN_TEXT = re.compile(r"[\n\r\t]| {5,}")
_STATUS_EVENTS = frozenset({"sent", "delivered", "read", "failed"})


class _Refusal(Exception):  # noqa: N818 - not an error of ours: the answer a provider gives
    """Raised inside validation, turned into the provider's answer."""

    def __init__(self, code: int, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


def refusal(state: SandboxState, code: int, details: str, *, subcode: int | None = None) -> Answer:
    """The Graph API's error answer."""
    status, title = CODES.get(code, (400, "Error"))
    error: dict[str, Any] = {
        "message": f"(#{code}) {title}",
        "type": "OAuthException",
        "code": code,
        "error_data": {"messaging_product": "whatsapp", "details": details},
        "fbtrace_id": base64.urlsafe_b64encode(state.new_id("trace")).decode(),
    }
    if subcode is not None:
        error["error_subcode"] = subcode
    return Answer(
        status=status, body=json.dumps({"error": error}).encode(), outcome=f"error_{code}"
    )


def refuse_token(state: SandboxState, *, expired: bool) -> Answer:
    """Error 190, as for a token that is wrong or has run out."""
    if expired:
        return refusal(state, 190, "Session has expired", subcode=463)
    return refusal(state, 190, "Invalid OAuth access token - Cannot parse access token")


def parties(payload: Any) -> tuple[str, str]:
    """Recipient (`+` and digits) and client reference of a request, for faults to match on."""
    if not isinstance(payload, Mapping):
        return "", ""
    reference = payload.get("biz_opaque_callback_data")
    return _e164(payload.get("to")), reference if isinstance(reference, str) else ""


def accept(state: SandboxState, *, phone_number_id: str, payload: Any, now: datetime) -> Answer:
    """Validate a message request whose token was good, and take or refuse it."""
    config = state.config
    if phone_number_id not in config.whatsapp_phone_number_ids:
        details = "Unsupported post request. Object with this ID does not exist"
        return refusal(state, 100, details, subcode=33)
    if config.whatsapp_per_second and not state.fits_rate(
        f"whatsapp:{phone_number_id}", config.whatsapp_per_second
    ):
        return refusal(state, 130429, "Cloud API message throughput has been reached")
    try:
        wa_id, draft = _validate(state, payload, now)
    except _Refusal as refused:
        return refusal(state, refused.code, refused.details)
    message = state.accept(draft, extra={"phone_number_id": phone_number_id, "wa_id": wa_id})
    body = {
        "messaging_product": "whatsapp",
        "contacts": [{"input": payload["to"], "wa_id": wa_id}],
        "messages": [{"id": message.message_id, "message_status": "accepted"}],
    }
    return Answer(status=200, body=json.dumps(body).encode())


def _validate(state: SandboxState, payload: Any, now: datetime) -> tuple[str, AcceptedMessage]:
    if not isinstance(payload, Mapping):
        raise _Refusal(100, "The request body is not a JSON object")
    if payload.get("messaging_product") != "whatsapp":
        raise _Refusal(100, "The parameter messaging_product is required and must be whatsapp")
    if payload.get("recipient_type", "individual") != "individual":
        raise _Refusal(131009, "recipient_type must be individual")
    wa_id = _recipient(state, payload)
    reference = payload.get("biz_opaque_callback_data", "")
    if not isinstance(reference, str) or len(reference) > MAX_CALLBACK_DATA:
        raise _Refusal(131009, f"biz_opaque_callback_data is text of at most {MAX_CALLBACK_DATA}")
    kind = payload.get("type", "text")
    fate = ""
    template: WhatsAppTemplate | None = None
    values: dict[str, str] = {}
    if kind == "template":
        template, values, text = _template(state, payload.get("template"))
    elif kind == "text":
        text = _free_text(payload.get("text"))
        opened_at = state.inbound_at.get(wa_id)
        if opened_at is None or now - opened_at > SERVICE_WINDOW:
            # As in life: taken at once, failed by webhook.
            fate = "131047"
    else:
        raise _Refusal(131051, f"Message type {str(kind)[:40]} is not supported")
    category = template.category if template else "service"
    if category == "marketing" and wa_id in state.stopped_marketing:
        raise _Refusal(131050, "The recipient has chosen to stop marketing messages")
    rule = state.rule_for(Channel.WHATSAPP, "+" + wa_id)
    if rule is not None:
        if rule.at == "answer":
            raise _Refusal(rule.code, rule.reason or "Recipient programmed in the sandbox")
        fate = str(rule.code)
    token = base64.b64encode(b"\x1d\x00" + state.new_id("wamid")).decode()
    links = [text, *(values[name] for name in values)]
    return wa_id, AcceptedMessage(
        seq=0,
        channel=Channel.WHATSAPP,
        message_id=f"wamid.{token}",
        client_reference=reference,
        to="+" + wa_id,
        template=template.name if template else "",
        language=template.language if template else "",
        category=category,
        variables=values,
        text=text,
        links=find_links(*links),
        accepted_at=now,
        fate=fate,
    )


def _recipient(state: SandboxState, payload: Mapping[str, Any]) -> str:
    to = payload.get("to")
    if not to:
        raise _Refusal(131008, "The parameter to is required")
    wa_id = _e164(to)[1:]
    if not 8 <= len(wa_id) <= 15:
        raise _Refusal(131009, "The parameter to is not a phone number with country code")
    if wa_id == state.config.whatsapp_sender:
        raise _Refusal(131021, "Sender and recipient are the same number")
    allowed = state.config.whatsapp_allowed_recipients
    if allowed is not None and wa_id not in allowed:
        raise _Refusal(131030, "Recipient phone number not in allowed list")
    return wa_id


def _free_text(text: Any) -> str:
    body = text.get("body") if isinstance(text, Mapping) else None
    if not isinstance(body, str) or not body:
        raise _Refusal(131008, "The parameter text.body is required")
    if len(body) > MAX_FREE_TEXT:
        raise _Refusal(131009, f"text.body is over {MAX_FREE_TEXT} characters")
    return body


def _template(state: SandboxState, given: Any) -> tuple[WhatsAppTemplate, dict[str, str], str]:
    if not isinstance(given, Mapping):
        raise _Refusal(131008, "The parameter template is required")
    name = given.get("name")
    language = given.get("language")
    code = language.get("code") if isinstance(language, Mapping) else None
    if not name or not code:
        raise _Refusal(131008, "template.name and template.language.code are required")
    template = state.config.templates.get((str(name), str(code)))
    if template is None:
        details = f"template name ({str(name)[:60]}) does not exist in {str(code)[:20]}"
        raise _Refusal(132001, details)
    if template.status == "PAUSED":
        raise _Refusal(132015, "Template is paused due to low quality")
    if template.status == "DISABLED":
        raise _Refusal(132016, "Template was paused too many times and is disabled")
    if template.status != "APPROVED":
        raise _Refusal(132001, f"template is {template.status}, not APPROVED")
    parts = _components(given.get("components", []))
    header = parts.pop(("header", ""), [])
    body = parts.pop(("body", ""), [])
    header_values = _text_values("header", template.header_places(), header)
    values = _text_values("body", template.body_places(), body)
    for (_, index), parameters in parts.items():
        url = template.url_buttons.get(int(index))
        if url is None:
            raise _Refusal(132012, f"button {index} takes no parameter")
        place = _text_values(f"button {index}", ("1",) if "{{" in url else (), parameters)
        values |= {f"button{index}": text for text in place.values()}
    for index, url in template.url_buttons.items():
        if "{{" in url and ("button", str(index)) not in parts:
            raise _Refusal(131008, f"button {index} needs its parameter")
    text = template.hydrate(values)
    if len(text) > MAX_HYDRATED_BODY or any(
        len(each) > MAX_HEADER_TEXT for each in header_values.values()
    ):
        raise _Refusal(132005, f"hydrated text too long: {len(text)} characters")
    return template, values | {f"header{key}": text for key, text in header_values.items()}, text


def _components(given: Any) -> dict[tuple[str, str], Sequence[Any]]:
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise _Refusal(131009, "template.components must be an array")
    parts: dict[tuple[str, str], Sequence[Any]] = {}
    for component in given:
        if not isinstance(component, Mapping):
            raise _Refusal(131009, "a component must be an object")
        kind = component.get("type")
        index = ""
        if kind == "button":
            index = str(component.get("index", ""))
            if component.get("sub_type") not in _BUTTON_TYPES or index not in tuple("0123456789"):
                raise _Refusal(131009, "a button needs sub_type and index 0 to 9")
        elif kind not in ("header", "body"):
            raise _Refusal(131009, "component type must be header, body or button")
        parameters = component.get("parameters", [])
        if not isinstance(parameters, Sequence) or isinstance(parameters, str):
            raise _Refusal(131009, f"{kind}: parameters must be an array")
        if (kind, index) in parts:
            raise _Refusal(131009, f"{kind} is given twice")
        parts[(kind, index)] = parameters
    return parts


def _text_values(where: str, places: Sequence[str], given: Sequence[Any]) -> dict[str, str]:
    if len(given) != len(places):
        details = (
            f"{where}: number of localizable_params ({len(given)}) "
            f"does not match the expected number of params ({len(places)})"
        )
        raise _Refusal(132000, details)
    is_named = any(not place.isdigit() for place in places)
    values: dict[str, str] = {}
    ordered = places if is_named else sorted(places, key=int)
    for place, parameter in zip(ordered, given, strict=True):
        if not isinstance(parameter, Mapping) or parameter.get("type") not in _PARAMETER_TYPES:
            raise _Refusal(131009, f"{where}: a parameter has no valid type")
        if parameter["type"] != "text":
            raise _Refusal(132012, f"{where}: expected a text parameter")
        name = parameter.get("parameter_name")
        if is_named != (name is not None) or (is_named and name not in places):
            raise _Refusal(132012, f"{where}: parameter_name does not fit the template")
        text = parameter.get("text")
        if not isinstance(text, str) or not text.strip():
            raise _Refusal(131008, f"{where}: parameter {place} has no text")
        if _FORBIDDEN_IN_TEXT.search(text):
            details = "Param text cannot have new-line/tab characters or more than 4 spaces"
            raise _Refusal(132018, f"{where}: {details}")
        values[str(name) if is_named else place] = text
    return values


def find_links(*texts: str) -> tuple[str, ...]:
    """Web addresses in texts, each once, in order."""
    found = [link.rstrip(".,;:!?)") for text in texts for link in _URL.findall(text)]
    return tuple(dict.fromkeys(found))


def _e164(value: Any) -> str:
    return "+" + re.sub(r"[\s()+-]", "", value) if _is_phone_text(value) else ""


def _is_phone_text(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\+?[0-9 ()-]{1,30}", value) is not None


# -- webhooks


def build_webhook(state: SandboxState, receipts: Sequence[Receipt]) -> bytes:
    """One webhook body that tells all `receipts`, in Meta's shape.

    Args:
        state: where the messages are looked up.
        receipts: of WhatsApp only, of messages that exist.

    Raises:
        ControlError: an event WhatsApp does not have.
    """
    values: dict[tuple[str, str], dict[str, Any]] = {}
    changes: list[dict[str, Any]] = []
    for receipt in receipts:
        found = state.find(receipt.message_id) if receipt.message_id else None
        message, extra = found if found else (None, {})
        wa_id = extra.get("wa_id") or _e164(receipt.address)[1:]
        sender = extra.get("phone_number_id") or min(state.config.whatsapp_phone_number_ids)
        field, list_name, entry = _entry(state, receipt, message, wa_id)
        value = values.get((sender, list_name))
        if value is None:
            value = values[(sender, list_name)] = {
                "messaging_product": "whatsapp",
                "metadata": {
                    "display_phone_number": state.config.whatsapp_sender,
                    "phone_number_id": sender,
                },
                list_name: [],
            }
            changes.append({"field": field, "value": value})
        value[list_name].append(entry)
        if list_name != "statuses":
            person = {"profile": {"name": "Sandbox person"}, "wa_id": wa_id}
            value.setdefault("contacts", []).append(person)
    document = {
        "object": "whatsapp_business_account",
        "entry": [{"id": state.config.whatsapp_waba_id, "changes": changes}],
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _entry(
    state: SandboxState, receipt: Receipt, message: AcceptedMessage | None, wa_id: str
) -> tuple[str, str, dict[str, Any]]:
    stamp = str(int(receipt.occurred_at.timestamp()))
    detail = receipt.detail
    if receipt.event in _STATUS_EVENTS:
        if message is None:
            msg = f"receipt: {receipt.event} needs a message"
            raise ControlError(msg)
        return "messages", "statuses", _status(receipt, message, wa_id, stamp)
    if receipt.event == "reply":
        state.note_inbound(wa_id, receipt.occurred_at)
        key = f"{wa_id}|{stamp}|{sorted(detail.items())}|{receipt.message_id}"
        inbound_id = base64.b64encode(hashlib.sha256(key.encode()).digest()[:14]).decode()
        entry: dict[str, Any] = {"from": wa_id, "id": f"wamid.{inbound_id}", "timestamp": stamp}
        if message is not None:
            entry["context"] = {"from": state.config.whatsapp_sender, "id": message.message_id}
        if "button" in detail:
            text = str(detail["button"])
            entry |= {"type": "button", "button": {"payload": text, "text": text}}
        else:
            entry |= {"type": "text", "text": {"body": str(detail.get("text", ""))}}
        return "messages", "messages", entry
    if receipt.event in ("opt_out", "opt_in"):
        is_stop = receipt.event == "opt_out"
        state.apply_preference(wa_id, stop=is_stop)
        entry = {
            "wa_id": wa_id,
            "detail": "User requested to stop marketing messages"
            if is_stop
            else "User requested to resume marketing messages",
            "category": "marketing_messages",
            "value": "stop" if is_stop else "resume",
            "timestamp": int(stamp),
        }
        return "user_preferences", "user_preferences", entry
    msg = f"receipt: WhatsApp has no event {receipt.event!r}"
    raise ControlError(msg)


def _status(receipt: Receipt, message: AcceptedMessage, wa_id: str, stamp: str) -> dict[str, Any]:
    status: dict[str, Any] = {
        "id": message.message_id,
        "status": receipt.event,
        "timestamp": stamp,
        "recipient_id": wa_id,
    }
    if receipt.event == "failed":
        code = int(receipt.detail.get("code", message.fate or 131026))
        title = str(receipt.detail.get("title") or CODES.get(code, (400, "Error"))[1])
        status["errors"] = [
            {
                "code": code,
                "title": title,
                "message": title,
                "error_data": {"details": str(receipt.detail.get("details", title))},
                "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
            }
        ]
    else:
        status["pricing"] = {
            "billable": message.category != "service",
            "pricing_model": "PMP",
            "type": "regular" if message.category != "service" else "free_customer_service",
            "category": message.category,
        }
    if message.client_reference:
        status["biz_opaque_callback_data"] = message.client_reference
    return status


def sign(secret: str, body: bytes) -> str:
    """Value of `X-Hub-Signature-256`."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
