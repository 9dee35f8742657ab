"""Rows of erased people: how they are recognised in each raw table, when they come and when they are there.

What belongs here: which column of which raw table names a person, and one condition made of it,
for rows about to land and for rows that landed long ago alike. What does not: hashes and keys
(whoever implements `Erased`), and the tables after raw.

A row is an erased person's when

* it carries an id of theirs (account, contact, order, quote, message), whatever else it says; or
* it carries an address of theirs and was made before they asked: the same address in a new account
  made afterwards is a new beginning, which consent decides about; or
* it carries a device of theirs, unless somebody else used it signed in afterwards.

Sources still hold these rows, so orders, quotes, contacts and messages met on the way are learned:
a pickup names nothing but its order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import duckdb

from orchestration.sources.landing import PULLS_TABLE, RAW_SCHEMA, count_rows, quote

# Values fetched at a time: memory stays flat however many devices an export names.
_CHUNK = 100_000


class Erased(Protocol):
    """Knows who was erased, by identifiers of a kind (`user`, `phone`, `order`…)."""

    def knows(self, kind: str) -> bool:
        """Say whether any identifier of a kind was erased."""
        ...

    def find(self, kind: str, values: Iterable[str]) -> dict[str, datetime]:
        """Return the values that belong to erased people, with when the erasure was asked for."""
        ...

    def learn(self, kind: str, values: Mapping[str, datetime]) -> None:
        """Remember ids met on rows of erased people."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What names a person in one raw table.

    Attributes:
        ids: (kind, SQL) of what is theirs alone.
        addresses: (kind, SQL) of phones and e-mails.
        device: SQL of the device, or None.
        account: SQL of the account that was signed in on the device; NULL for nobody.
        made_at: SQL of when the row was made; `{zone}` is the tenant's zone. NULL counts as before.
        teaches: (kind, SQL) of ids that other rows name their owner by.
    """

    ids: tuple[tuple[str, str], ...] = ()
    addresses: tuple[tuple[str, str], ...] = ()
    device: str | None = None
    account: str = "null"
    made_at: str = "null"
    teaches: tuple[tuple[str, str], ...] = ()


def _local(column: str) -> str:
    return f"timezone('{{zone}}', try_cast({column} as timestamp))"


def _iso(column: str) -> str:
    return f"try_cast({column} as timestamptz)"


_BY_ORDER = Marks(ids=(("order", "order_id"),))
_BY_CONTACT = Marks(ids=(("contact", "contact_id"),))
# An account as the CRM writes it: CK-123.
_ACCOUNT_OF_CONTACT = "regexp_replace(upper(trim(external_id)), '^CK-', '')"
_GA4_ORDER = (
    "coalesce(ecommerce.transaction_id, "
    "list_filter(event_params, lambda param: param.key = 'order_id')[1].value.string_value)"
)

MARKS: dict[str, Marks] = {
    "admin_users": Marks(ids=(("user", "user_id"),)),
    "admin_consents": Marks(ids=(("user", "user_id"),)),
    "admin_push_tokens": Marks(ids=(("user", "user_id"),)),
    "admin_quotes": Marks(
        ids=(("user", "user_id"), ("quote", "quote_id")),
        addresses=(("phone", "phone"),),
        device="ga_client_id",
        account="user_id",
        made_at=_local("created_at"),
        teaches=(("quote", "quote_id"),),
    ),
    "admin_orders": Marks(
        ids=(("user", "user_id"), ("quote", "quote_id"), ("order", "order_id")),
        addresses=(("phone", "contact_phone"),),
        made_at=_local("created_at"),
        teaches=(("order", "order_id"),),
    ),
    "admin_order_status_history": _BY_ORDER,
    "admin_pickups": _BY_ORDER,
    "admin_documents": _BY_ORDER,
    "admin_payouts": _BY_ORDER,
    "admin_feedback": _BY_ORDER,
    "crm_contacts": Marks(
        ids=(("contact", "contact_id"), ("user", _ACCOUNT_OF_CONTACT)),
        addresses=(("phone", "phone"), ("email", "email")),
        made_at=_iso("created_at"),
        teaches=(("contact", "contact_id"),),
    ),
    "crm_journey_entries": _BY_CONTACT,
    "crm_assignments": _BY_CONTACT,
    "crm_messages": Marks(
        ids=(("contact", "contact_id"), ("message", "message_id")),
        addresses=(("phone", "to_address"), ("email", "to_address")),
        made_at=_iso("sent_at"),
        teaches=(("message", "message_id"),),
    ),
    "crm_channel_events": Marks(ids=(("message", "message_id"),)),
    "ga4_events": Marks(
        ids=(("user", "user_id"), ("order", _GA4_ORDER)),
        device="user_pseudo_id",
        account="nullif(user_id, '')",
        made_at="to_timestamp(event_timestamp / 1000000.0)",
    ),
}
"""Raw table → its marks: what teaches comes before what is taught. `admin_products` names nobody."""


@dataclass(slots=True, kw_only=True)
class Found:
    """What a look at one table found.

    Attributes:
        condition: SQL that is true for rows of erased people; None when there are none.
        values: Kind to the values met on these rows, as the source writes them.
    """

    condition: str | None = None
    values: dict[str, set[str]] = field(default_factory=dict, repr=False)


def find_erased(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    table: str,
    erased: Erased,
    *,
    timezone: str = "UTC",
) -> Found:
    """Say which rows of a relation belong to erased people, and learn the ids they teach.

    Reads the distinct values of a handful of columns; with nobody erased it is not called at all.
    The condition names temporary tables of this connection, which the next look at the same table
    replaces.

    Args:
        connection: Open warehouse.
        relation: A table name or parenthesised query with the columns of the raw table.
        table: The raw table's name, without the schema.
        erased: Who was erased.
        timezone: Zone of the admin panel's times.
    """
    marks = MARKS.get(table)
    if marks is None:
        return Found()
    found = Found()
    parts: list[str] = []
    latest: list[datetime] = []
    listed = [
        *(("id", kind, sql) for kind, sql in marks.ids),
        *(("address", kind, sql) for kind, sql in marks.addresses),
        *([("device", "device", marks.device)] if marks.device else []),
    ]
    made_at = marks.made_at.replace("{zone}", timezone)
    for number, (role, kind, sql) in enumerate(listed):
        values = _look_up(connection, relation, sql, kind, erased)
        if not values:
            continue
        found.values.setdefault(kind, set()).update(values)
        latest += values.values()
        name = quote(f"_erased_{table}_{number}")
        _write_values(connection, name, values)
        text = f"cast({sql} as varchar)"
        if role == "id":
            parts.append(f"coalesce({text} in (select value from {name}), false)")
            continue
        before = f"coalesce({made_at} <= {name}.erased_at, true)"
        if role == "device":
            before = f"({marks.account} is null or {before})"
        parts.append(f"exists (select 1 from {name} where {name}.value = {text} and {before})")
    if not parts:
        return found
    found.condition = f"({' or '.join(parts)})"
    for kind, sql in marks.teaches:
        taught = connection.execute(
            f"select distinct cast({sql} as varchar) from {relation}"
            f" where {found.condition} and {sql} is not null"
        ).fetchall()
        # An id counts whenever its row was made, so any of the moments does.
        erased.learn(kind, {row[0]: max(latest) for row in taught})
        found.values.setdefault(kind, set()).update(row[0] for row in taught)
    return found


def _look_up(
    connection: duckdb.DuckDBPyConnection, relation: str, sql: str, kind: str, erased: Erased
) -> dict[str, datetime]:
    found: dict[str, datetime] = {}
    if not erased.knows(kind):
        return found
    result = connection.execute(
        f"select distinct cast({sql} as varchar) from {relation} where {sql} is not null"
    )
    while rows := result.fetchmany(_CHUNK):
        found |= erased.find(kind, [row[0] for row in rows])
    return found


def _write_values(
    connection: duckdb.DuckDBPyConnection, name: str, values: Mapping[str, datetime]
) -> None:
    connection.execute(
        f"create or replace temp table {name} as"
        " select unnest($values) as value, unnest($moments) as erased_at",
        {
            "values": list(values),
            "moments": [moment.astimezone(UTC) for moment in values.values()],
        },
    )


def drop_erased(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    table: str,
    erased: Erased | None,
    *,
    timezone: str = "UTC",
) -> int:
    """Delete the rows of erased people from a table (staged or raw); returns how many there were."""
    if erased is None:
        return 0
    found = find_erased(connection, relation, table, erased, timezone=timezone)
    if found.condition is None:
        return 0
    row = connection.execute(f"delete from {relation} where {found.condition}").fetchone()
    return 0 if row is None else int(row[0])


def leave_out_erased(
    connection: duckdb.DuckDBPyConnection,
    incoming: str,
    table: str,
    erased: Erased | None,
    *,
    timezone: str = "UTC",
) -> tuple[str, int]:
    """Return a query without the rows of erased people, and how many it leaves out.

    Args:
        connection: Open warehouse.
        incoming: A parenthesised query with the columns of the raw table.
        table: The raw table's name, without the schema.
        erased: Who was erased; None for nobody.
        timezone: Zone of the admin panel's times.
    """
    if erased is None:
        return incoming, 0
    found = find_erased(connection, incoming, table, erased, timezone=timezone)
    if found.condition is None:
        return incoming, 0
    dropped = count_rows(connection, f"{incoming} where {found.condition}")
    return f"(select * from {incoming} where not {found.condition})", dropped


def recount_pulls(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """Say in the pull state how many rows are left: a count that differs makes the next pull read all again."""
    by_unit = ", _table" if table == "ga4_events" else ""
    for row in connection.execute(
        f"select count(*){by_unit} from {RAW_SCHEMA}.{quote(table)}{' group by _table' if by_unit else ''}"
    ).fetchall():
        unit = " and unit = ?" if by_unit else ""
        connection.execute(
            f"update {PULLS_TABLE} set row_count = ? where table_name = ?{unit} and row_count is not null",
            [row[0], table, *row[1:]],
        )
