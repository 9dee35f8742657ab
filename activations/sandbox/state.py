"""Everything a running sandbox remembers, in memory, bounded, safe between threads.

Belongs here: messages, audiences, preferences, programmed faults, the simulated clock, counters.
What does not: what a provider accepts or how it answers (`whatsapp`, `sendgrid`, `meta`, `slack`).
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count, islice
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from activations.sandbox.config import SandboxConfig
from activations.sandbox.records import (
    AcceptedMessage,
    Channel,
    ControlError,
    Fault,
    RecipientRule,
    parse_instant,
)

# Draws remember how often a reference was seen; past this many the oldest are forgotten.
_MAX_SEEN_REFERENCES = 200_000
_MAX_SESSIONS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a provider says."""

    status: int
    body: bytes = b""
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    outcome: str = "accepted"


class TokenBucket:
    """A rate limit on real time, with a burst of one second's worth (at least one)."""

    def __init__(self, per_second: float, *, burst: float | None = None) -> None:
        self._per_second = per_second
        self._burst = max(1.0, per_second if burst is None else burst)
        self._tokens = self._burst
        self._at = time.monotonic()

    def take(self) -> bool:
        """Whether one more request fits now."""
        if self._per_second <= 0:
            return True
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


@dataclass(slots=True, kw_only=True)
class _LiveFault:
    fault_id: str
    fault: Fault
    left: int | None
    fired: int = 0
    pattern: re.Pattern[str] | None = None
    seen: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def draws(self, reference: str) -> bool:
        """Whether this request, the n-th of its reference, falls into the fault's share."""
        if self.fault.probability >= 1.0:
            return True
        nth = self.seen.get(reference, 0)
        self.seen[reference] = nth + 1
        if len(self.seen) > _MAX_SEEN_REFERENCES:
            self.seen.popitem(last=False)
        key = f"{self.fault.seed}|{reference}|{nth}".encode()
        draw = int.from_bytes(hashlib.md5(key, usedforsecurity=False).digest()[:8], "big")
        return draw / 2**64 < self.fault.probability


MemberPairs = frozenset[tuple[str, str]]
"""One person of an audience: the (field, value) pairs that were sent, empty values left out."""


class Audience:
    """The members of one custom audience."""

    def __init__(self) -> None:
        self.members: dict[MemberPairs, None] = {}
        self._by_pair: dict[tuple[str, str], set[MemberPairs]] = {}
        self.requests: Counter[str] = Counter()
        self.sessions: OrderedDict[tuple[str, int], int] = OrderedDict()

    def add(self, pairs: MemberPairs) -> bool:
        """Put a member in; False when it was there (a set operation: repeating is harmless)."""
        if pairs in self.members:
            return False
        self.members[pairs] = None
        for pair in pairs:
            self._by_pair.setdefault(pair, set()).add(pairs)
        return True

    def remove(self, pairs: MemberPairs) -> int:
        """Take out the members that carry all of `pairs`; how many there were."""
        pair = min(pairs)
        found = [member for member in self._by_pair.get(pair, ()) if member >= pairs]
        for member in found:
            del self.members[member]
            for each in member:
                bucket = self._by_pair[each]
                bucket.discard(member)
                if not bucket:
                    del self._by_pair[each]
        return len(found)

    def note_session(self, session_id: str, batch_seq: int) -> None:
        """Count a batch of an upload session."""
        key = (session_id, batch_seq)
        self.sessions[key] = self.sessions.get(key, 0) + 1
        if len(self.sessions) > _MAX_SESSIONS:
            self.sessions.popitem(last=False)


class SandboxState:
    """One sandbox's memory.

    All methods take the lock; providers call them from the event loop, webhook posting from worker
    threads.
    """

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.lock = threading.RLock()
        self.gateway_url = config.gateway_url
        self.sendgrid_key = ec.generate_private_key(ec.SECP256R1())
        self._start = (config.id_seed or os.urandom(12).hex()).encode()
        # Sequence numbers and ids go on over a reset: a ledger may remember those from before.
        self._seq = count(1)
        self._fault_ids = count(1)
        self._serial = count(1)
        self._clear()

    def _clear(self) -> None:
        self.messages: OrderedDict[str, AcceptedMessage] = OrderedDict()
        self.bodies: OrderedDict[str, str] = OrderedDict()
        self.extras: dict[str, dict[str, Any]] = {}
        self.audiences: dict[str, Audience] = {}
        self.rules: list[tuple[re.Pattern[str], RecipientRule]] = []
        self.stopped_marketing: set[str] = set()
        self.mail_suppressions: dict[str, str] = {}
        self.erase_jobs: dict[str, tuple[str, ...]] = {}
        self.inbound_at: OrderedDict[str, datetime] = OrderedDict()
        self.stats: Counter[str] = Counter()
        self.simulated_now: datetime | None = None
        self._faults: list[_LiveFault] = []
        self._buckets: dict[str, TokenBucket] = {}
        self._audience_members = 0

    def reset(self) -> None:
        """Forget everything but the key pair, the gateway's address and the sequence numbers."""
        with self.lock:
            self._clear()

    # -- time and ids

    def now(self, header: str | None = None) -> datetime:
        """The simulated instant: the request's own header, else the set clock, else real time."""
        if header:
            try:
                return parse_instant(header)
            except ControlError:
                self.bump("bad_now_headers")
        with self.lock:
            return self.simulated_now or datetime.now(UTC)

    def new_id(self, kind: str) -> bytes:
        """Twelve bytes that no other id of this start has."""
        serial = next(self._serial)
        digest = hashlib.sha256(self._start + kind.encode() + serial.to_bytes(8, "big"))
        return digest.digest()[:12]

    # -- counters

    def bump(self, name: str, by: int = 1) -> None:
        """Count."""
        with self.lock:
            self.stats[name] += by

    # -- messages

    def accept(
        self, draft: AcceptedMessage, *, extra: dict[str, Any], body: str = ""
    ) -> AcceptedMessage:
        """Keep an accepted message and give it its sequence number.

        Args:
            draft: the message, with any `seq`.
            extra: what its webhooks will need beside it.
            body: e-mail HTML, kept for the newest only.
        """
        with self.lock:
            message = replace(draft, seq=next(self._seq))
            self.messages[message.message_id] = message
            self.extras[message.message_id] = extra
            if body:
                self.bodies[message.message_id] = body
                while len(self.bodies) > self.config.max_kept_bodies:
                    self.bodies.popitem(last=False)
            while len(self.messages) > self.config.max_messages:
                evicted, _ = self.messages.popitem(last=False)
                self.extras.pop(evicted, None)
                self.bodies.pop(evicted, None)
                self.stats["messages_evicted"] += 1
            self.stats[f"{message.channel}.messages"] += 1
            return message

    def find(self, message_id: str) -> tuple[AcceptedMessage, dict[str, Any]] | None:
        """A kept message with its extras."""
        with self.lock:
            message = self.messages.get(message_id)
            return None if message is None else (message, self.extras[message_id])

    def list_messages(
        self, *, after_seq: int, limit: int, channel: str | None
    ) -> list[AcceptedMessage]:
        """Messages with a higher sequence number, oldest first."""
        with self.lock:
            # Sequence numbers rise in insertion order: walk back from the newest, so that a poll
            # for the last few does not cost the whole history.
            newer: deque[AcceptedMessage] = deque()
            for message in reversed(self.messages.values()):
                if message.seq <= after_seq:
                    break
                if channel is None or message.channel == channel:
                    newer.appendleft(message)
            return list(islice(newer, limit))

    # -- audiences

    def audience(self, audience_id: str) -> Audience:
        """The audience, made when new."""
        with self.lock:
            return self.audiences.setdefault(audience_id, Audience())

    def add_members(self, audience: Audience, members: Iterable[MemberPairs]) -> int:
        """Add members while there is room; how many were new."""
        added = 0
        with self.lock:
            for pairs in members:
                if self._audience_members >= self.config.max_audience_members:
                    self.stats["audience_members_refused"] += 1
                    continue
                if audience.add(pairs):
                    added += 1
                    self._audience_members += 1
        return added

    def remove_members(self, audience: Audience, members: Iterable[MemberPairs]) -> int:
        """Remove members; how many went."""
        removed = 0
        with self.lock:
            for pairs in members:
                removed += audience.remove(pairs)
            self._audience_members -= removed
        return removed

    # -- limits

    def fits_rate(self, name: str, per_second: float, *, burst: float | None = None) -> bool:
        """Take one token of a named bucket."""
        with self.lock:
            bucket = self._buckets.get(name)
            if bucket is None:
                if len(self._buckets) >= _MAX_SESSIONS:
                    self._buckets.clear()
                bucket = self._buckets[name] = TokenBucket(per_second, burst=burst)
            return bucket.take()

    # -- faults and recipients

    def add_fault(self, fault: Fault) -> str:
        """Program a fault; its id."""
        with self.lock:
            fault_id = f"f{next(self._fault_ids)}"
            pattern = re.compile(fault.address_pattern) if fault.address_pattern else None
            live = _LiveFault(fault_id=fault_id, fault=fault, left=fault.times, pattern=pattern)
            self._faults.append(live)
            return fault_id

    def clear_faults(self) -> int:
        """Drop all faults; how many there were."""
        with self.lock:
            dropped = len(self._faults)
            self._faults.clear()
            return dropped

    def describe_faults(self) -> list[dict[str, Any]]:
        """Live faults with how often they fired."""
        with self.lock:
            return [
                {"fault_id": live.fault_id, "fired": live.fired, "left": live.left}
                | live.fault.to_json()
                for live in self._faults
            ]

    def take_fault(self, channel: Channel, *, address: str, reference: str) -> Fault | None:
        """The first fault that this request meets, used up by one."""
        if not self._faults:
            return None
        with self.lock:
            for live in self._faults:
                fault = live.fault
                if fault.channel is not None and fault.channel != channel:
                    continue
                if live.pattern is not None and not live.pattern.search(address):
                    continue
                if not live.draws(reference or address):
                    continue
                live.fired += 1
                self.stats["faults_fired"] += 1
                if live.left is not None:
                    live.left -= 1
                    if live.left == 0:
                        self._faults.remove(live)
                return fault
        return None

    def add_rule(self, rule: RecipientRule) -> None:
        """Program some recipients; a later rule wins."""
        with self.lock:
            self.rules.insert(0, (re.compile(rule.pattern), rule))

    def rule_for(self, channel: Channel, address: str) -> RecipientRule | None:
        """The rule that holds for a recipient."""
        with self.lock:
            for pattern, rule in self.rules:
                if rule.channel == channel and pattern.fullmatch(address):
                    return rule
        return None

    def note_inbound(self, wa_id: str, at: datetime) -> None:
        """A person wrote to us: the customer-service window opens."""
        with self.lock:
            self.inbound_at[wa_id] = max(at, self.inbound_at.get(wa_id, at))
            self.inbound_at.move_to_end(wa_id)
            if len(self.inbound_at) > self.config.max_messages:
                self.inbound_at.popitem(last=False)

    def apply_preference(self, wa_id: str, *, stop: bool) -> None:
        """A person stopped or resumed marketing in the app."""
        with self.lock:
            if stop:
                self.stopped_marketing.add(wa_id)
            else:
                self.stopped_marketing.discard(wa_id)
