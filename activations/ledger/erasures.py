"""Erasures: what was asked, how far each system is, and who must not come back.

Belongs here: the erasures' own tables, deleting a person from all others, and keeping out what is
still said about an erased address. Does not belong here: what a hash is (`activations.erasure`).

What becomes of each table when somebody is erased:

    intents, attempts, retries, decision_history, entry_exits   deleted: an erased address is refused by
                                                                its hash, so nothing can go out twice
    inbound_events, inbound_rejects                             deleted
    consent_statements, suppressions                            of addresses nobody shares: deleted, the
                                                                hash takes their place
    audience_members, sync_rejections                           deleted
    sync_runs, audience_meta, rate_tokens, kill_switches        stay: they count or switch, and name nobody
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, Table, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from activations.erasure.identifiers import KeyedHash, Kind, Person, fold_email
from activations.errors import ConfigurationError
from activations.ledger.schema import (
    attempts,
    audience_members,
    consent_statements,
    decision_history,
    entry_exits,
    erased_identifiers,
    erasure_steps,
    erasures,
    inbound_events,
    intents,
    metadata,
    retries,
    suppressions,
    sync_rejections,
)
from activations.rows import ConsentStatement, InboundEvent, Suppression

# Values in one IN list; SQLite takes 32,766 parameters.
_CHUNK = 5_000

StepStatus = Literal["pending", "done", "failed", "cannot"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureStep:
    """One system's part of an erasure. What is kept of it is its receipt.

    Attributes:
        erasure_id: Which erasure.
        system: Which system.
        status: ``pending``; ``done``; ``failed``: run again; ``cannot``: `next_step` says what a person does.
        payload: What the step needs to know of the person; None once it is done.
        detail: What was done, or why not; names nobody.
        next_step: What to do about it, or None.
        counts: Table (or what the system counts) to rows.
        updated_at: When the status was written, aware UTC.
    """

    erasure_id: str
    system: str
    status: StepStatus
    payload: str | None = field(default=None, repr=False)
    detail: str | None = None
    next_step: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """An erasure and its steps, in their order."""

    erasure_id: str
    requested_at: datetime
    finished_at: datetime | None
    steps: tuple[ErasureStep, ...]


def begin(
    connection: Connection,
    *,
    erasure_id: str,
    requested_at: datetime,
    key_check: str,
    hashes: Iterable[tuple[Kind, str]],
    steps: Sequence[ErasureStep],
) -> None:
    """Record an erasure before anything is deleted: from here on a kill loses nothing."""
    connection.execute(
        insert(erasures).values(
            erasure_id=erasure_id, requested_at=requested_at, key_check=key_check
        )
    )
    connection.execute(
        insert(erasure_steps),
        [
            {
                "erasure_id": erasure_id,
                "system": step.system,
                "position": position,
                "status": step.status,
                "payload": step.payload,
                "detail": step.detail,
                "next_step": step.next_step,
                "updated_at": step.updated_at,
            }
            for position, step in enumerate(steps)
        ],
    )
    keep_hashes(connection, hashes, erasure_id=erasure_id, erased_at=requested_at)


def keep_hashes(
    connection: Connection,
    hashes: Iterable[tuple[Kind, str]],
    *,
    erasure_id: str | None,
    erased_at: datetime,
) -> None:
    """Remember identifiers; one erased again counts from the later erasure."""
    rows = [
        {"kind": kind.value, "hash": digest, "erasure_id": erasure_id, "erased_at": erased_at}
        for kind, digest in hashes
    ]
    if not rows:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    upsert = dialect.insert(erased_identifiers)
    connection.execute(
        upsert.on_conflict_do_update(
            index_elements=list(erased_identifiers.primary_key),
            set_={name: upsert.excluded[name] for name in ("erasure_id", "erased_at")},
        ),
        rows,
    )


def settle(connection: Connection, step: ErasureStep) -> None:
    """Write a step's receipt; what it needed to know goes once it is done."""
    values: dict[str, object] = {
        "status": step.status,
        "detail": step.detail,
        "next_step": step.next_step,
        "counts": json.dumps(dict(step.counts)),
        "updated_at": step.updated_at,
    }
    if step.status in ("done", "cannot"):
        values["payload"] = None
    connection.execute(
        update(erasure_steps)
        .where(erasure_steps.c.erasure_id == step.erasure_id, erasure_steps.c.system == step.system)
        .values(values)
    )


def finish(connection: Connection, erasure_id: str, *, now: datetime) -> None:
    """End an erasure none of whose steps is open any more."""
    connection.execute(
        update(erasures)
        .where(erasures.c.erasure_id == erasure_id, erasures.c.finished_at.is_(None))
        .values(finished_at=now)
    )


def read(connection: Connection, *, erasure_id: str | None = None) -> list[Erasure]:
    """Return one erasure, or all that are not finished, oldest first."""
    query = select(erasures).order_by(erasures.c.requested_at, erasures.c.erasure_id)
    query = query.where(
        erasures.c.finished_at.is_(None)
        if erasure_id is None
        else erasures.c.erasure_id == erasure_id
    )
    found = []
    for row in connection.execute(query).all():
        steps = connection.execute(
            select(erasure_steps)
            .where(erasure_steps.c.erasure_id == row.erasure_id)
            .order_by(erasure_steps.c.position)
        ).all()
        found.append(
            Erasure(
                erasure_id=row.erasure_id,
                requested_at=row.requested_at,
                finished_at=row.finished_at,
                steps=tuple(
                    ErasureStep(
                        erasure_id=step.erasure_id,
                        system=step.system,
                        status=step.status,
                        payload=step.payload,
                        detail=step.detail,
                        next_step=step.next_step,
                        counts=json.loads(step.counts or "{}"),
                        updated_at=step.updated_at,
                    )
                    for step in steps
                ),
            )
        )
    return found


def find(connection: Connection, hashes: Sequence[tuple[Kind, str]]) -> str | None:
    """Return the latest erasure of whoever one of these hashes is, or None."""
    if not hashes:
        return None
    return connection.scalars(
        select(erased_identifiers.c.erasure_id)
        .where(
            sa.tuple_(erased_identifiers.c.kind, erased_identifiers.c.hash).in_(
                [(kind.value, digest) for kind, digest in hashes]
            ),
            erased_identifiers.c.erasure_id.is_not(None),
        )
        .order_by(erased_identifiers.c.erased_at.desc())
        .limit(1)
    ).one_or_none()


def read_index(connection: Connection) -> dict[Kind, dict[str, datetime]]:
    """Return every hash with when its erasure was asked for, by kind."""
    found: dict[Kind, dict[str, datetime]] = {}
    for row in connection.execute(select(erased_identifiers)):
        found.setdefault(Kind(row.kind), {})[row.hash] = row.erased_at
    return found


def check_key(connection: Connection, keyed: KeyedHash | None) -> bool:
    """Say whether anybody was ever erased, and insist on the key the hashes were made with.

    Raises:
        ConfigurationError: There are hashes and no key, or another key.
    """
    known = connection.scalars(
        select(erasures.c.key_check).order_by(erasures.c.requested_at).limit(1)
    ).one_or_none()
    if known is None:
        return False
    if keyed is None:
        raise ConfigurationError(
            "people were erased and ERASURE_KEY is not set: without it they would come back with the "
            "next pull and could be written to. Set it to the key of the erasures"
        )
    if keyed.check != known:
        raise ConfigurationError(
            "ERASURE_KEY is not the key the erasures were made with: erased people would not be "
            "recognised. Set it back to the old key"
        )
    return True


# What is said about erased addresses ------------------------------------------------------------


def _address_hash(keyed: KeyedHash, address: str) -> tuple[Kind, str]:
    """Hash an address as the engine writes it: E.164 with +, or an e-mail."""
    if "@" in address:
        return Kind.EMAIL, keyed.of(Kind.EMAIL, fold_email(address) or address)
    return Kind.PHONE, keyed.of(Kind.PHONE, address)


def erased_at(
    connection: Connection, addresses: Iterable[str], keyed: KeyedHash
) -> dict[str, datetime]:
    """Return which of some addresses belong to erased people, with when that was asked for."""
    digests = {address: _address_hash(keyed, address)[1] for address in addresses}
    known = {
        row.hash: row.erased_at
        for row in connection.execute(
            select(erased_identifiers.c.hash, erased_identifiers.c.erased_at).where(
                erased_identifiers.c.kind.in_([Kind.PHONE.value, Kind.EMAIL.value]),
                erased_identifiers.c.hash.in_(sorted(set(digests.values()))),
            )
        )
    }
    return {address: known[digest] for address, digest in digests.items() if digest in known}


def without_erased(
    connection: Connection,
    keyed: KeyedHash,
    *,
    events: Sequence[InboundEvent],
    statements: Sequence[ConsentStatement],
    blocked: Sequence[Suppression],
) -> tuple[list[InboundEvent], list[ConsentStatement], list[Suppression]]:
    """Leave out what is told about addresses of erased people: late receipts, bounces, opt-outs.

    An address is open again once the person opted in after the erasure, or the engine has a new
    message for it (they came back with a new account): then everything is kept, opt-outs above all.
    """
    addresses = {row.address for row in (*events, *statements, *blocked) if row.address}
    closed = erased_at(connection, addresses, keyed)
    for address, since in list(closed.items()):
        opted_in = any(
            row.address == address and row.status == "opt_in" and row.stated_at > since
            for row in statements
        ) or connection.scalar(
            select(consent_statements.c.id)
            .where(
                consent_statements.c.address == address,
                consent_statements.c.status == "opt_in",
                consent_statements.c.stated_at > since,
            )
            .limit(1)
        )
        if opted_in or connection.scalar(
            select(intents.c.intent_key).where(intents.c.address == address).limit(1)
        ):
            del closed[address]
    return (
        [row for row in events if row.address not in closed],
        [row for row in statements if row.address not in closed],
        [row for row in blocked if row.address not in closed],
    )


# Deleting a person ------------------------------------------------------------------------------


def count_person(connection: Connection, person: Person) -> dict[str, int]:
    """Count the rows that `delete_person` would delete, by table."""
    found: Counter[str] = Counter()
    for table, condition in _conditions(connection, person):
        found[table.name] += (
            connection.scalar(select(func.count()).select_from(table).where(condition)) or 0
        )
    return dict(found)


def delete_person(connection: Connection, person: Person) -> dict[str, int]:
    """Delete all rows of a person; returns how many, by table."""
    found: Counter[str] = Counter()
    for table, condition in list(_conditions(connection, person)):
        found[table.name] += connection.execute(delete(table).where(condition)).rowcount
    return dict(found)


def _conditions(
    connection: Connection, person: Person
) -> Iterable[tuple[Table, ColumnElement[bool]]]:
    customers = person.of(Kind.CUSTOMER)
    addresses = person.of(Kind.PHONE, Kind.EMAIL)
    keys = sorted(
        set(
            connection.scalars(
                select(intents.c.intent_key).where(
                    intents.c.customer_id.in_(customers) | intents.c.address.in_(addresses)
                )
            )
        )
    )
    for chunk in _chunks(keys):
        for table in (attempts, retries, decision_history, inbound_events, intents):
            yield table, table.c.intent_key.in_(chunk)
        yield sync_rejections, sync_rejections.c.row_key.in_(chunk)
    yield (
        inbound_events,
        inbound_events.c.address.in_(addresses)
        & (inbound_events.c.intent_key.is_(None) | inbound_events.c.intent_key.not_in(keys)),
    )
    yield consent_statements, consent_statements.c.address.in_(addresses)
    yield suppressions, suppressions.c.address.in_(addresses)
    yield entry_exits, entry_exits.c.customer_id.in_(customers)
    yield audience_members, audience_members.c.member_key.in_(customers)
    for customer in customers:
        # An audience's refused rows are keyed `<audience>:<customer>`.
        yield sync_rejections, sync_rejections.c.row_key.like(f"%:{customer}")
    rejects = metadata.tables.get("inbound_rejects")
    if rejects is not None and sa.inspect(connection).has_table("inbound_rejects"):
        for address in addresses:
            # Providers write a phone without the plus.
            told = address.removeprefix("+")
            yield rejects, rejects.c.body.contains(told, autoescape=True)


def read_audience_payloads(
    connection: Connection, customers: Sequence[str], *, of_others: bool
) -> list[str]:
    """Return what was told to audience destinations about some customers, or about everybody else."""
    mine = audience_members.c.member_key.in_(customers)
    return sorted(
        set(
            connection.scalars(
                select(audience_members.c.payload).where(sa.not_(mine) if of_others else mine)
            )
        )
    )


def _chunks(values: Sequence[str]) -> Iterable[Sequence[str]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]
