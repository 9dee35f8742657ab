"""Runs a channel: plan, guard, claim, send, settle.

Belongs here: the order of things in one run, per-row isolation, counting. Does not belong here:
the rules (`activations.guards`, `activations.ledger`), a provider's wire format
(`activations.channels`), who is told what (SQL).

The loop keeps a window of messages in flight. Whenever some have answers, one transaction writes
these answers and claims as many new messages: one commit for many messages, and never more claimed
messages without an answer on disk than the window is wide. That width is therefore also the most a
killed process can leave unknown.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from activations.channels.base import Channel
from activations.clock import Clock
from activations.errors import LedgerError, RowError, TemplateError, VolumeError
from activations.guards import check_volume
from activations.ledger import DecisionCounts, Ledger, SyncRun
from activations.outcomes import (
    AttemptStatus,
    Outcome,
    OutcomeClass,
    Reason,
    SendOutcome,
    StopScope,
)
from activations.rows import (
    ClaimedMessage,
    Decision,
    MessageRow,
    RateLimit,
    Rejection,
    RowFault,
    RunCounts,
    Settlement,
)
from activations.scrub import scrub
from activations.templates.content import Content
from activations.transport import HttpRequest, Pacer, Patience, Transport, deliver

# Real seconds the loop lingers for more answers before it writes. It costs latency nobody sees
# and saves most commits: at 64 in flight a commit then carries dozens of messages.
_LINGER_SECONDS = 0.01

# Refusals of one template with one code in a row that say it is the template, not the rows.
_SAME_REFUSALS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SendLimits:
    """What one run may do.

    Attributes:
        max_messages: More planned messages than this stop the run before the first; None for no
            limit.
        allowed_addresses: When set, nobody else receives anything (a sandbox talking to a real
            provider); their messages stay planned.
        max_wait_seconds: Real seconds the run waits for one rate token. A destination that asks
            for more patience ends the run; what is left stays planned for the next one.
        patience: How long one message is retried inside the run.
    """

    max_messages: int | None = None
    allowed_addresses: frozenset[str] | None = field(default=None, repr=False)
    max_wait_seconds: float = 60.0
    patience: Patience = field(default=Patience())


@dataclass(frozen=True, slots=True, kw_only=True)
class SendReport:
    """What one run did.

    Attributes:
        sync_run_id: The run's row in ``sync_runs``.
        channel: The channel.
        status: ``ok``; ``partial`` when something did not go out; ``stopped`` when the channel or
            a limit stopped the run; ``failed`` is never returned, it comes as an exception.
        counts: Counters as in ``sync_runs``. ``skipped`` are final refusals of ours.
        refused: Messages not handed over, by reason; those with ``expired``,
            ``consent_withdrawn``, ``suppressed``, ``exited``, ``duplicate_template``,
            ``invalid_address``, ``invalid_content`` are skipped for good, the others stay as they
            were.
        errors: Answers other than acceptance, by ``CLASS:code``.
        recovered: Messages that a dead run had left claimed; they are unknown now.
        detail: Why the run stopped, for the operator.
    """

    sync_run_id: str
    channel: str
    status: str
    counts: RunCounts
    refused: Mapping[str, int]
    errors: Mapping[str, int]
    recovered: int
    detail: str | None


def record_decisions(
    ledger: Ledger, rows: Iterable[Decision], run_as_of: datetime, *, clock: Clock
) -> DecisionCounts:
    """Write what the warehouse decided into the ledger.

    Args:
        ledger: The ledger.
        rows: One row an intent, of any outcome.
        run_as_of: The tick that decided.
        clock: Says when it is written.

    Raises:
        LedgerUnavailableError: When the ledger cannot be written. Chunks already written stay;
            writing them again changes nothing.
    """
    return ledger.record_decisions(rows, run_as_of=run_as_of, now=clock.now())


def send_messages(
    ledger: Ledger,
    channel: Channel,
    rows: Iterable[MessageRow],
    *,
    content: Content,
    run_as_of: datetime,
    clock: Clock,
    limits: SendLimits | None = None,
    transport: Transport | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> SendReport:
    """Send planned messages on one channel, each at most once.

    Args:
        ledger: The ledger; the rows' decisions must have been recorded there.
        channel: The channel.
        rows: The planned messages of this channel.
        content: Templates, brand and links.
        run_as_of: The tick that decided.
        clock: The business time.
        limits: What the run may do.
        transport: For tests; by default one that fits the channel's window.
        on_progress: Called with (messages done, messages in all) after each commit.

    Raises:
        VolumeError: When more is planned than `limits` allows; nothing was sent.
        LedgerUnavailableError: When the ledger fails under way. Messages in flight are unknown.
    """
    return asyncio.run(
        send_messages_async(
            ledger,
            channel,
            rows,
            content=content,
            run_as_of=run_as_of,
            clock=clock,
            limits=limits,
            transport=transport,
            on_progress=on_progress,
        )
    )


async def send_messages_async(
    ledger: Ledger,
    channel: Channel,
    rows: Iterable[MessageRow],
    *,
    content: Content,
    run_as_of: datetime,
    clock: Clock,
    limits: SendLimits | None = None,
    transport: Transport | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> SendReport:
    """Do what `send_messages` does, inside a running event loop."""
    limits = limits or SendLimits()
    recovered = ledger.recover(now=clock.now())
    run = ledger.start_run(
        destination=channel.name, kind="messages", run_as_of=run_as_of, now=clock.now()
    )
    sender = _Sender(ledger, channel, run, content=content, clock=clock, limits=limits)
    try:
        sender.plan(rows)
        async with transport or Transport(max_connections=channel.limits.max_in_flight) as opened:
            await sender.run_through(opened, on_progress)
    except BaseException as error:
        # Whatever happened, what the providers already said must reach the ledger.
        stopped = isinstance(error, VolumeError)
        sender.finish(
            status="stopped" if stopped else "failed",
            detail=str(error) if stopped else f"ended by {type(error).__name__}",
        )
        raise
    return sender.report(recovered=len(recovered))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    row: MessageRow
    request: HttpRequest


class _Sender:
    """One run of one channel."""

    def __init__(
        self,
        ledger: Ledger,
        channel: Channel,
        run: SyncRun,
        *,
        content: Content,
        clock: Clock,
        limits: SendLimits,
    ) -> None:
        self._ledger = ledger
        self._channel = channel
        self._run = run
        self._content = content
        self._clock = clock
        self._limits = limits
        self._queue: deque[MessageRow] = deque()
        self._ready: deque[_Prepared] = deque()
        self._answers: list[Settlement] = []
        self._templates: dict[str, str] = {}
        self._planned = 0
        self._statuses: Counter[AttemptStatus] = Counter()
        self._skipped = 0
        self._refused: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._same_refusals: dict[str, tuple[str, int]] = {}
        self._stopped_templates: dict[str, str] = {}
        self._stopped: str | None = None

    # Plan -----------------------------------------------------------------------------------

    def plan(self, rows: Iterable[MessageRow]) -> None:
        """Put the messages into order: most urgent first, each once."""
        unique = {row.intent_key: row for row in rows}
        for row in self._ledger.list_resendable(self._channel.name, now=self._clock.now()):
            unique.setdefault(row.intent_key, row)
        self._planned = len(unique)
        check_volume(self._planned, self._limits.max_messages, channel=self._channel.name)
        allowed = self._limits.allowed_addresses
        for row in sorted(
            unique.values(), key=lambda row: (-row.priority, row.due_at, row.intent_key)
        ):
            if allowed is not None and row.address not in allowed:
                self._refused["not_allowed"] += 1
            else:
                self._queue.append(row)
                self._templates[row.intent_key] = row.template_id

    # Send -----------------------------------------------------------------------------------

    async def run_through(
        self, transport: Transport, on_progress: Callable[[int, int], None] | None
    ) -> None:
        """Send until nothing is left or the run is stopped."""
        bounds = self._channel.limits
        pacer = Pacer(
            self._ledger,
            RateLimit(
                destination=self._channel.destination,
                per_second=bounds.per_second,
                burst=bounds.burst,
            ),
            transport,
        )
        flying: set[asyncio.Task[Settlement]] = set()
        try:
            while True:
                batch = self._next_batch(bounds.max_in_flight - len(flying))
                if not batch and not self._answers and not flying:
                    return
                wait = self._settle_and_claim(batch, flying, transport, pacer)
                if on_progress is not None:
                    on_progress(self._planned - self._left(len(flying)), self._planned)
                if flying:
                    flying = await self._collect(flying)
                elif self._ready:
                    if wait > self._limits.max_wait_seconds:
                        self._refused["rate_limited"] += self._left(0)
                        self._ready.clear()
                        self._queue.clear()
                    else:
                        await transport.sleep(max(wait, _LINGER_SECONDS))
        finally:
            for task in flying:
                task.cancel()
            # Answers that arrived while the run was ending still count.
            for result in await asyncio.gather(*flying, return_exceptions=True):
                if isinstance(result, Settlement):
                    self._answers.append(result)

    def _left(self, flying: int) -> int:
        return len(self._queue) + len(self._ready) + flying

    def _next_batch(self, room: int) -> list[_Prepared]:
        """Prepare as many messages as may start now."""
        if self._stopped is not None:
            self._refused["stopped"] += len(self._ready) + len(self._queue)
            self._ready.clear()
            self._queue.clear()
            return []
        batch: list[_Prepared] = []
        faults: list[RowFault] = []
        while len(batch) < room and (self._ready or self._queue):
            prepared = self._ready.popleft() if self._ready else None
            row = prepared.row if prepared else self._queue.popleft()
            if row.template_id in self._stopped_templates:
                self._refused["template_stopped"] += 1
                continue
            if prepared is None:
                made = self._prepare(row)
                if isinstance(made, RowFault):
                    faults.append(made)
                if not isinstance(made, _Prepared):
                    continue
                prepared = made
            batch.append(prepared)
        if faults:
            self._skip(faults)
        return batch

    def _prepare(self, row: MessageRow) -> _Prepared | RowFault | None:
        try:
            return _Prepared(row=row, request=self._channel.prepare(row, self._content))
        except TemplateError as error:
            self._stop_template(row.template_id, str(error))
            self._refused["template_stopped"] += 1
            self._ledger.reject(
                [
                    Rejection(
                        row_key=row.intent_key,
                        error_class=OutcomeClass.STOP.value,
                        error_code="template",
                        detail=str(error),
                    )
                ],
                run=self._run,
                now=self._clock.now(),
            )
            return None
        except RowError as error:
            is_address = error.code == Reason.INVALID_ADDRESS
            return RowFault(
                intent_key=row.intent_key,
                reason=Reason.INVALID_ADDRESS if is_address else Reason.INVALID_CONTENT,
                error_code=error.code,
                detail=str(error),
            )
        except Exception as error:  # noqa: BLE001 - one row's surprise must not cost the others
            return RowFault(
                intent_key=row.intent_key,
                reason=Reason.INVALID_CONTENT,
                error_code="unexpected",
                # The text of an unforeseen error may quote the row.
                detail=f"preparing the message failed with {type(error).__name__}",
            )

    def _skip(self, faults: list[RowFault]) -> None:
        ended = self._ledger.skip_faulty(faults, run=self._run, now=self._clock.now())
        self._skipped += len(ended)
        for fault in faults:
            is_ours = fault.intent_key in ended
            self._refused[str(fault.reason) if is_ours else "already_handled"] += 1

    def _settle_and_claim(
        self,
        batch: list[_Prepared],
        flying: set[asyncio.Task[Settlement]],
        transport: Transport,
        pacer: Pacer,
    ) -> float:
        answers, self._answers = self._answers, []
        try:
            verdicts, result = self._ledger.settle_and_claim(
                answers,
                [prepared.row for prepared in batch],
                channel=self._channel.name,
                run=self._run,
                now=self._clock.now(),
                rate=pacer.limit(),
                wall=transport.wall(),
            )
        except BaseException:
            self._answers = answers
            raise
        self._statuses.update(verdict.attempt for verdict in verdicts.values())
        # A receipt was faster than our own answer.
        self._statuses[AttemptStatus.ACCEPTED] += len(answers) - len(verdicts)
        by_key = {prepared.row.intent_key: prepared for prepared in batch}
        for refusal in result.refused:
            self._refused[str(refusal.reason)] += 1
            if refusal.outcome == Outcome.SKIPPED and refusal.reason != "already_handled":
                self._skipped += 1
        self._ready.extendleft(by_key[key] for key in reversed(result.postponed))
        for claimed in result.claimed:
            flying.add(
                asyncio.create_task(
                    self._deliver(claimed, by_key[claimed.intent_key].request, transport, pacer)
                )
            )
        return result.wait_seconds

    async def _deliver(
        self, claimed: ClaimedMessage, request: HttpRequest, transport: Transport, pacer: Pacer
    ) -> Settlement:
        try:
            outcome = await deliver(
                transport,
                pacer,
                request,
                classify=self._channel.classify,
                patience=self._limits.patience,
            )
        except LedgerError:
            raise
        except Exception as error:  # noqa: BLE001 - one row's surprise must not cost the others
            outcome = SendOutcome(
                outcome=OutcomeClass.UNKNOWN,
                error_code="unexpected",
                error_detail=f"handing the message over failed with {type(error).__name__}",
            )
        return Settlement(
            attempt_id=claimed.attempt_id, intent_key=claimed.intent_key, outcome=outcome
        )

    async def _collect(
        self, flying: set[asyncio.Task[Settlement]]
    ) -> set[asyncio.Task[Settlement]]:
        done, rest = await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
        if rest and len(done) < self._channel.limits.max_in_flight // 4:
            more, rest = await asyncio.wait(rest, timeout=_LINGER_SECONDS)
            done |= more
        # All of them before the first may raise: an answer once read is not lost again.
        failed: BaseException | None = None
        for task in done:
            error = task.exception()
            if error is not None:
                failed = error
            else:
                self._note(task.result())
        if failed is not None:
            flying.difference_update(done)
            raise failed
        return rest

    def _note(self, answer: Settlement) -> None:
        self._answers.append(answer)
        outcome = answer.outcome
        template_id = self._templates[answer.intent_key]
        if outcome.outcome is OutcomeClass.ACCEPTED:
            self._same_refusals.pop(template_id, None)
            return
        code = outcome.error_code or "none"
        self._errors[f"{outcome.outcome.value}:{code}"] += 1
        said = scrub(f"{code}: {outcome.error_detail or ''}")
        if outcome.stop_scope is StopScope.TEMPLATE:
            self._stop_template(template_id, said)
        elif outcome.outcome is OutcomeClass.STOP:
            self._stopped = self._stopped or f"the provider stopped the channel, {said}"
        elif outcome.outcome is OutcomeClass.PERM:
            last, number = self._same_refusals.get(template_id, (code, 0))
            number = number + 1 if last == code else 1
            self._same_refusals[template_id] = (code, number)
            if number >= _SAME_REFUSALS:
                self._stop_template(template_id, f"{number} refusals in a row with {said}")

    def _stop_template(self, template_id: str, why: str) -> None:
        self._stopped_templates.setdefault(template_id, f"template {template_id} stopped, {why}")

    # Finish ---------------------------------------------------------------------------------

    def finish(self, *, status: str, detail: str | None) -> None:
        """Write what is known and the end of the run."""
        try:
            if self._answers:
                self._ledger.settle(self._answers, run=self._run, now=self._clock.now())
                self._answers = []
        finally:
            self._ledger.finish_run(
                self._run,
                status="stopped" if status == "stopped" else "failed",
                counts=self._counts(),
                detail=detail,
                now=self._clock.now(),
            )

    def report(self, *, recovered: int) -> SendReport:
        """Write the end of a run that went through, and say what it did."""
        counts = self._counts()
        reasons = [self._stopped, *self._stopped_templates.values()]
        detail = "; ".join(reason for reason in reasons if reason) or None
        not_out = counts.rejected + counts.unknown + counts.retried + self._refused["rate_limited"]
        status = "ok"
        if self._stopped is not None:
            status = "stopped"
        elif not_out or self._stopped_templates or self._faulty():
            status = "partial"
        self._ledger.finish_run(
            self._run, status=status, counts=counts, detail=detail, now=self._clock.now()
        )
        return SendReport(
            sync_run_id=self._run.sync_run_id,
            channel=self._channel.name,
            status=status,
            counts=counts,
            refused={reason: number for reason, number in self._refused.items() if number},
            errors=dict(self._errors),
            recovered=recovered,
            detail=detail,
        )

    def _faulty(self) -> int:
        return self._refused[Reason.INVALID_ADDRESS] + self._refused[Reason.INVALID_CONTENT]

    def _counts(self) -> RunCounts:
        return RunCounts(
            planned=self._planned,
            accepted=self._statuses[AttemptStatus.ACCEPTED],
            rejected=self._statuses[AttemptStatus.REJECTED],
            unknown=self._statuses[AttemptStatus.UNKNOWN],
            retried=self._statuses[AttemptStatus.RETRY],
            skipped=self._skipped,
        )
