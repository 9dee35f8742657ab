"""The difference between the people who should be in an audience and those put there.

Belongs here: pure decisions over two tables. Does not belong here: where they come from or go to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from activations.audiences.base import AudienceRow, Identifiers
from activations.errors import ConfigurationError

SCHEMA = pa.schema(
    [
        ("member_key", pa.string()),
        ("email_sha256", pa.string()),
        ("phone_sha256", pa.string()),
        ("payload_hash", pa.int64()),
    ]
)
# Rows turned into Python objects at once: a million people at once would take a gigabyte.
_BATCH = 50_000
_SHA256 = re.compile(r"[0-9a-f]{64}")

# A refused row waits this long, then twice as long each time, and a week at most.
_FIRST_BACKOFF = timedelta(hours=6)
_LONGEST_BACKOFF = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class AudiencePlan:
    """What has to change at the destination.

    Attributes:
        adds: People to put there.
        updates: People whose identifiers changed.
        removes: Member keys to take away.
        unchanged: Members already as they should be.
    """

    adds: tuple[AudienceRow, ...]
    updates: tuple[AudienceRow, ...]
    removes: tuple[str, ...]
    unchanged: int


def to_table(rows: Iterable[AudienceRow] | pa.Table) -> pa.Table:
    """Return the wished members as a table of `SCHEMA`, those without any identifier left out.

    A person nobody can be matched by is no member; leaving them out also removes them when they
    lost their last identifier.

    Raises:
        ConfigurationError: When a column is missing or a member is listed twice.
    """
    if isinstance(rows, pa.Table):
        given: Any = rows
        missing = sorted(set(SCHEMA.names) - set(given.column_names))
        if missing:
            raise ConfigurationError(f"the audience's rows lack the columns {', '.join(missing)}")
        table = given.select(SCHEMA.names).cast(SCHEMA)
    else:
        listed = list(rows)
        table = pa.table(
            {name: [getattr(row, name) for row in listed] for name in SCHEMA.names}, schema=SCHEMA
        )
    members = table.column("member_key")
    repeated = table.num_rows - len(members.unique())
    if repeated:
        raise ConfigurationError(
            f"the audience lists {repeated} members more than once: "
            "its model must have one row a customer"
        )
    for name in ("email_sha256", "phone_sha256"):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, table.column(name).fill_null(""))
    return table.filter((pc.field("email_sha256") != "") | (pc.field("phone_sha256") != ""))


def plan_audience(desired: pa.Table, snapshot: Mapping[str, int]) -> AudiencePlan:
    """Compare the wish with what the destination accepted.

    Args:
        desired: Rows of `SCHEMA`, one a member.
        snapshot: Member key to the payload hash the destination accepted.

    Returns:
        What has to change, each part ordered by member.
    """
    adds: list[AudienceRow] = []
    updates: list[AudienceRow] = []
    gone = set(snapshot)
    for batch in desired.to_batches(max_chunksize=_BATCH):
        changed = []
        for place, (key, digest) in enumerate(
            zip(
                batch.column("member_key").to_pylist(),
                batch.column("payload_hash").to_pylist(),
                strict=True,
            )
        ):
            gone.discard(key)
            # None is no hash, so that somebody who is not there differs from everything.
            if snapshot.get(key) != digest:
                changed.append(place)
        for values in batch.take(pa.array(changed, pa.int64())).to_pylist():
            row = AudienceRow(**values)
            (updates if row.member_key in snapshot else adds).append(row)
    return AudiencePlan(
        adds=tuple(sorted(adds, key=_by_member)),
        updates=tuple(sorted(updates, key=_by_member)),
        removes=tuple(sorted(gone)),
        unchanged=desired.num_rows - len(adds) - len(updates),
    )


def _by_member(row: AudienceRow) -> str:
    return row.member_key


def find_held(
    desired: pa.Table, identifiers: Iterable[str], *, moving: Iterable[str]
) -> frozenset[str]:
    """Return those identifiers that somebody who stays as they are has too.

    A family shares a phone: taking it away with one of them would take it from the others. Members
    that are added or updated in the same run do not count: their add comes after the removal and
    puts it back, and if that add fails, nothing of theirs must be left behind unnoticed.

    Args:
        desired: Rows of `SCHEMA`.
        identifiers: Hashes about to be removed.
        moving: Members that are added or updated in this run.
    """
    wanted, changing = frozenset(identifiers), frozenset(moving)
    held: set[str] = set()
    if not wanted:
        return frozenset()
    for batch in desired.to_batches(max_chunksize=_BATCH):
        for key, *values in zip(
            batch.column("member_key").to_pylist(),
            batch.column("email_sha256").to_pylist(),
            batch.column("phone_sha256").to_pylist(),
            strict=True,
        ):
            if key not in changing:
                held.update(value for value in values if value in wanted)
    return frozenset(held)


def find_fault(row: AudienceRow) -> str | None:
    """Return what is wrong with a row that no destination would take, None when nothing is."""
    for name in ("email_sha256", "phone_sha256"):
        value = getattr(row, name)
        if value and not _SHA256.fullmatch(value):
            return f"{name} is not a SHA-256 in lower-case hexadecimal"
    return None


def may_try_again(
    refusals: Iterable[tuple[datetime, int | None]], *, payload_hash: int, now: datetime
) -> bool:
    """Say whether a row refused before may be sent again.

    Args:
        refusals: When it was refused and with which payload, oldest first.
        payload_hash: The present payload; another one than the refused may go at once.
        now: The business instant.
    """
    times = [occurred_at for occurred_at, digest in refusals if digest == payload_hash]
    if not times:
        return True
    # The exponent is bounded: a week is reached after five refusals.
    wait = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2 ** min(len(times) - 1, 10))
    return times[-1] + wait <= now


def payload_text(identifiers: Identifiers) -> str:
    """Return the snapshot's record of what was put there."""
    return f'["{identifiers.email_sha256}","{identifiers.phone_sha256}"]'


def read_payload(text: str) -> Identifiers:
    """Return the identifiers of a snapshot's record."""
    email, phone = text.strip("[]").replace('"', "").split(",")
    return Identifiers(email_sha256=email, phone_sha256=phone)


def identifiers_of(row: AudienceRow) -> Identifiers:
    """Return what the destination is told about a row."""
    return Identifiers(email_sha256=row.email_sha256, phone_sha256=row.phone_sha256)


def without(old: Identifiers, kept: Identifiers | None, held: frozenset[str]) -> Identifiers:
    """Return what has to be taken away of a person's old identifiers.

    Args:
        old: What was put there.
        kept: What the person has now; None when they leave.
        held: Identifiers that others who stay have too.
    """

    def gone(before: str, now: str) -> str:
        return "" if before == now or before in held else before

    return Identifiers(
        email_sha256=gone(old.email_sha256, kept.email_sha256 if kept else ""),
        phone_sha256=gone(old.phone_sha256, kept.phone_sha256 if kept else ""),
    )
