"""Brings one audience at one destination in step with the warehouse.

Belongs here: the order of things in one run, finding bad rows, moving the snapshot. Does not belong
here: the difference itself (`activations.audiences.diff`), the wire format (the destinations).

The snapshot moves only by rows the destination confirmed, batch by batch. So a run that dies, a
call that fails and a row that is refused all end the same way: what is missing shows up in the next
difference, and nothing that was confirmed is sent again. Calls are set operations, hence a lost
answer is no drama here: the call is simply made again.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import pyarrow as pa

from activations.audiences.base import (
    AudienceDestination,
    AudienceLimits,
    AudienceReport,
    AudienceRow,
    CallResult,
    Identifiers,
    Session,
)
from activations.audiences.diff import (
    AudiencePlan,
    find_fault,
    find_held,
    identifiers_of,
    may_try_again,
    payload_text,
    plan_audience,
    read_payload,
    to_table,
    without,
)
from activations.backoff import Backoff
from activations.clock import Clock
from activations.errors import AnswerLostError, NotSentError, VolumeError
from activations.ledger import Ledger, SyncRun
from activations.outcomes import OutcomeClass, SendOutcome
from activations.rows import AudienceMember, Rejection, RunCounts
from activations.transport import Pacer, Transport

_BETWEEN_TRIES = Backoff(first=1.0, factor=3.0, longest=30.0)
_SEPARATOR = ":"

Action = Literal["add", "remove"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """One person's part of a call.

    Attributes:
        member_key: Whose.
        row: What they should be; None when they leave.
        identifiers: What the call tells.
        is_update: They were there with other identifiers.
    """

    member_key: str
    row: AudienceRow | None
    identifiers: Identifiers
    is_update: bool = False


def sync_audience(
    ledger: Ledger,
    destination: AudienceDestination,
    desired: Iterable[AudienceRow] | pa.Table,
    *,
    audience_key: str,
    run_as_of: datetime,
    clock: Clock,
    engine: str,
    canary_hash: int,
    limits: AudienceLimits | None = None,
    transport: Transport | None = None,
) -> AudienceReport:
    """Add, update and remove what differs; when nothing does, no request is made.

    Args:
        ledger: The ledger, which holds the snapshot.
        destination: Where the audience lives.
        desired: Everybody who should be in it, one row a member.
        audience_key: The audience's key in the ledger, one a destination and audience.
        run_as_of: The tick of the run.
        clock: The business time.
        engine: Name and version of what computed ``payload_hash``.
        canary_hash: That engine's hash of a constant. When it changes, the hash function changed
            and every hash with it: members whose identifiers are the same get the new hash
            without a request, so an upgrade does not send everybody again.
        limits: What the run may do.
        transport: For tests.

    Raises:
        ConfigurationError: When the rows lack a column or list a member twice.
        VolumeError: When too large a share would be removed; nothing was sent.
        LedgerUnavailableError: When the ledger fails; confirmed batches before it are kept.
    """
    return asyncio.run(
        sync_audience_async(
            ledger,
            destination,
            desired,
            audience_key=audience_key,
            run_as_of=run_as_of,
            clock=clock,
            engine=engine,
            canary_hash=canary_hash,
            limits=limits,
            transport=transport,
        )
    )


async def sync_audience_async(
    ledger: Ledger,
    destination: AudienceDestination,
    desired: Iterable[AudienceRow] | pa.Table,
    *,
    audience_key: str,
    run_as_of: datetime,
    clock: Clock,
    engine: str,
    canary_hash: int,
    limits: AudienceLimits | None = None,
    transport: Transport | None = None,
) -> AudienceReport:
    """Do what `sync_audience` does, inside a running event loop."""
    table = to_table(desired)
    ledger.recover(now=clock.now())
    run = ledger.start_run(
        destination=destination.name, kind="audience", run_as_of=run_as_of, now=clock.now()
    )
    sync = _Sync(
        ledger,
        destination,
        run,
        table,
        audience_key=audience_key,
        clock=clock,
        engine=engine,
        limits=limits or AudienceLimits(),
    )
    try:
        sync.rebaseline(canary_hash)
        sync.plan()
        async with transport or Transport(max_connections=2, answer_timeout=120.0) as opened:
            await sync.run_through(opened)
    except BaseException as error:
        stopped = isinstance(error, VolumeError)
        sync.finish(
            status="stopped" if stopped else "failed",
            detail=str(error) if stopped else f"ended by {type(error).__name__}",
        )
        raise
    return sync.report()


class _Sync:
    """One run of one audience."""

    def __init__(
        self,
        ledger: Ledger,
        destination: AudienceDestination,
        run: SyncRun,
        desired: pa.Table,
        *,
        audience_key: str,
        clock: Clock,
        engine: str,
        limits: AudienceLimits,
    ) -> None:
        self._ledger = ledger
        self._destination = destination
        self._run = run
        self._desired = desired
        self._audience_key = audience_key
        self._clock = clock
        self._engine = engine
        self._limits = limits
        self._plan = AudiencePlan(adds=(), updates=(), removes=(), unchanged=0)
        self._removals: list[_Change] = []
        self._additions: list[_Change] = []
        self._counts: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._postponed = 0
        self._rebaselined = 0
        self._calls = 0
        self._search_calls = 0
        self._unsettled: set[str] = set()
        self._stopped: str | None = None

    # Plan -----------------------------------------------------------------------------------

    def rebaseline(self, canary_hash: int) -> None:
        """Renew the snapshot's hashes when the hash function changed."""
        meta = self._ledger.read_audience_meta(self._audience_key)
        if meta == (self._engine, canary_hash):
            return
        renewed: list[AudienceMember] = []
        if meta is not None and meta[1] != canary_hash:
            put_there = {
                member.member_key: member.payload
                for member in self._ledger.read_audience(self._audience_key)
            }
            for batch in self._desired.to_batches(max_chunksize=10_000):
                for values in batch.to_pylist():
                    row = AudienceRow(**values)
                    payload = payload_text(identifiers_of(row))
                    if put_there.get(row.member_key) == payload:
                        renewed.append(
                            AudienceMember(
                                member_key=row.member_key,
                                payload_hash=row.payload_hash,
                                payload=payload,
                            )
                        )
        self._rebaselined = len(renewed)
        self._ledger.rebaseline_audience(
            self._audience_key,
            members=renewed,
            engine=self._engine,
            canary_hash=canary_hash,
            now=self._clock.now(),
        )

    def plan(self) -> None:
        """Work out the calls.

        Raises:
            VolumeError: When too large a share of the audience would be removed.
        """
        snapshot = self._ledger.read_audience_hashes(self._audience_key)
        plan = self._plan = plan_audience(self._desired, snapshot)
        self._check_removals(len(plan.removes), len(snapshot))
        sendable = self._keep_sendable((*plan.adds, *plan.updates))
        updated = {row.member_key for row in plan.updates}
        payloads = self._ledger.read_audience_payloads(
            self._audience_key, [*plan.removes, *updated]
        )
        old = {key: read_payload(payload) for key, payload in payloads.items()}
        held = find_held(
            self._desired,
            {
                value
                for item in old.values()
                for value in (item.email_sha256, item.phone_sha256)
                if value
            },
            moving=[row.member_key for row in (*plan.adds, *sendable)],
        )
        self._removals = [
            _Change(member_key=key, row=None, identifiers=without(old[key], None, held))
            for key in plan.removes
        ]
        for row in sendable:
            if row.member_key in updated:
                gone = without(old[row.member_key], identifiers_of(row), held)
                if gone:
                    self._removals.append(
                        _Change(member_key=row.member_key, row=row, identifiers=gone)
                    )
            self._additions.append(
                _Change(
                    member_key=row.member_key,
                    row=row,
                    identifiers=identifiers_of(row),
                    is_update=row.member_key in updated,
                )
            )

    def _check_removals(self, removed: int, size: int) -> None:
        limits = self._limits
        if removed >= limits.free_removals and removed > size * limits.max_removed_share:
            raise VolumeError(
                f"{removed} of {size} members of {self._audience_key} would be removed, more than "
                f"{limits.max_removed_share:.0%}: nothing was sent. Look at the audience's model; "
                "if the number is right, raise the share for this run"
            )

    def _keep_sendable(self, rows: Iterable[AudienceRow]) -> list[AudienceRow]:
        refusals = self._ledger.read_audience_rejections(
            self._destination.name, self._audience_key + _SEPARATOR
        )
        now = self._clock.now()
        sendable: list[AudienceRow] = []
        faulty: list[tuple[AudienceRow, str]] = []
        for row in rows:
            if not may_try_again(
                refusals.get(row.member_key, ()), payload_hash=row.payload_hash, now=now
            ):
                self._postponed += 1
                continue
            fault = find_fault(row)
            if fault is None:
                sendable.append(row)
            else:
                faulty.append((row, fault))
        self._reject(faulty, "bad_identifier")
        return sendable

    # Send -----------------------------------------------------------------------------------

    async def run_through(self, transport: Transport) -> None:
        """Remove first, then add: of an identifier that moved between people, the add is last."""
        pacer = Pacer(self._ledger, self._destination.rate, transport)
        silent = [change for change in self._removals if not change.identifiers]
        # Everything of theirs belongs to others as well: nothing to say, only to note.
        self._commit(silent, "remove")
        spoken = [change for change in self._removals if change.identifiers]
        await self._upload("remove", spoken, transport, pacer)
        additions = [
            change for change in self._additions if change.member_key not in self._unsettled
        ]
        await self._upload("add", additions, transport, pacer)

    async def _upload(
        self, action: Action, changes: Sequence[_Change], transport: Transport, pacer: Pacer
    ) -> None:
        size = self._destination.batch_size
        session_id = secrets.randbits(62) + 1
        self._unsettled |= {change.member_key for change in changes}
        for number, start in enumerate(range(0, len(changes), size), start=1):
            if self._stopped is not None:
                return
            batch = changes[start : start + size]
            session = Session(
                session_id=session_id,
                batch_seq=number,
                is_last=start + size >= len(changes),
                total=len(changes),
            )
            result = await self._call(action, batch, session, transport, pacer)
            if result is not None:
                await self._settle(action, batch, result.invalid, transport, pacer)

    async def _settle(
        self,
        action: Action,
        rows: Sequence[_Change],
        invalid: int,
        transport: Transport,
        pacer: Pacer,
    ) -> None:
        """Confirm the good rows of a call that went through, and find its bad ones.

        The call has put every good row in place already; what follows only finds out which they
        were. Of two halves it asks about the first, the second has the rest of the bad ones.
        """
        if invalid <= 0:
            self._commit(rows, action)
            return
        if invalid >= len(rows):
            self._refuse(rows, action)
            return
        if self._search_calls >= self._limits.max_search_calls or self._stopped is not None:
            return
        self._search_calls += 1
        half = len(rows) // 2
        first, second = rows[:half], rows[half:]
        session = Session(
            session_id=secrets.randbits(62) + 1, batch_seq=1, is_last=True, total=len(first)
        )
        result = await self._call(action, first, session, transport, pacer)
        if result is None:
            return
        await self._settle(action, first, result.invalid, transport, pacer)
        await self._settle(action, second, invalid - result.invalid, transport, pacer)

    async def _call(
        self,
        action: Action,
        rows: Sequence[_Change],
        session: Session,
        transport: Transport,
        pacer: Pacer,
    ) -> CallResult | None:
        """Make one call, again if need be; None when it did not go through."""
        request = self._destination.prepare(action, [row.identifiers for row in rows], session)
        for tries in range(1, self._limits.max_tries + 1):
            if not await pacer.take_turn(longest=self._limits.max_wait_seconds):
                self._stopped = "the destination asks for more patience than one run has"
                return None
            self._calls += 1
            try:
                result = self._destination.classify(await transport.call(request), sent=len(rows))
            except (NotSentError, AnswerLostError) as error:
                result = CallResult(
                    outcome=SendOutcome(
                        outcome=OutcomeClass.RETRY,
                        error_code="no_answer",
                        error_detail=str(error),
                    )
                )
            outcome = result.outcome
            if outcome.outcome is OutcomeClass.ACCEPTED:
                return result
            self._errors[f"{outcome.outcome.value}:{outcome.error_code}"] += 1
            self._stopped = f"{outcome.error_code}: {outcome.error_detail}"
            if outcome.outcome is not OutcomeClass.RETRY:
                return None
            wait = max(
                outcome.retry_after or 0.0, _BETWEEN_TRIES.wait(tries, jitter=transport.jitter())
            )
            if outcome.throttled:
                pacer.throttle(wait)
            if tries == self._limits.max_tries or wait > self._limits.max_wait_seconds:
                return None
            self._stopped = None
            await transport.sleep(wait)
        return None

    # Settle ---------------------------------------------------------------------------------

    def _commit(self, changes: Sequence[_Change], action: Action) -> None:
        if not changes:
            return
        leaving = [change.member_key for change in changes if change.row is None]
        arriving = [change.row for change in changes if change.row is not None and action == "add"]
        self._unsettled -= {change.member_key for change in changes}
        if leaving or arriving:
            self._ledger.commit_audience(
                self._audience_key,
                accepted=[
                    AudienceMember(
                        member_key=row.member_key,
                        payload_hash=row.payload_hash,
                        payload=payload_text(identifiers_of(row)),
                    )
                    for row in arriving
                ],
                removed=leaving,
                engine=self._engine,
                now=self._clock.now(),
            )
        self._counts["removed"] += len(leaving)
        for change in changes:
            if change.row is not None and action == "add":
                self._counts["updated" if change.is_update else "added"] += 1

    def _refuse(self, changes: Sequence[_Change], action: Action) -> None:
        if action == "remove":
            # An old identifier the destination cannot read is not there either.
            self._commit(changes, action)
            return
        rows = [change.row for change in changes if change.row is not None]
        self._unsettled -= {row.member_key for row in rows}
        self._reject([(row, "the destination counts it as invalid") for row in rows], "invalid")

    def _reject(self, rows: Sequence[tuple[AudienceRow, str]], code: str) -> None:
        if not rows:
            return
        self._counts["rejected"] += len(rows)
        self._ledger.reject(
            [
                Rejection(
                    row_key=f"{self._audience_key}{_SEPARATOR}{row.member_key}",
                    error_class=OutcomeClass.PERM.value,
                    error_code=code,
                    detail=why,
                    payload_hash=row.payload_hash,
                )
                for row, why in rows
            ],
            run=self._run,
            now=self._clock.now(),
        )

    # Finish ---------------------------------------------------------------------------------

    def finish(self, *, status: Literal["stopped", "failed"], detail: str | None) -> None:
        """Write the end of a run that broke off."""
        self._ledger.finish_run(
            self._run,
            status=status,
            counts=self._run_counts(),
            detail=detail,
            now=self._clock.now(),
        )

    def report(self) -> AudienceReport:
        """Write the end of a run that went through, and say what it did."""
        counts = self._run_counts()
        status: Literal["ok", "partial", "stopped"] = "ok"
        if self._stopped is not None:
            status = "stopped"
        elif counts.rejected or self._left():
            status = "partial"
        self._ledger.finish_run(
            self._run,
            status=status,
            counts=counts,
            detail=self._stopped,
            now=self._clock.now(),
        )
        return AudienceReport(
            sync_run_id=self._run.sync_run_id,
            audience_key=self._audience_key,
            status=status,
            counts=counts,
            unchanged=self._plan.unchanged,
            postponed=self._postponed,
            left=self._left(),
            calls=self._calls,
            rebaselined=self._rebaselined,
            errors=dict(self._errors),
            detail=self._stopped,
        )

    def _left(self) -> int:
        changes = len(self._plan.adds) + len(self._plan.updates) + len(self._plan.removes)
        settled = sum(self._counts[name] for name in ("added", "updated", "removed", "rejected"))
        return changes - settled - self._postponed

    def _run_counts(self) -> RunCounts:
        plan = self._plan
        return RunCounts(
            planned=len(plan.adds) + len(plan.updates) + len(plan.removes),
            rejected=self._counts["rejected"],
            added=self._counts["added"],
            updated=self._counts["updated"],
            removed=self._counts["removed"],
        )
