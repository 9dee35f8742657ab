"""A client of the control API, for the demo and for tests.

Belongs here: playing the outside world (receipts, faults, recipients, clock) and looking at what
arrived. What does not: sending messages, which the channels do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import requests

from activations.errors import ActivationError
from activations.sandbox.records import (
    AcceptedMessage,
    Fault,
    Receipt,
    RecipientRule,
    format_instant,
    parse_instant,
)

RECEIPTS_PER_CALL = 5_000


class SandboxClientError(ActivationError):
    """The sandbox did not answer, or refused. Its text says which; a retry helps only if it is
    not running yet."""  # noqa: D205, D209 - one sentence each


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptReport:
    """What the gateway did with receipts.

    Attributes:
        events: receipts in webhooks that were answered with 200.
        statuses: HTTP status of each webhook, 0 for no answer.
        unknown: message ids the sandbox does not keep.
    """

    events: int
    statuses: tuple[int, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceView:
    """An audience as the destination holds it."""

    audience_id: str
    size: int
    members: tuple[Mapping[str, str], ...] = field(repr=False)
    requests: Mapping[str, int]
    sessions: tuple[Mapping[str, Any], ...]


class SandboxClient:
    """Talks to `/_sandbox`. Use it in a `with` block, or call `close`."""

    def __init__(self, base_url: str, *, timeout_seconds: float = 120.0) -> None:
        self._base_url = base_url.rstrip("/")
        self._timeout = timeout_seconds
        self._session = requests.Session()
        self._session.trust_env = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def fetch_messages(
        self, *, after_seq: int = 0, limit: int = 1000, channel: str | None = None
    ) -> list[AcceptedMessage]:
        """Accepted messages with a higher sequence number, oldest first, at most `limit`."""
        query = {"after_seq": str(after_seq), "limit": str(limit)}
        if channel:
            query["channel"] = channel
        answer = self._call("GET", "/messages", params=query)
        return [AcceptedMessage.from_json(each) for each in answer["messages"]]

    def iterate_messages(
        self, *, after_seq: int = 0, page: int = 1000, channel: str | None = None
    ) -> Iterator[AcceptedMessage]:
        """All accepted messages with a higher sequence number, page by page."""
        while messages := self.fetch_messages(after_seq=after_seq, limit=page, channel=channel):
            yield from messages
            after_seq = messages[-1].seq

    def send_receipts(
        self, receipts: Sequence[Receipt], *, copies: int = 1, signature: str = "valid"
    ) -> ReceiptReport:
        """Have receipts told to the gateway now, in this order, many to a webhook.

        Args:
            receipts: what happened.
            copies: how often each webhook is posted.
            signature: `valid`, `wrong` or `missing`.
        """
        events = 0
        statuses: list[int] = []
        unknown: list[str] = []
        for start in range(0, len(receipts), RECEIPTS_PER_CALL):
            part = receipts[start : start + RECEIPTS_PER_CALL]
            body = {
                "receipts": [receipt.to_json() for receipt in part],
                "copies": copies,
                "signature": signature,
            }
            answer = self._call("POST", "/receipts", json=body)
            events += answer["events"]
            statuses += answer["statuses"]
            unknown += answer["unknown"]
        return ReceiptReport(events=events, statuses=tuple(statuses), unknown=tuple(unknown))

    def program_faults(self, *faults: Fault) -> list[str]:
        """Program faults; their ids."""
        body = [fault.to_json() for fault in faults]
        return self._call("POST", "/faults", json=body)["fault_ids"]

    def fetch_faults(self) -> list[dict[str, Any]]:
        """Live faults with how often each fired."""
        return self._call("GET", "/faults")["faults"]

    def clear_faults(self) -> int:
        """Clear all faults; how many there were."""
        return self._call("DELETE", "/faults")["cleared"]

    def program_recipients(self, *rules: RecipientRule) -> None:
        """Program some recipients; a later rule wins over an earlier one."""
        self._call("POST", "/recipients", json=[rule.to_json() for rule in rules])

    def set_clock(self, instant: datetime | None) -> datetime:
        """Set the simulated instant of `accepted_at`; None goes back to real time."""
        body = {"now": None if instant is None else format_instant(instant)}
        return parse_instant(self._call("POST", "/clock", json=body)["now"])

    def set_gateway(self, url: str | None) -> None:
        """Say where webhooks go."""
        self._call("POST", "/gateway", json={"url": url})

    def fetch_stats(self) -> dict[str, Any]:
        """Counters, the last sequence number, sizes of the audiences."""
        return self._call("GET", "/stats")

    def fetch_sendgrid_public_key(self) -> str:
        """The key that verifies the event webhook, base64 DER, as SendGrid shows it."""
        return self._call("GET", "/keys")["sendgrid_public_key"]

    def fetch_audience(self, audience_id: str) -> AudienceView:
        """An audience that was written to.

        Raises:
            SandboxClientError: it never was.
        """
        answer = self._call("GET", f"/audiences/{quote(audience_id, safe='')}")
        return AudienceView(
            audience_id=answer["audience_id"],
            size=answer["size"],
            members=tuple(answer["members"]),
            requests=answer["requests"],
            sessions=tuple(answer["sessions"]),
        )

    def fetch_body(self, message_id: str) -> str:
        """HTML of one of the newest e-mails.

        Raises:
            SandboxClientError: it is not kept.
        """
        path = f"/_sandbox/messages/{quote(message_id, safe='')}/body"
        try:
            response = self._session.get(self._base_url + path, timeout=self._timeout)
        except requests.RequestException as error:
            msg = "the sandbox does not answer"
            raise SandboxClientError(msg) from error
        if response.status_code != requests.codes.ok:
            msg = "the sandbox keeps no body of this message"
            raise SandboxClientError(msg)
        return response.text

    def reset(self) -> None:
        """Have the sandbox forget everything but its key, gateway and sequence numbers."""
        self._call("POST", "/reset")

    def _call(self, method: str, path: str, **options: Any) -> Any:
        url = f"{self._base_url}/_sandbox{path}"
        try:
            response = self._session.request(method, url, timeout=self._timeout, **options)
            answer = response.json()
        except requests.JSONDecodeError as error:
            msg = f"the sandbox answered {method} {path} with no JSON"
            raise SandboxClientError(msg) from error
        except requests.RequestException as error:
            msg = f"the sandbox does not answer at {self._base_url}: is it running?"
            raise SandboxClientError(msg) from error
        if response.status_code != requests.codes.ok:
            msg = f"the sandbox refused {method} {path}: {answer.get('error', '')}"
            raise SandboxClientError(msg)
        return answer
