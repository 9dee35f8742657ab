"""What leaving out erased people costs a pull: ``python -m tests.bench.bench_erased [ROWS] [ERASED]``.

Prints the CPU seconds of looking through a batch of events (a device for every five), of contacts (each row another
phone, in the spellings people use) and of users (each row another account), against nobody erased.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

import duckdb

from activations.erasure import ErasedIndex, KeyedHash, Kind, Person
from activations.erasure.identifiers import hashes_of
from orchestration.sources.crm.tables import CONTACTS
from orchestration.sources.erased import leave_out_erased
from orchestration.sources.ga4.schema import EVENTS
from orchestration.sources.landing import TableSpec, digest

BATCHES: tuple[tuple[TableSpec, dict[str, str]], ...] = (
    (
        EVENTS,
        {
            "event_name": "'page_view'",
            "event_timestamp": "1790000000000000 + number",
            "user_pseudo_id": "concat(number // 5, '.', 1700000000 + number // 5)",
            "user_id": "case when number % 3 = 0 then cast(number // 5 as varchar) end",
        },
    ),
    (
        CONTACTS,
        {
            "contact_id": "concat('h', number)",
            "phone": "concat(['', '0', '+91 ', '91'][1 + number % 4], 6000000000 + number * 7)",
            "email": "concat('person', number, '@mail.example')",
            "created_at": "'2026-01-01T00:00:00Z'",
        },
    ),
)


def main(rows: int, erased: int) -> None:
    """Measure both batches."""
    people = Person(
        values={
            Kind.DEVICE: tuple(f"{n}.{1700000000 + n}" for n in range(erased)),
            Kind.USER: tuple(str(n) for n in range(erased)),
            Kind.CONTACT: tuple(f"h{n}" for n in range(erased)),
            Kind.PHONE: tuple(f"+91{6000000000 + n * 7}" for n in range(erased)),
            Kind.EMAIL: tuple(f"person{n}@mail.example" for n in range(erased)),
            Kind.ORDER: tuple(f"CK{n}" for n in range(erased)),
        }
    )
    keyed = KeyedHash("k" * 32)
    entries: dict[Kind, dict[str, datetime]] = {}
    for kind, hashed in hashes_of(people, keyed):
        entries.setdefault(kind, {})[hashed] = datetime(2026, 11, 1, tzinfo=UTC)
    index = ErasedIndex(keyed, entries)
    for spec, filled in BATCHES:
        with duckdb.connect() as connection:
            columns = ", ".join(
                f"cast({filled.get(column.name, 'null')} as {column.type}) as {column.name}"
                for column in spec.columns
            )
            connection.execute(
                f"create table batch as select {columns} from range({rows}) as numbers(number)"
            )
            began = time.process_time()
            digest(connection, "(select * from batch)")
            plain = time.process_time() - began
            began = time.process_time()
            incoming, left_out = leave_out_erased(
                connection, "(select * from batch)", spec.name, index
            )
            looked = time.process_time() - began
            digest(connection, incoming)
            whole = time.process_time() - began
        print(
            f"{spec.name}: {rows:,} rows, {erased:,} people erased, {left_out:,} rows left out; "
            f"looked through in {looked:.1f} CPU s, with the digest {whole:.1f} (nobody erased: {plain:.1f})"
        )


if __name__ == "__main__":
    main(*(int(text) for text in (sys.argv[1:] + ["1000000", "1000"][len(sys.argv) - 1 :])))
