"""How the world meets the sandbox: reads accepted messages, answers with receipts and clicks.

Belongs here: who a message reached, when each receipt is due, following links over HTTP. Does
not belong here: the draws of a reaction (``reactions.py``) and the visit after a click
(``behaviour.py``).

Order of effects: a message is taken up and its reactions are saved before any receipt leaves;
a receipt is forgotten only after it was handed in. Killed in between, receipts are handed in
twice, as real providers do; the gateway knows them by their ids.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import numpy as np
import requests

from activations.errors import ActivationError
from activations.sandbox.client import SandboxClient
from activations.sandbox.records import AcceptedMessage, Receipt
from orchestration.demo import catalogue as cat
from orchestration.demo.errors import SandboxUnreachableError
from orchestration.demo.mess import micros, moment
from orchestration.demo.old_tool import injected_key
from orchestration.demo.orders import AWAITING_SLOT
from orchestration.demo.people import People
from orchestration.demo.reactions import Outcome, campaign_numbers, play_out
from orchestration.demo.rng import Ints, text_key
from orchestration.demo.state import State
from orchestration.demo.truth import Truth

_PAGE = 1000
_BATCH = 2000
_CHANNELS = {"whatsapp": cat.Channel.WHATSAPP, "email": cat.Channel.EMAIL}
#: Which campaign a template belongs to, by the part of its name before the first underscore;
#: what the link says wins, this is for messages nobody clicks.
_TEMPLATE_CAMPAIGNS = {
    "apv": "abandoned_price_view",
    "pickup": "pickup_reminder",
    "winback": "winback_inactive",
}

# What the receipts frame's ``event`` means.
_EVENTS = (
    "sent", "delivered", "read", "machine_open", "link", "stop", "complaint", "failed",
)  # fmt: skip
_SENT, _DELIVERED, _READ, _MACHINE, _LINK, _STOP, _COMPLAINT, _FAILED = range(len(_EVENTS))


class Sandbox(Protocol):
    """The side of the sandbox (and of the links in messages) that people touch."""

    def fetch_messages(self, *, after_seq: int, limit: int) -> Sequence[AcceptedMessage]:
        """Messages accepted after a sequence number, oldest first."""
        ...

    def send_receipts(self, receipts: Sequence[Receipt]) -> object:
        """Have the gateway told."""
        ...

    def fetch_target(self, url: str) -> str | None:
        """Where a link leads, without clicking it."""
        ...

    def follow(self, url: str, at: datetime) -> None:
        """Click a link at a simulated instant."""
        ...

    def unsubscribe(self, url: str, at: datetime) -> None:
        """Use a one-click unsubscribe at a simulated instant."""
        ...


class HttpSandbox:
    """The real sandbox over loopback HTTP; use it in a ``with`` block."""

    _AGENT = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537.36"

    def __init__(self, base_url: str, *, timeout_seconds: float = 30.0) -> None:
        self._client = SandboxClient(base_url)
        self._timeout = timeout_seconds
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["User-Agent"] = self._AGENT

    def __enter__(self) -> HttpSandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._session.close()

    def fetch_messages(self, *, after_seq: int, limit: int) -> Sequence[AcceptedMessage]:
        """See ``Sandbox``.

        Raises:
            SandboxUnreachableError: no answer.
        """
        try:
            return self._client.fetch_messages(after_seq=after_seq, limit=limit)
        except ActivationError as error:
            raise SandboxUnreachableError(str(error)) from error

    def send_receipts(self, receipts: Sequence[Receipt]) -> object:
        """See ``Sandbox``.

        Raises:
            SandboxUnreachableError: no answer.
        """
        try:
            return self._client.send_receipts(receipts)
        except ActivationError as error:
            raise SandboxUnreachableError(str(error)) from error

    def fetch_target(self, url: str) -> str | None:
        """See ``Sandbox``; HEAD is not a click."""
        return self._touch("HEAD", url, None)

    def follow(self, url: str, at: datetime) -> None:
        """See ``Sandbox``."""
        self._touch("GET", url, at)

    def unsubscribe(self, url: str, at: datetime) -> None:
        """See ``Sandbox``."""
        self._touch("POST", url, at)

    def _touch(self, method: str, url: str, at: datetime | None) -> str | None:
        """One request of a person's browser; a dead link is the sender's problem, not ours."""
        headers = {"X-Sandbox-Now": at.isoformat()} if at else {}
        body = {"List-Unsubscribe": "One-Click"} if method == "POST" else None
        try:
            response = self._session.request(
                method, url, headers=headers, data=body, timeout=self._timeout,
                allow_redirects=False,
            )  # fmt: skip
        except requests.RequestException:
            return None
        return response.headers.get("Location")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReactReport:
    """What one call of ``react`` did.

    Attributes:
        messages: Messages taken up.
        unknown_recipients: Of these, addressed to nobody in this world.
        will_click: Of these, whose link will be followed.
        receipts: Receipts handed in.
        clicks: Links followed.
        unsubscribes: One-click unsubscribes used.
        waiting: Receipts and clicks that are not due yet.
    """

    messages: int
    unknown_recipients: int
    will_click: int
    receipts: int
    clicks: int
    unsubscribes: int
    waiting: int


class Outside:
    """The people's end of all messages of one world."""

    __slots__ = ("people", "state", "truth")

    def __init__(self, state: State, people: People, truth: Truth) -> None:
        self.state = state
        self.people = people
        self.truth = truth

    def react(self, sandbox: Sandbox, save: Callable[[], None]) -> ReactReport:
        """Take up new messages, then hand in what is due.

        Args:
            sandbox: The outside.
            save: Makes the state durable.

        Raises:
            SandboxUnreachableError: no answer; call again.
        """
        taken = unknown = clickers = 0
        while True:
            page = sandbox.fetch_messages(after_seq=int(self.state.meta["seen"]), limit=_PAGE)
            if not page:
                break
            strangers, clicks = self._take_up(sandbox, page)
            taken, unknown, clickers = taken + len(page), unknown + strangers, clickers + clicks
        if taken:
            save()
        receipts, followed, left = self._hand_in(sandbox)
        if receipts or followed or left:
            save()
        return ReactReport(
            messages=taken,
            unknown_recipients=unknown,
            will_click=clickers,
            receipts=receipts,
            clicks=followed,
            unsubscribes=left,
            waiting=len(self.state["receipts"]),
        )

    # ---- taking up -----------------------------------------------------------------------

    def _take_up(self, sandbox: Sandbox, page: Sequence[AcceptedMessage]) -> tuple[int, int]:
        state, meta = self.state, self.state.meta
        meta["seen"] = page[-1].seq
        mine = [message for message in page if message.channel in _CHANNELS]
        if not mine:
            return 0, 0
        persons = state["persons"]
        person = np.array([self._recipient(message) for message in mine], dtype=np.int64)
        known = (person >= 0) & (person < len(persons))
        known &= persons["arrival"][np.where(known, person, 0)] <= state.now
        who = np.where(known, person, 0)
        channel = np.array([_CHANNELS[message.channel] for message in mine], dtype=np.int64)
        names = [_campaign_of(message) for message in mine]
        codes = np.array([self._campaign_code(name) for name in names], dtype=np.int64)
        clicks, orders, quotes = campaign_numbers(state.behaviour, list(meta["campaigns"]))
        key = np.array(
            [text_key(message.client_reference or message.message_id) for message in mine],
            dtype=np.int64,
        )
        # A message accepted before the world's clock is reacted to from now on: the past is lived.
        sent = np.array([micros(message.accepted_at) for message in mine], dtype=np.int64)
        promotional = np.array(
            [
                message.category.lower() == "marketing" or bool(message.unsubscribe_url)
                for message in mine
            ]
        )
        outcome = play_out(
            self.people, person=who, channel=channel, click_rate=clicks[codes],
            promotional=promotional, sent=sent, key=key,
        )  # fmt: skip
        fated = np.array([bool(message.fate) for message in mine])
        outcome = _without(outcome, ~known | fated)
        outcome = _not_before(outcome, state.now + cat.SECOND, sent)
        clicking = np.flatnonzero(outcome.click < cat.NEVER)
        visit = injected_key(key)
        final, medium = codes.copy(), channel.copy()
        for row in clicking.tolist():
            link = _link_of(mine[row])
            target = None
            if link:
                target = sandbox.fetch_target(link) if _is_redirect(link) else link
            final[row], medium[row] = self._arrival(target, int(channel[row]))
        state["injected"].append(
            len(clicking), person=who[clicking], t=outcome.click[clicking], key=visit[clicking],
            campaign=final[clicking], medium=medium[clicking], order=orders[codes[clicking]],
            quote=quotes[codes[clicking]],
        )  # fmt: skip
        self._remind(names, who, outcome)
        self._schedule(mine, sent, channel, outcome, key)
        stops = np.flatnonzero(outcome.stop < cat.NEVER)
        state["log"].append(
            len(stops), t=outcome.stop[stops], person=who[stops], fact=cat.Fact.OPTED_OUT,
            entity=channel[stops], extra=2,
        )  # fmt: skip
        self.truth.write_reactions(mine, person, names, channel, sent, outcome, visit)
        return int((~known).sum()), len(clicking)

    def _recipient(self, message: AcceptedMessage) -> int:
        if message.channel == "email":
            return self.people.person_of_email(message.to)
        digits = "".join(mark for mark in message.to if mark.isdigit())
        return self.people.person_of_phone(int(digits[-10:] or 0))

    def _campaign_code(self, name: str) -> int:
        campaigns: list[str] = self.state.meta["campaigns"]
        if name not in campaigns:
            campaigns.append(name)
        return campaigns.index(name)

    def _arrival(self, target: str | None, channel: int) -> tuple[int, int]:
        """Campaign and medium the tag will see; none when the link carries none."""
        query = parse_qs(urlsplit(target).query) if target else {}
        campaign = (query.get("utm_campaign") or [""])[0]
        if (query.get("utm_source") or [""])[0] != "crm" or not campaign:
            return 0, channel
        medium = (query.get("utm_medium") or [""])[0]
        place = cat.CHANNELS.index(medium) if medium in cat.CHANNELS else channel
        return self._campaign_code(campaign), place

    def _remind(self, names: list[str], who: Ints, outcome: Outcome) -> None:
        """A pickup reminder that is read in time is remembered when the slot begins."""
        orders = self.state["orders"]
        waiting = np.flatnonzero((orders["phase"] == AWAITING_SLOT) & ~orders["done"])
        for row, name in enumerate(names):
            read = int(outcome.read[row])
            if name != "pickup_reminder" or read >= cat.NEVER:
                continue
            mine = waiting[
                (orders["person"][waiting] == who[row]) & (orders["slot_start"][waiting] > read)
            ]
            orders["nudge"][mine] = read

    def _schedule(
        self,
        messages: list[AcceptedMessage],
        sent: Ints,
        channel: Ints,
        outcome: Outcome,
        key: Ints,
    ) -> None:
        state, draws = self.state, self.people.draws
        seq = np.array([message.seq for message in messages], dtype=np.int64)
        mail = channel == cat.Channel.EMAIL
        failed = np.where(outcome.failed, np.maximum(sent, state.now) + 3 * cat.SECOND, cat.NEVER)
        moments = {
            _SENT: np.where(mail, cat.NEVER, sent + cat.SECOND),
            _DELIVERED: outcome.delivered,
            _READ: outcome.read,
            _MACHINE: outcome.machine_open,
            _LINK: outcome.click,
            _STOP: outcome.stop,
            _COMPLAINT: outcome.complaint,
            _FAILED: failed,
        }
        for event, occurred in moments.items():
            rows = np.flatnonzero(occurred < cat.NEVER)
            late = draws.chance(0.03, "receipt/late", key[rows], event)
            delay = draws.between(1200, 20_000, "receipt/delay", key[rows], event) * cat.SECOND
            honest = event in (_LINK, _STOP)
            due = occurred[rows] + np.where(late & ~np.bool_(honest), delay, 0).astype(np.int64)
            state["receipts"].append(
                len(rows), due=due, occurred=occurred[rows], seq=seq[rows], event=event
            )
        for message in messages:
            state.meta["messages"][str(message.seq)] = {
                "id": message.message_id,
                "channel": message.channel,
                "link": _link_of(message),
                "unsubscribe": message.unsubscribe_url,
                "fate": message.fate,
            }

    # ---- handing in ----------------------------------------------------------------------

    def _hand_in(self, sandbox: Sandbox) -> tuple[int, int, int]:
        """Send what is due, in the order it happened."""
        state = self.state
        frame = state["receipts"]
        due = np.flatnonzero(frame["due"] <= state.now)
        if not len(due):
            return 0, 0, 0
        due = due[np.lexsort((frame["event"][due], frame["seq"][due], frame["occurred"][due]))]
        batch: list[Receipt] = []
        sent = followed = left = 0
        for row in due.tolist():
            known = state.meta["messages"][str(int(frame["seq"][row]))]
            event = int(frame["event"][row])
            at = moment(int(frame["occurred"][row]))
            if event == _LINK and _is_redirect(known["link"]):
                sandbox.follow(known["link"], at)
                followed += 1
                continue
            if event == _STOP and known["unsubscribe"]:
                sandbox.unsubscribe(known["unsubscribe"], at)
                left += 1
                continue
            receipt = _receipt(event, known, at)
            if receipt is None:
                continue
            batch.append(receipt)
            sent += 1
            if len(batch) == _BATCH:
                sandbox.send_receipts(batch)
                batch = []
        if batch:
            sandbox.send_receipts(batch)
        keep = np.ones(len(frame), dtype=bool)
        keep[due] = False
        frame.keep(keep)
        waiting = {str(seq) for seq in frame["seq"].tolist()}
        state.meta["messages"] = {
            seq: known for seq, known in state.meta["messages"].items() if seq in waiting
        }
        return sent, followed, left


def _receipt(event: int, known: Mapping[str, Any], at: datetime) -> Receipt | None:
    """A receipt in the sandbox's terms; None for what the channel has no word for."""
    mail = known["channel"] == "email"
    detail: dict[str, Any] = {}
    match event:
        case 0:
            name = "processed" if mail else "sent"
        case 1:
            name = "delivered"
        case 2:
            name = "open" if mail else "read"
        case 3:
            name, detail = "open", {"machine": True}
        case 4:
            if not mail or not known["link"]:
                return None
            name, detail = "click", {"url": known["link"]}
        case 5:
            name, detail = ("opt_out", {}) if mail else ("reply", {"text": "STOP"})
        case 6:
            name = "complaint"
        case _ if mail:
            name = "bounce"
            detail = {"type": "bounce", "reason": "550 5.1.1 mailbox unavailable"}
        case _:
            code = int(known["fate"]) if str(known["fate"]).isdigit() else 131026
            name, detail = "failed", {"code": code}
    return Receipt(event=name, occurred_at=at, message_id=known["id"], detail=detail)


def _campaign_of(message: AcceptedMessage) -> str:
    named = message.variables.get("journey_key")
    if named:
        return named
    stem = message.template.partition("_")[0]
    if stem in _TEMPLATE_CAMPAIGNS:
        return _TEMPLATE_CAMPAIGNS[stem]
    return message.template or "other"


def _is_redirect(link: str) -> bool:
    return "/r/" in urlsplit(link).path


def _link_of(message: AcceptedMessage) -> str:
    """The link a person would press: the first counted one, else the first at all."""
    counted = [link for link in message.links if _is_redirect(link)]
    others = [link for link in message.links if "/u/" not in urlsplit(link).path]
    return (counted or others or [""])[0]


def _without(outcome: Outcome, lost: np.ndarray) -> Outcome:
    """Messages that reach nobody: failed, and nothing else happens."""
    floor = np.where(lost, cat.NEVER, 0)
    times = {
        name: np.maximum(getattr(outcome, name), floor)
        for name in ("delivered", "read", "machine_open", "click", "stop", "complaint")
    }
    return Outcome(failed=outcome.failed | lost, **times)


def _not_before(outcome: Outcome, now: int, sent: Ints) -> Outcome:
    """Move reactions that would lie in the lived past, keeping their order and distances."""
    shift = np.maximum(now - sent, 0)
    times = {}
    for name in ("delivered", "read", "machine_open", "click", "stop", "complaint"):
        held = getattr(outcome, name)
        times[name] = np.where(held < cat.NEVER, held + shift, cat.NEVER)
    return Outcome(failed=outcome.failed, **times)
