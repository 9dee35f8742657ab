"""The Slack emulator: plain-text answers and size limits."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from activations.sandbox.client import SandboxClient
from activations.sandbox.config import SandboxConfig
from activations.sandbox.server import RunningSandbox, running_sandbox


def post(
    http: requests.Session, sandbox: RunningSandbox, body: Any, path: str = "services/T1/B1/x"
) -> tuple[int, str]:
    answer = http.post(f"{sandbox.base_url}/slack/{path}", json=body, timeout=10)
    return answer.status_code, answer.text


def section(size: int) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": "x" * size}}


def test_a_post_is_answered_ok_and_listed(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    assert post(http, sandbox, {"text": "run failed", "blocks": [section(3000)]}) == (200, "ok")
    [listed] = control.fetch_messages(channel="slack")
    assert listed.text == "run failed"


@pytest.mark.parametrize(
    ("body", "status", "answer"),
    [
        ({}, 400, "no_text"),
        ([], 400, "invalid_payload"),
        ({"text": "x" * 40_001}, 400, "msg_too_long"),
        ({"text": "x", "blocks": [{"type": "divider"}] * 51}, 400, "invalid_blocks"),
        ({"text": "x", "blocks": [section(3001)]}, 400, "invalid_blocks"),
        ({"text": "x", "blocks": [{"type": "banana"}]}, 400, "invalid_blocks"),
        ({"text": "x", "blocks": [section(2900)] * 5}, 400, "msg_blocks_too_long"),
        (
            {
                "text": "x",
                "blocks": [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}],
            },
            400,
            "invalid_blocks",
        ),
    ],
    ids=[
        "no_text", "no_object", "long_text", "51_blocks", "long_section", "unknown_block",
        "long_blocks", "long_header",
    ],
)  # fmt: skip
def test_what_slack_refuses_is_refused_with_its_word(
    sandbox: RunningSandbox,
    control: SandboxClient,
    http: requests.Session,
    body: Any,
    status: int,
    answer: str,
) -> None:
    assert post(http, sandbox, body) == (status, answer)
    assert control.fetch_messages() == []


def test_an_unknown_hook_is_no_service(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    assert post(http, sandbox, {"text": "x"}, path="services/T1/B1/y") == (404, "no_service")


def test_too_many_posts_are_rate_limited_with_retry_after(http: requests.Session) -> None:
    with running_sandbox(SandboxConfig(slack_per_second=0.001)) as slow:
        url = f"{slow.base_url}/slack/services/a"
        answers = [http.post(url, json={"text": "x"}, timeout=10) for _ in range(7)]

    assert [each.status_code for each in answers] == [200] * 5 + [429] * 2
    assert answers[-1].headers["Retry-After"] == "1"
