"""Taking one person out of the warehouse, the published copy and the reports.

Belongs here: which rows of which table are the person's, deleting them, and rewriting the files so that
deleted bytes are gone. Does not belong here: the ledger, the providers, and the order of things
(`orchestration.lib.erasure`).

Raw tables go by the same marks that keep the person out of later pulls (`orchestration.sources.erased`).
All other tables go by what their columns are called, whatever made them: the models' own memory
(`int_customer_map` with its redirects, `int_phones`, `segment_history`) as well as what the next run
builds anew, so that nothing waits for the next run. A test looks through every column of every table.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb

from activations.erasure import ErasedIndex, Kind, Person
from activations.erasure.identifiers import fold_email, read_phone
from data_contracts.history import lower_history
from orchestration.lib.builds import forget_build
from orchestration.lib.settings import Settings
from orchestration.lib.warehouse import attach_new, open_warehouse, publish
from orchestration.lib.why import UnknownCustomerError
from orchestration.sources.erased import MARKS, find_erased, recount_pulls
from orchestration.sources.landing import quote, transaction

_ID_TYPES = {
    "admin_user": Kind.USER,
    "crm_contact": Kind.CONTACT,
    "phone": Kind.PHONE,
    "email": Kind.EMAIL,
    "ga_pseudo": Kind.DEVICE,
}
# Needles that are no identifiers of a person's own: a message's key, and an app's address.
_INTENT = "intent"
_PUSH = "push"
# Column name → kinds of needle it may hold.
_COLUMNS: dict[str, tuple[str, ...]] = {
    "customer_id": (Kind.CUSTOMER,),
    "former_customer_id": (Kind.CUSTOMER,),
    "member_key": (Kind.CUSTOMER,),
    "user_id": (Kind.USER,),
    "contact_id": (Kind.CONTACT,),
    "order_id": (Kind.ORDER,),
    "quote_id": (Kind.QUOTE,),
    "message_id": (Kind.MESSAGE,),
    "intent_key": (_INTENT,),
    "user_pseudo_id": (Kind.DEVICE,),
    "ga_client_id": (Kind.DEVICE,),
    # An app without a token is addressed by its customer.
    "address": (Kind.PHONE, Kind.EMAIL, Kind.CUSTOMER, _PUSH),
    "to_address": (Kind.PHONE, Kind.EMAIL),
    "phone": (Kind.PHONE,),
    "phone_raw": (Kind.PHONE,),
    "phone_e164": (Kind.PHONE,),
    "contact_phone": (Kind.PHONE,),
    "contact_phone_raw": (Kind.PHONE,),
    "email": (Kind.EMAIL,),
    "email_key": (Kind.EMAIL,),
}
# An identifier whose kind stands in the column beside it.
_TYPED = (("id_type", "id_value"), ("left_type", "left_value"), ("right_type", "right_value"))
# Values too short to be looked for inside a text.
_SHORTEST_IN_TEXT = 6


def find_person(connection: duckdb.DuckDBPyConnection, wanted: str) -> Person:
    """Return what the person is known by and nobody else is.

    A phone or e-mail that another customer gave too stays out: it is theirs as well.

    Args:
        connection: Open warehouse.
        wanted: A customer id, a former one, an account or contact id, a phone or an e-mail that is not shared.

    Raises:
        UnknownCustomerError: Nobody or more than one customer is meant; the message repeats no phone or e-mail.
    """
    if not _has_table(connection, "intermediate", "int_customer_map"):
        raise UnknownCustomerError(
            "the warehouse knows no customers yet: run `lifecycle run` first"
        )
    customer = _find_customer(connection, wanted)
    rows = connection.execute(
        "select id_type, id_value from intermediate.int_customer_map where customer_id = ?",
        [customer],
    ).fetchall()
    found: dict[Kind, set[str]] = {Kind.CUSTOMER: {customer}}
    for id_type, value in rows:
        kind = Kind.CUSTOMER if id_type == "former_customer" else _ID_TYPES.get(id_type)
        if kind is not None:
            found.setdefault(kind, set()).add(value)
    for address_kind, kind in (("phone", Kind.PHONE), ("email", Kind.EMAIL)):
        mine, others = (
            {
                row[0]
                for row in connection.execute(
                    f"select address from intermediate.int_addresses where address_kind = ?"
                    f" and customer_id {sign} ?",
                    [address_kind, customer],
                ).fetchall()
            }
            for sign in ("=", "<>")
        )
        shared = {_key(kind, address) for address in others}
        mine = {each for each in mine | found.get(kind, set()) if _key(kind, each) not in shared}
        found[kind] = mine
    return Person(values={}).plus(found)


def _key(kind: Kind, address: str) -> str:
    return (fold_email(address) or address) if kind is Kind.EMAIL else address


def _find_customer(connection: duckdb.DuckDBPyConnection, wanted: str) -> str:
    text = wanted.strip()
    rows = connection.execute(
        """
        select distinct customer_id
        from intermediate.int_customer_map
        where customer_id is not null
            and (customer_id = $text or id_value = $text or (id_type = 'email' and id_value = $email))
        union
        select distinct customer_id from intermediate.int_addresses where address in (lower($text), $phone)
        """,
        {"text": text, "email": fold_email(text) or text, "phone": read_phone(text) or text},
    ).fetchall()
    if not rows:
        raise UnknownCustomerError(
            "nobody is known by that: give a customer id, an account id, a phone as +91… or an e-mail; "
            "marts.customer_identifiers lists them"
        )
    if len(rows) > 1:
        ids = ", ".join(sorted(row[0] for row in rows)[:5])
        raise UnknownCustomerError(
            f"{len(rows)} customers are known by that, which is shared: {ids}. Give one id"
        )
    return str(rows[0][0])


def emails_written_to(connection: duckdb.DuckDBPyConnection, person: Person) -> list[str]:
    """Return the person's own e-mails as they were given, not folded: those a provider may know."""
    own = {fold_email(each) for each in person.of(Kind.EMAIL)}
    rows = connection.execute(
        "select distinct address from intermediate.int_addresses"
        " where address_kind = 'email' and list_contains($customers, customer_id)",
        {"customers": list(person.of(Kind.CUSTOMER))},
    ).fetchall()
    return sorted(row[0] for row in rows if fold_email(row[0]) in own)


# Rows -----------------------------------------------------------------------------------------


class PersonRows:
    """The rows of one person in an open warehouse.

    Attributes:
        person: What the person is known by; grows by orders, quotes and messages as raw is looked at.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        person: Person,
        erased: ErasedIndex,
        *,
        timezone: str,
    ) -> None:
        """Look at nothing yet.

        Args:
            connection: Open warehouse.
            person: What the person is known by.
            erased: An index that holds the person.
            timezone: Zone of the admin panel's times.
        """
        self._connection = connection
        self._erased = erased
        self._timezone = timezone
        self.person = person

    def count(self) -> dict[str, int]:
        """Return the rows that `delete` would delete, by table."""
        found: dict[str, int] = {}
        for table, condition in self._conditions():
            row = self._connection.execute(
                f"select count(*) from {table} where {condition}"
            ).fetchone()
            if row and row[0]:
                found[_shown(table)] = int(row[0])
        return found

    def delete(self) -> dict[str, int]:
        """Delete the rows in one transaction; returns how many there were, by table."""
        found: dict[str, int] = {}
        with transaction(self._connection):
            for table, condition in self._conditions():
                row = self._connection.execute(f"delete from {table} where {condition}").fetchone()
                if row and row[0]:
                    found[_shown(table)] = int(row[0])
            for table, rows in found.items():
                schema, name = table.split(".", 1)
                if schema != "raw":
                    continue
                if name in MARKS:
                    recount_pulls(self._connection, name)
                if _has_table(self._connection, "state", "contract_metrics"):
                    lower_history(self._connection, f"raw.{name}", rows)
        return found

    def _conditions(self) -> Iterator[tuple[str, str]]:
        for table in MARKS:
            if not _has_table(self._connection, "raw", table):
                continue
            name = f"raw.{quote(table)}"
            found = find_erased(
                self._connection, name, table, self._erased, timezone=self._timezone
            )
            self.person = self.person.plus(
                {Kind(kind): values for kind, values in found.values.items()}
            )
            if found.condition is not None:
                yield name, found.condition
        self._write_needles()
        tables = self._connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = current_database()"
            " and not internal and not temporary order by 1, 2"
        ).fetchall()
        for schema, table in tables:
            if schema == "raw" and (table in MARKS or not table.startswith("ledger_")):
                continue
            name = f"{quote(schema)}.{quote(table)}"
            condition = _QUARANTINED if schema == "quarantine" else self._by_columns(schema, table)
            if condition:
                yield name, condition

    def _write_needles(self) -> None:
        connection = self._connection
        connection.execute("create or replace temp table _needle (kind varchar, value varchar)")
        rows = [
            [kind.value, value]
            for kind, values in self.person.values.items()
            for value in values
            if kind is not Kind.PHONE_TAIL
        ]
        rows += [
            [Kind.EMAIL.value, fold_email(each) or each] for each in self.person.of(Kind.EMAIL)
        ]
        connection.execute(
            "insert into _needle select unnest($kinds), unnest($values)",
            {"kinds": [row[0] for row in rows], "values": [row[1] for row in rows]},
        )
        if _has_table(connection, "intermediate", "int_phones"):
            connection.execute(
                "insert into _needle select 'phone', phone_raw from intermediate.int_phones"
                " where phone_e164 in (select value from _needle where kind = 'phone')"
            )
        if _has_table(connection, "intermediate", "int_addresses"):
            connection.execute(
                f"insert into _needle select '{_PUSH}', address from intermediate.int_addresses"
                f" where address_kind = 'push' and {_one_of('customer_id', (Kind.CUSTOMER,))}"
            )
        # Some tables know a message by its key alone.
        for schema, table in connection.execute(
            "select schema_name, table_name from duckdb_columns()"
            " inner join duckdb_tables() using (database_name, schema_name, table_name)"
            " where database_name = current_database() and not duckdb_tables.temporary"
            " and column_name in ('customer_id', 'intent_key')"
            " group by 1, 2 having count(*) = 2"
        ).fetchall():
            connection.execute(
                f"insert into _needle select '{_INTENT}', intent_key from {quote(schema)}.{quote(table)}"
                f" where {_one_of('customer_id', (Kind.CUSTOMER,))}"
            )

    def _by_columns(self, schema: str, table: str) -> str | None:
        columns = {
            row[0]
            for row in self._connection.execute(
                "select column_name from duckdb_columns() where database_name = current_database()"
                " and schema_name = ? and table_name = ?",
                [schema, table],
            ).fetchall()
        }
        parts = [_one_of(name, _COLUMNS[name]) for name in sorted(columns & set(_COLUMNS))]
        for type_column, value_column in _TYPED:
            if {type_column, value_column} <= columns:
                for id_type, kind in _ID_TYPES.items():
                    parts.append(
                        f"({type_column} = '{id_type}' and {_one_of(value_column, (kind,))})"
                    )
        if "session_key" in columns:
            # A device, a dot and the session's number.
            device = "regexp_replace(session_key, '[.][^.]*$', '')"
            parts.append(_one_of(device, (Kind.DEVICE,)))
        if "moment_key" in columns:
            # A journey, an entry and a customer.
            parts.append(_one_of("split_part(moment_key, '|', 3)", (Kind.CUSTOMER,)))
        if "row_key" in columns:
            # A refused message is keyed by its intent, a refused member `<audience>:<customer>`.
            parts.append(_one_of("row_key", (_INTENT,)))
            parts.append(_one_of("split_part(row_key, ':', 2)", (Kind.CUSTOMER,)))
        return " or ".join(parts) or None


def _shown(table: str) -> str:
    return table.replace('"', "")


def _one_of(column: str, kinds: Iterable[str]) -> str:
    listed = ", ".join(f"'{kind}'" for kind in kinds)
    return f"coalesce(cast({column} as varchar) in (select value from _needle where kind in ({listed})), false)"


# A quarantined row is kept as JSON. Taking one line too many is harmless: the next look at raw brings it back.
_QUARANTINED = (
    "coalesce(exists (select 1 from _needle where kind in ('phone', 'email', 'device', 'order')"
    f" and length(value) >= {_SHORTEST_IN_TEXT} and contains(lower(row_json), lower(value))), false) or "
    + " or ".join(
        _one_of(f"json_extract_string(row_json, '$.{name}')", _COLUMNS[name])
        for name in ("user_id", "contact_id", "quote_id", "message_id", "order_id")
    )
)


def _has_table(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> bool:
    return bool(
        connection.execute(
            "select 1 from information_schema.tables where table_schema = ? and table_name = ?"
            " and table_catalog = current_database()",
            [schema, table],
        ).fetchone()
    )


# Files ----------------------------------------------------------------------------------------


def delete_from_warehouse(
    settings: Settings, person: Person, erased: ErasedIndex
) -> dict[str, int]:
    """Delete a person's rows and rewrite the file; returns the rows by table.

    Needs as much free space as the warehouse takes: DuckDB leaves deleted values in the file's blocks, so
    what is left is copied into a new one.
    """
    if not settings.warehouse_path.exists():
        return {}
    with open_warehouse(settings.warehouse_path) as connection:
        deleted = PersonRows(connection, person, erased, timezone=settings.tenant_timezone).delete()
        # Rows are gone that no pull removed: what rests on the others of a device or an order is built anew.
        forget_build(connection)
    rewrite(settings.warehouse_path)
    return deleted


def rewrite(path: Path) -> None:
    """Copy a database into a fresh file and put it in the old one's place, in one step."""
    fresh = path.with_name(f".{path.name}.rewritten")
    for leftover in path.parent.glob(f".{path.name}.*"):
        leftover.unlink()
    with open_warehouse(path) as connection:
        name = connection.execute("select current_database()").fetchone()
        assert name is not None  # noqa: S101 - there is always a current database
        attach_new(connection, fresh, "rewritten")
        connection.execute(f"copy from database {quote(name[0])} to rewritten")
        connection.execute("checkpoint rewritten")
        connection.execute("detach rewritten")
    Path(f"{fresh}.wal").unlink(missing_ok=True)
    Path(f"{path}.wal").unlink(missing_ok=True)
    os.replace(fresh, path)


def republish(settings: Settings) -> int:
    """Replace the published copy; returns its size in bytes, 0 where nothing was published yet."""
    for leftover in settings.home.glob(f".{settings.published_path.name}.*"):
        leftover.unlink()
    if not settings.published_path.exists():
        return 0
    return publish(settings.warehouse_path, settings.published_path)


def delete_reports(folders: Iterable[Path], person: Person) -> int:
    """Delete report files that name the person; runs write them anew. Returns how many there were."""
    kinds = (Kind.CUSTOMER, Kind.PHONE, Kind.EMAIL, Kind.DEVICE, Kind.ORDER, Kind.CONTACT)
    needles = {each for each in person.of(*kinds) if len(each) >= _SHORTEST_IN_TEXT}
    # A phone without its country code, as many people write it.
    needles |= {each[-10:] for each in person.of(Kind.PHONE)}
    wanted = [each.encode() for each in sorted(needles)]
    deleted = 0
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if not path.is_file():
                continue
            content = path.read_bytes()
            if any(needle in content for needle in wanted):
                path.unlink()
                deleted += 1
    return deleted
