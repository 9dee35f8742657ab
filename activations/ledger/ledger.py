"""The ledger: what was decided, what was handed over, what came back.

Belongs here: the one class the rest of the product talks to; each method is one transaction (or,
for long lists, one transaction a chunk). Does not belong here: SQL (the modules beside this one)
and rules (`activations.guards`, `activations.ledger.settlements`).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import TypeVar

from sqlalchemy import Connection, Engine, func, select, text

from activations.erasure.identifiers import KeyedHash, Kind, Person, hashes_of, normalise
from activations.erasure.index import ErasedIndex
from activations.errors import ConfigurationError, LedgerStateError
from activations.guards import MAX_TRANSACTIONAL_ATTEMPTS, TRANSACTIONAL_RESEND_AFTER
from activations.ledger import (
    audience,
    claims,
    decisions,
    erasures,
    feedback,
    rates,
    runs,
    settlements,
)
from activations.ledger.database import Database
from activations.ledger.schema import (
    attempts,
    decision_history,
    intents,
    kill_switches,
    suppressions,
)
from activations.outcomes import AttemptStatus, Outcome, OutcomeClass, Purpose, State
from activations.rows import (
    AudienceMember,
    ClaimResult,
    ConsentStatement,
    Decision,
    InboundEvent,
    Intent,
    MessageRow,
    RateLimit,
    Rejection,
    RowFault,
    RunCounts,
    Settlement,
    Suppression,
    UnknownAttempt,
)

# Rows of one transaction: long enough to be fast, short enough that a claim never waits a second.
_CHUNK = 2_000

_Row = TypeVar("_Row")


class Ledger:
    """The operational database of activation.

    All instants are aware UTC. Every method may raise `LedgerUnavailableError`.
    """

    def __init__(self, url: str, *, erasure_key: str = "") -> None:
        """Open the ledger and create what is missing.

        Args:
            url: ``sqlite:///PATH``, ``sqlite://`` (in memory, for tests) or ``postgresql://...``.
            erasure_key: Key of the hashes that erased people are known by; needed once somebody was erased.

        Raises:
            ConfigurationError: When the URL is none of these, or people were erased with another key or
                without this one.
            LedgerUnavailableError: When the database cannot be reached.
        """
        self._keyed = KeyedHash(erasure_key) if erasure_key else None
        self._database = Database(url)
        with self._database.read() as connection:
            erasures.check_key(connection, self._keyed)

    @property
    def engine(self) -> Engine:
        """The SQLAlchemy engine, for readers that copy whole tables."""
        return self._database.engine

    def close(self) -> None:
        """Close the connections."""
        self._database.dispose()

    def check(self) -> None:
        """Ask the database for an answer, for a health page."""
        with self._database.read() as connection:
            connection.execute(text("select 1"))

    # Decisions ------------------------------------------------------------------------------

    def record_decisions(
        self, rows: Iterable[Decision], *, run_as_of: datetime, now: datetime
    ) -> decisions.DecisionCounts:
        """Upsert decided intents; history gets a row where outcome, reason or winner changed.

        Final outcomes and messages in flight are left alone. A planned decision under a kill
        switch is recorded as held. Deciding the same again writes nothing.

        Args:
            rows: One row an intent.
            run_as_of: The tick that decided.
            now: The business instant.
        """
        total = decisions.DecisionCounts()
        for chunk in _chunks(rows):
            with self._database.write() as connection:
                total = total.plus(decisions.record(connection, chunk, run_as_of, now))
        return total

    def expire_overdue(self, *, run_as_of: datetime, now: datetime) -> int:
        """End planned and held intents whose moment has passed; returns how many.

        For intents the warehouse no longer lists; those it lists it ends itself.
        """
        with self._database.write() as connection:
            keys = list(
                connection.scalars(
                    select(intents.c.intent_key)
                    .where(
                        intents.c.outcome.in_([Outcome.PLANNED, Outcome.HELD]),
                        (intents.c.state.is_(None)) | (intents.c.state != State.CLAIMED),
                        intents.c.latest_useful_at < now,
                    )
                    .with_for_update()
                )
            )
            if keys:
                recorded = {
                    row.intent_key: Intent(**row._mapping)
                    for start in range(0, len(keys), _CHUNK)
                    for row in connection.execute(
                        select(intents).where(
                            intents.c.intent_key.in_(keys[start : start + _CHUNK])
                        )
                    )
                }
                for start in range(0, len(keys), _CHUNK):
                    claims.write_refusals(
                        connection,
                        claims.expired(keys[start : start + _CHUNK]),
                        recorded,
                        run_as_of=run_as_of,
                        now=now,
                    )
        return len(keys)

    def intent(self, intent_key: str) -> Intent | None:
        """Return an intent, or None."""
        with self._database.read() as connection:
            row = connection.execute(
                select(intents).where(intents.c.intent_key == intent_key)
            ).one_or_none()
            return None if row is None else Intent(**row._mapping)

    def find_intent_key(self, provider_message_id: str) -> str | None:
        """Return the intent a provider's message id belongs to, or None."""
        with self._database.read() as connection:
            return connection.scalars(
                select(attempts.c.intent_key)
                .where(attempts.c.provider_message_id == provider_message_id)
                .limit(1)
            ).one_or_none()

    def history(self, intent_key: str) -> list[tuple[str, str | None, str | None]]:
        """Return (outcome, reason, lost_to) of an intent, oldest first."""
        with self._database.read() as connection:
            return [
                (row.outcome, row.reason, row.lost_to)
                for row in connection.execute(
                    select(decision_history)
                    .where(decision_history.c.intent_key == intent_key)
                    .order_by(decision_history.c.id)
                )
            ]

    # Sending --------------------------------------------------------------------------------

    def start_run(
        self, *, destination: str, kind: runs.RunKind, run_as_of: datetime, now: datetime
    ) -> runs.SyncRun:
        """Begin a run; it counts as alive until it is finished or its process dies.

        Args:
            destination: Channel or audience destination.
            kind: ``messages`` or ``audience``.
            run_as_of: The tick the run belongs to.
            now: The business instant.
        """
        sync_run_id = secrets.token_hex(12)
        lock = self._database.locks.acquire(sync_run_id)
        try:
            with self._database.write() as connection:
                runs.start(
                    connection,
                    sync_run_id=sync_run_id,
                    destination=destination,
                    kind=kind,
                    run_as_of=run_as_of,
                    now=now,
                )
        except BaseException:
            lock.release()
            raise
        return runs.SyncRun(
            sync_run_id=sync_run_id,
            destination=destination,
            kind=kind,
            run_as_of=run_as_of,
            lock=lock,
        )

    def finish_run(
        self,
        run: runs.SyncRun,
        *,
        status: runs.RunStatus,
        counts: RunCounts,
        detail: str | None = None,
        now: datetime,
    ) -> None:
        """End a run: claims it still holds become unknown, its counters are written.

        Args:
            run: The run.
            status: How it went.
            counts: Its counters.
            detail: A sentence for the operator, without any address.
            now: The business instant.
        """
        try:
            with self._database.write() as connection:
                settlements.abandon(connection, run.sync_run_id, channel=None, now=now)
                runs.finish(
                    connection,
                    run.sync_run_id,
                    status=status,
                    counts=counts,
                    detail=detail,
                    now=now,
                )
        finally:
            run.lock.release()

    def recover(self, *, now: datetime, channel: str | None = None) -> list[str]:
        """Turn what dead runs left claimed into unknowns, and close those runs.

        A run is dead when nobody holds its lock, whatever the time. Live runs, in this process or
        another, are not touched.

        Args:
            now: The business instant.
            channel: Only claims of this channel; None means all.

        Returns:
            The intent keys that became unknown.
        """
        with self._database.read() as connection:
            query = select(attempts.c.claimed_by).where(attempts.c.status == AttemptStatus.CLAIMED)
            if channel is not None:
                query = query.where(attempts.c.channel == channel)
            candidates = set(connection.scalars(query.distinct()))
            running = set(runs.read_running(connection))
        found: list[str] = []
        for run_id in sorted(candidates | running):
            if self._database.locks.is_alive(run_id):
                continue
            with self._database.write() as connection:
                # All of a dead run's claims, of whatever channel: it has no other heir.
                lost = settlements.abandon(connection, run_id, channel=None, now=now)
                runs.mark_dead(connection, run_id, unknown=len(lost), now=now)
            found += lost
        return found

    def claim(
        self,
        rows: Sequence[MessageRow],
        *,
        channel: str,
        run: runs.SyncRun,
        now: datetime,
        rate: RateLimit | None = None,
        wall: datetime | None = None,
    ) -> ClaimResult:
        """Check a batch again and claim what may be sent, in one committed transaction.

        Args:
            rows: The batch; keep it as small as the number of calls that start at once, because
                a process that dies leaves all of it unknown.
            channel: The channel about to send.
            run: The run that sends.
            now: The business instant.
            rate: Bucket to take one token a message from; None takes none.
            wall: The real instant, needed with `rate`.

        Raises:
            LedgerStateError: When a rate is given without the real instant.
        """
        with self._database.write() as connection:
            return claims.claim(
                connection,
                rows,
                channel=channel,
                run_id=run.sync_run_id,
                run_as_of=run.run_as_of,
                now=now,
                rate=rate,
                wall=_wall_for(rate, wall, now),
                keyed=self._keyed,
            )

    def settle(
        self, answers: Sequence[Settlement], *, run: runs.SyncRun, now: datetime
    ) -> dict[str, settlements.Verdict]:
        """Write the verdicts on claimed attempts, in one transaction.

        What a provider refused is recorded in ``sync_rejections`` too.

        Args:
            answers: The channel's verdicts.
            run: The run that sends.
            now: The business instant.

        Returns:
            What was written, by attempt id. An answer that a receipt overtook writes nothing.
        """
        with self._database.write() as connection:
            return _settle(connection, answers, run=run, now=now)

    def settle_and_claim(
        self,
        answers: Sequence[Settlement],
        rows: Sequence[MessageRow],
        *,
        channel: str,
        run: runs.SyncRun,
        now: datetime,
        rate: RateLimit | None = None,
        wall: datetime | None = None,
    ) -> tuple[dict[str, settlements.Verdict], ClaimResult]:
        """Settle a batch and claim the next one in a single commit: one fsync instead of two.

        Arguments and results are those of `settle` and `claim`.
        """
        with self._database.write() as connection:
            verdicts = _settle(connection, answers, run=run, now=now)
            if not rows:
                return verdicts, ClaimResult()
            return verdicts, claims.claim(
                connection,
                rows,
                channel=channel,
                run_id=run.sync_run_id,
                run_as_of=run.run_as_of,
                now=now,
                rate=rate,
                wall=_wall_for(rate, wall, now),
                keyed=self._keyed,
            )

    def skip_faulty(
        self, faults: Sequence[RowFault], *, run: runs.SyncRun, now: datetime
    ) -> set[str]:
        """End planned intents whose rows can never be sent, and record each as rejected.

        Returns:
            The keys of those that were still planned; the others were not touched.
        """
        skipped: set[str] = set()
        for chunk in _chunks(faults):
            with self._database.write() as connection:
                ended = claims.skip_faulty(connection, chunk, run_as_of=run.run_as_of, now=now)
                skipped |= ended
                runs.reject(
                    connection,
                    sync_run_id=run.sync_run_id,
                    destination=run.destination,
                    rejections=[
                        Rejection(
                            row_key=fault.intent_key,
                            error_class=OutcomeClass.PERM.value,
                            error_code=fault.error_code,
                            detail=fault.detail,
                        )
                        for fault in chunk
                        if fault.intent_key in ended
                    ],
                    now=now,
                )
        return skipped

    def reject(self, rejections: Sequence[Rejection], *, run: runs.SyncRun, now: datetime) -> None:
        """Record rows the run's destination refused."""
        with self._database.write() as connection:
            runs.reject(
                connection,
                sync_run_id=run.sync_run_id,
                destination=run.destination,
                rejections=rejections,
                now=now,
            )

    def list_unknown(self, channel: str | None = None) -> list[UnknownAttempt]:
        """Return the messages whose answer never came, oldest first."""
        query = (
            select(
                attempts.c.attempt_id,
                attempts.c.intent_key,
                intents.c.journey_key,
                intents.c.step_key,
                intents.c.customer_id,
                attempts.c.channel,
                intents.c.purpose,
                attempts.c.claimed_at,
                attempts.c.error_code,
                attempts.c.error_detail,
            )
            .join(intents, intents.c.intent_key == attempts.c.intent_key)
            .where(attempts.c.status == AttemptStatus.UNKNOWN)
            .order_by(attempts.c.claimed_at, attempts.c.attempt_id)
        )
        if channel is not None:
            query = query.where(attempts.c.channel == channel)
        with self._database.read() as connection:
            return [UnknownAttempt(**row._mapping) for row in connection.execute(query)]

    def list_resendable(self, channel: str, *, now: datetime) -> list[MessageRow]:
        """Return transactional messages whose answer was lost long enough ago to try again.

        Their claim checks everything again, so the list may be too long but never too short.
        """
        with self._database.read() as connection:
            open_ones = list(
                connection.execute(
                    select(intents)
                    .where(
                        intents.c.channel == channel,
                        intents.c.state == State.UNKNOWN,
                        intents.c.purpose == Purpose.TRANSACTIONAL,
                        intents.c.latest_useful_at >= now,
                    )
                    .order_by(intents.c.due_at, intents.c.intent_key)
                )
            )
            tried = select(
                attempts.c.intent_key,
                func.max(attempts.c.attempt_no).label("number"),
                func.max(attempts.c.claimed_at).label("last_at"),
            ).group_by(attempts.c.intent_key)
            ripe: set[str] = set()
            for chunk in _chunks(row.intent_key for row in open_ones):
                for row in connection.execute(tried.where(attempts.c.intent_key.in_(chunk))):
                    if (
                        row.number < MAX_TRANSACTIONAL_ATTEMPTS
                        and row.last_at + TRANSACTIONAL_RESEND_AFTER <= now
                    ):
                        ripe.add(row.intent_key)
        return [
            MessageRow.from_mapping(row._asdict()) for row in open_ones if row.intent_key in ripe
        ]

    # Feedback -------------------------------------------------------------------------------

    def land(
        self,
        *,
        events: Sequence[InboundEvent] = (),
        statements: Sequence[ConsentStatement] = (),
        suppressions: Sequence[Suppression] = (),
        now: datetime,
    ) -> int:
        """Land everything one webhook call brought, in one transaction.

        Repeating it changes nothing. What is told about the address of somebody erased is left
        out. A receipt (sent, delivered, read, open, click, failed, bounce, complaint) with an intent key
        proves the hand-over: the unknown is settled.

        Returns:
            How many events were new.
        """
        with self._database.write() as connection:
            if erasures.check_key(connection, self._keyed) and self._keyed is not None:
                events, statements, suppressions = erasures.without_erased(
                    connection,
                    self._keyed,
                    events=events,
                    statements=statements,
                    blocked=suppressions,
                )
            landed = feedback.land_events(connection, events, now=now)
            feedback.land_statements(connection, statements)
            feedback.suppress(connection, suppressions, now=now)
            return landed

    def record_events(self, events: Sequence[InboundEvent], *, now: datetime) -> int:
        """Land inbound events; see `land`."""
        return self.land(events=events, now=now)

    def record_statements(self, statements: Sequence[ConsentStatement]) -> int:
        """Append consent statements; returns how many were new."""
        with self._database.write() as connection:
            return feedback.land_statements(connection, statements)

    def suppress(self, rows: Sequence[Suppression], *, now: datetime) -> None:
        """Suppress addresses; of two for one address the longer stays."""
        with self._database.write() as connection:
            feedback.suppress(connection, rows, now=now)

    def lift_suppression(self, *, address: str, channel: str, scope: str) -> bool:
        """Lift a suppression; says whether there was one."""
        with self._database.write() as connection:
            return bool(
                feedback.lift_suppression(connection, address=address, channel=channel, scope=scope)
            )

    def list_suppressions(self, channel: str | None = None) -> list[Suppression]:
        """Return the suppressions on record, ended ones included."""
        query = select(suppressions).order_by(*suppressions.primary_key)
        if channel is not None:
            query = query.where(suppressions.c.channel == channel)
        with self._database.read() as connection:
            return [Suppression.from_mapping(row._asdict()) for row in connection.execute(query)]

    def confirm(
        self,
        intent_keys: Sequence[str],
        *,
        provider_message_ids: dict[str, str] | None = None,
        now: datetime,
    ) -> int:
        """Settle unknown (or still claimed) hand-overs of these intents as accepted.

        Args:
            intent_keys: Intents a receipt or a look-up proves.
            provider_message_ids: Intent key to the provider's id, where known.
            now: The business instant.

        Returns:
            How many were settled.
        """
        with self._database.write() as connection:
            return settlements.confirm(
                connection,
                intent_keys,
                provider_message_ids=provider_message_ids or {},
                now=now,
            )

    def record_exit(
        self,
        *,
        journey_key: str,
        entry_key: str,
        customer_id: str,
        exited_at: datetime,
        reason: str,
    ) -> bool:
        """Record that a customer left a journey entry; says whether that was new."""
        with self._database.write() as connection:
            return bool(
                feedback.record_exit(
                    connection,
                    journey_key=journey_key,
                    entry_key=entry_key,
                    customer_id=customer_id,
                    exited_at=exited_at,
                    reason=reason,
                )
            )

    def set_kill_switch(self, scope: str, *, reason: str, since: datetime) -> bool:
        """Stop everything (``all``), one ``journey:KEY`` or one ``channel:NAME``.

        Returns:
            Whether it was off before.

        Raises:
            LedgerStateError: When the scope has another form: a switch that matches nothing
                would leave its author believing that sending stopped.
        """
        if scope != "all" and not (
            scope.startswith(("journey:", "channel:")) and scope.partition(":")[2]
        ):
            raise LedgerStateError(
                f"a kill switch is 'all', 'journey:KEY' or 'channel:NAME', not {scope!r}"
            )
        with self._database.write() as connection:
            return bool(
                feedback.set_kill_switch(connection, scope=scope, reason=reason, since=since)
            )

    def clear_kill_switch(self, scope: str) -> bool:
        """Turn a kill switch off; says whether it was on."""
        with self._database.write() as connection:
            return bool(feedback.clear_kill_switch(connection, scope=scope))

    def list_kill_switches(self) -> list[str]:
        """Return the scopes of the switches that are on."""
        with self._database.read() as connection:
            return list(
                connection.scalars(select(kill_switches.c.scope).order_by(kill_switches.c.scope))
            )

    # Rates ----------------------------------------------------------------------------------

    def take_tokens(self, rate: RateLimit, *, want: int, wall: datetime) -> tuple[int, float]:
        """Take up to `want` tokens.

        Returns:
            Tokens granted, and the real seconds until the next one when fewer were granted.
        """
        with self._database.write() as connection:
            return rates.take(connection, rate, want=want, wall=wall)

    def block_destination(self, destination: str, *, seconds: float, wall: datetime) -> None:
        """Let no process on this ledger call a destination for some real seconds."""
        with self._database.write() as connection:
            rates.block(connection, destination, until=wall + timedelta(seconds=seconds), wall=wall)

    # Audiences ------------------------------------------------------------------------------

    def read_audience(self, audience_key: str) -> list[AudienceMember]:
        """Return the snapshot of what the destination accepted, with its payloads."""
        with self._database.read() as connection:
            return audience.read_members(connection, audience_key)

    def read_audience_hashes(self, audience_key: str) -> dict[str, int]:
        """Return the snapshot as member key to payload hash."""
        with self._database.read() as connection:
            return audience.read_hashes(connection, audience_key)

    def read_audience_payloads(
        self, audience_key: str, member_keys: Sequence[str]
    ) -> dict[str, str]:
        """Return what was put there for some members."""
        with self._database.read() as connection:
            return audience.read_payloads(connection, audience_key, member_keys)

    def commit_audience(
        self,
        audience_key: str,
        *,
        accepted: Sequence[AudienceMember] = (),
        removed: Sequence[str] = (),
        engine: str,
        now: datetime,
    ) -> None:
        """Move the snapshot by the rows a destination confirmed, and by nothing else."""
        with self._database.write() as connection:
            audience.commit_members(
                connection,
                audience_key,
                accepted=accepted,
                removed=removed,
                engine=engine,
                now=now,
            )

    def read_audience_meta(self, audience_key: str) -> tuple[str, int] | None:
        """Return (engine, canary hash) of the snapshot, or None when there is none."""
        with self._database.read() as connection:
            return audience.read_meta(connection, audience_key)

    def rebaseline_audience(
        self,
        audience_key: str,
        *,
        members: Sequence[AudienceMember] = (),
        engine: str,
        canary_hash: int,
        now: datetime,
    ) -> None:
        """Record which engine hashes payloads now, and the new hashes of unchanged members."""
        with self._database.write() as connection:
            audience.commit_members(
                connection, audience_key, accepted=members, removed=(), engine=engine, now=now
            )
            audience.write_meta(connection, audience_key, engine=engine, canary_hash=canary_hash)

    def read_audience_rejections(
        self, destination: str, row_prefix: str
    ) -> dict[str, list[tuple[datetime, int | None]]]:
        """Return refused audience rows: member key to (when, payload hash), oldest first."""
        with self._database.read() as connection:
            return audience.read_rejections(connection, destination, row_prefix)

    # Erasures -------------------------------------------------------------------------------

    @property
    def keyed(self) -> KeyedHash:
        """The keyed hash of identifiers.

        Raises:
            ConfigurationError: The ledger was opened without a key.
        """
        if self._keyed is None:
            raise ConfigurationError(
                "ERASURE_KEY is not set: make one with `openssl rand -hex 32`, keep it as safe as the "
                "ledger and never change it"
            )
        return self._keyed

    def begin_erasure(
        self,
        person: Person,
        steps: Sequence[erasures.ErasureStep],
        *,
        erasure_id: str,
        requested_at: datetime,
    ) -> None:
        """Record an erasure and its hashes; from then on the person is refused everywhere.

        Raises:
            ConfigurationError: The ledger was opened without a key.
        """
        keyed = self.keyed
        with self._database.write() as connection:
            erasures.begin(
                connection,
                erasure_id=erasure_id,
                requested_at=requested_at,
                key_check=keyed.check,
                hashes=hashes_of(person, keyed),
                steps=steps,
            )

    def settle_erasure_step(self, step: erasures.ErasureStep) -> None:
        """Write the receipt of one system."""
        with self._database.write() as connection:
            erasures.settle(connection, step)

    def finish_erasure(self, erasure_id: str, *, now: datetime) -> None:
        """End an erasure with nothing left to do."""
        with self._database.write() as connection:
            erasures.finish(connection, erasure_id, now=now)

    def list_open_erasures(self) -> list[erasures.Erasure]:
        """Return the erasures that are not finished, oldest first."""
        with self._database.read() as connection:
            return erasures.read(connection)

    def read_erasure(self, erasure_id: str) -> erasures.Erasure:
        """Return an erasure with its receipts."""
        with self._database.read() as connection:
            (found,) = erasures.read(connection, erasure_id=erasure_id)
        return found

    def find_erasure(self, wanted: str) -> str | None:
        """Return the latest erasure of whoever goes by a customer id, account, contact, phone or e-mail."""
        if self._keyed is None:
            return None
        hashes = []
        for kind in (Kind.CUSTOMER, Kind.USER, Kind.CONTACT, Kind.PHONE, Kind.EMAIL):
            normalised = normalise(kind, wanted)
            if normalised is not None:
                hashes.append((kind, self._keyed.of(kind, normalised)))
        with self._database.read() as connection:
            return erasures.find(connection, hashes)

    def count_person(self, person: Person) -> dict[str, int]:
        """Return how many rows of a person there are, by table."""
        with self._database.read() as connection:
            return erasures.count_person(connection, person)

    def delete_person(self, person: Person) -> dict[str, int]:
        """Delete all rows of a person; returns how many there were, by table."""
        with self._database.write() as connection:
            return erasures.delete_person(connection, person)

    def read_audience_payloads_of(
        self, customers: Sequence[str], *, of_others: bool = False
    ) -> list[str]:
        """Return what audience destinations were told about some customers, or about everybody else."""
        with self._database.read() as connection:
            return erasures.read_audience_payloads(connection, customers, of_others=of_others)

    def erased_index(self) -> ErasedIndex | None:
        """Return who was erased, for landing; None when nobody was.

        Raises:
            ConfigurationError: People were erased and the ledger was opened without their key.
        """
        with self._database.read() as connection:
            if not erasures.check_key(connection, self._keyed):
                return None
            entries = erasures.read_index(connection)

        def keep(kind: Kind, hashes: Mapping[str, datetime]) -> None:
            with self._database.write() as connection:
                for digest, at in hashes.items():
                    erasures.keep_hashes(
                        connection, [(kind, digest)], erasure_id=None, erased_at=at
                    )

        return ErasedIndex(self.keyed, entries, keep=keep)

    def compact(self) -> bool:
        """Rewrite the ledger's files without what was deleted; False when somebody is in the way."""
        return self._database.compact()


def _settle(
    connection: Connection, answers: Sequence[Settlement], *, run: runs.SyncRun, now: datetime
) -> dict[str, settlements.Verdict]:
    verdicts = settlements.settle(connection, answers, run_as_of=run.run_as_of, now=now)
    runs.reject(
        connection,
        sync_run_id=run.sync_run_id,
        destination=run.destination,
        rejections=[
            Rejection(
                row_key=item.intent_key,
                error_class=item.outcome.outcome.value,
                error_code=item.outcome.error_code,
                detail=item.outcome.error_detail,
            )
            for item in answers
            if item.attempt_id in verdicts
            and (
                verdicts[item.attempt_id].attempt is AttemptStatus.REJECTED
                or item.outcome.outcome is OutcomeClass.STOP
            )
        ],
        now=now,
    )
    return verdicts


def _wall_for(rate: RateLimit | None, wall: datetime | None, now: datetime) -> datetime:
    if rate is None:
        return now
    if wall is None:
        raise LedgerStateError("a rate limit needs the real instant: pass wall=")
    return wall


def _chunks(rows: Iterable[_Row]) -> Iterator[list[_Row]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk
