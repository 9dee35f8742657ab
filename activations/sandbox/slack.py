"""Slack incoming webhook: size limits, plain-text answers.

Limits from Slack's own SDK and rate-limit page. Answers are plain text: `ok`, or the error's name.
Not emulated: the Web API, interactivity, whether mentions resolve.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

from activations.sandbox.records import AcceptedMessage, Channel
from activations.sandbox.state import Answer, SandboxState
from activations.sandbox.whatsapp import find_links

MAX_BODY_BYTES = 1024 * 1024
MAX_TEXT = 40_000
MAX_BLOCKS = 50
# Undocumented, measured by users: the blocks together are refused at about this many characters.
MAX_BLOCKS_CHARACTERS = 13_200
# A burst may go over one post a second for a short while.
BURST = 5.0


def refusal(status: int, name: str, **headers: str) -> Answer:
    """Slack's error answer."""
    return Answer(
        status=status,
        body=name.encode(),
        media_type="text/plain",
        headers={key.replace("_", "-"): value for key, value in headers.items()},
        outcome=name,
    )


def parse_request(body: bytes, content_type: str) -> Any:
    """The JSON document, also when it came in the form field `payload`; None when unreadable."""
    try:
        if "form-urlencoded" in content_type:
            return json.loads(parse_qs(body.decode())["payload"][-1])
        return json.loads(body)
    except (ValueError, KeyError, RecursionError):
        return None


def accept(state: SandboxState, *, path: str, payload: Any, now: datetime) -> Answer:
    """Validate a post to a hook and take or refuse it."""
    known = state.config.slack_paths
    if known is not None and path not in known:
        return refusal(404, "no_service")
    rate = state.config.slack_per_second
    if rate and not state.fits_rate(f"slack:{path}", rate, burst=BURST):
        return refusal(429, "rate_limited", Retry_After="1")
    if not isinstance(payload, Mapping):
        return refusal(400, "invalid_payload")
    text = payload.get("text", "")
    blocks = payload.get("blocks", [])
    if not isinstance(text, str) or not isinstance(blocks, list):
        return refusal(400, "invalid_payload")
    if not text and not blocks and not payload.get("attachments"):
        return refusal(400, "no_text")
    if len(text) > MAX_TEXT:
        return refusal(400, "msg_too_long")
    if len(blocks) > MAX_BLOCKS or not all(map(_is_valid_block, blocks)):
        return refusal(400, "invalid_blocks")
    if blocks and len(json.dumps(blocks, ensure_ascii=False)) > MAX_BLOCKS_CHARACTERS:
        return refusal(400, "msg_blocks_too_long")
    state.accept(
        AcceptedMessage(
            seq=0,
            channel=Channel.SLACK,
            message_id=f"slack.{base64.urlsafe_b64encode(state.new_id('slack')).decode()}",
            client_reference="",
            to=path,
            text=text or json.dumps(blocks, ensure_ascii=False),
            links=find_links(text),
            accepted_at=now,
        ),
        extra={"blocks": blocks},
    )
    return Answer(status=200, body=b"ok", media_type="text/plain")


def _is_text(value: Any, limit: int, *, plain_only: bool = False) -> bool:
    if not isinstance(value, Mapping):
        return False
    kinds = ("plain_text",) if plain_only else ("plain_text", "mrkdwn")
    text = value.get("text")
    return value.get("type") in kinds and isinstance(text, str) and 1 <= len(text) <= limit


def _is_section(block: Mapping[str, Any]) -> bool:
    text, fields = block.get("text"), block.get("fields")
    if text is None and fields is None:
        return False
    if text is not None and not _is_text(text, 3000):
        return False
    return fields is None or (
        isinstance(fields, list)
        and 1 <= len(fields) <= 10
        and all(_is_text(each, 2000) for each in fields)
    )


def _is_list(block: Mapping[str, Any], limit: int) -> bool:
    elements = block.get("elements")
    return isinstance(elements, list) and 1 <= len(elements) <= limit


def _is_image(block: Mapping[str, Any]) -> bool:
    alt = block.get("alt_text")
    return isinstance(alt, str) and len(alt) <= 2000


def _is_markdown(block: Mapping[str, Any]) -> bool:
    text = block.get("text")
    return isinstance(text, str) and 1 <= len(text) <= 12_000


_BLOCKS: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "section": _is_section,
    "header": lambda block: _is_text(block.get("text"), 150, plain_only=True),
    "context": lambda block: _is_list(block, 10),
    "actions": lambda block: _is_list(block, 25),
    "image": _is_image,
    "markdown": _is_markdown,
    "divider": lambda _: True,
    "rich_text": lambda block: _is_list(block, MAX_BLOCKS),
}


def _is_valid_block(block: Any) -> bool:
    if not isinstance(block, Mapping) or len(str(block.get("block_id", ""))) > 255:
        return False
    check = _BLOCKS.get(str(block.get("type")))
    return check is not None and check(block)
