"""Telling people that a run failed, through a Slack incoming webhook."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import requests

from orchestration.sources.errors import redact

_log = logging.getLogger(__name__)
_TIMEOUT_SECONDS = 10
# Slack refuses a section beyond 3,000 characters.
_MAX_TEXT = 2_500


def post_failure(
    webhook: str, *, run_id: str, job: str, steps: Sequence[str], reason: str, ui: str
) -> bool:
    """Post one failed run. A webhook that does not answer never fails anything else.

    Args:
        webhook: The incoming webhook's URL, a secret.
        run_id: Dagster's run id.
        job: The job's name.
        steps: The steps that failed.
        reason: What Dagster said; secrets and personal data are taken out.
        ui: Base URL of the Dagster UI, for the link.

    Returns:
        Whether Slack took it.
    """
    where = ", ".join(steps) or "before the first step"
    text = f"Run `{run_id[:8]}` of *{job}* failed at {where}."
    detail = (
        redact(reason)[:_MAX_TEXT].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    )
    blocks = [
        {"type": "section", "text": {"type": "mrkdwn", "text": text}},
        {"type": "section", "text": {"type": "mrkdwn", "text": detail or "No reason was given."}},
        {
            "type": "section",
            "text": {"type": "mrkdwn", "text": f"<{ui}/runs/{run_id}|Open the run>"},
        },
    ]
    try:
        answer = requests.post(
            webhook, json={"text": text, "blocks": blocks}, timeout=_TIMEOUT_SECONDS
        )
    except requests.RequestException as error:
        # The URL is a secret: only the kind of failure is told.
        _log.warning("the Slack webhook did not answer: %s", type(error).__name__)
        return False
    if answer.status_code != requests.codes.ok:
        _log.warning("the Slack webhook answered %s", answer.status_code)
        return False
    return True
