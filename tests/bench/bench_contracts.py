"""What the contracts cost: `python -m tests.bench.bench_contracts [GA4_ROWS]`; asserts nothing.

Every contract on the shared example world, then the GA4 contract on a synthetic table (5 million
rows unless told otherwise): a full look, an hourly look, and the pages. Wall and CPU seconds; the
memory is the process's peak so far.
"""

from __future__ import annotations

import os
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import duckdb

from data_contracts.docs import build_data_docs
from data_contracts.loader import load_contracts
from data_contracts.validator import validate_all, warm_up
from tests.bench.timing import apart, timed
from tests.data_contracts.raw_tables import RECOMMERCE_AS_OF, contract_of, load_recommerce

REPOSITORY = Path(__file__).resolve().parents[2]


def grow_ga4(path: Path, rows: int) -> None:
    """Replaces raw.ga4_events by that many rows of the example's events, day by day."""
    with duckdb.connect(str(path), config={"memory_limit": "3GB"}) as connection:
        connection.execute("create temp table seed as from raw.ga4_events where not _is_intraday")
        days = connection.execute(
            "select _table_date, count(*) from seed group by 1 order by 1"
        ).fetchall()
        copies = max(1, rows // sum(count for _, count in days))
        connection.execute("delete from raw.ga4_events")
        for day, _ in days:
            connection.execute(
                "insert into raw.ga4_events by name select seed.* replace ("
                "seed.event_timestamp + copy * 997 as event_timestamp, "
                "seed.user_pseudo_id || '.' || copy as user_pseudo_id) "
                f"from seed, range({copies}) r(copy) where seed._table_date = ?",
                [day],
            )


def main() -> None:
    """Runs the measurements."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000_000
    shared = Path(os.environ.get("SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    with timed("import of Great Expectations"):
        warm_up().join()
    with timed("contract files read"):
        contracts = load_contracts()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "warehouse.duckdb"
        with duckdb.connect(str(path)) as connection:
            connection.execute("set TimeZone = 'UTC'")
            load_recommerce(connection, shared, contracts)
            with timed(f"{len(contracts)} contracts, example world, full look"):
                results = validate_all(connection, contracts, as_of=RECOMMERCE_AS_OF)
            hour = timedelta(hours=1)
            with timed(f"{len(contracts)} contracts, an hour later"):
                results = validate_all(connection, contracts, as_of=RECOMMERCE_AS_OF + hour)
            with timed("Data Docs, all pages"):
                build_data_docs(results, Path(folder) / "docs")
            with timed("Data Docs, nothing changed"):
                build_data_docs(results, Path(folder) / "docs")
        # Making the rows must not count as memory of judging them.
        apart(grow_ga4, path, rows)
        ga4 = contract_of("raw.ga4_events")
        with duckdb.connect(str(path), config={"memory_limit": "3GB"}) as connection:
            connection.execute("set TimeZone = 'UTC'")
            for label, hours in (("full look", 48), ("an hour later", 49)):
                as_of = RECOMMERCE_AS_OF + timedelta(hours=hours)
                with timed(f"GA4 contract, {rows:,} rows, {label}"):
                    (result,) = validate_all(connection, [ga4], as_of=as_of)
                print(f"  rows {result.rows:,}, all looked at: {result.looked_at_all}")


if __name__ == "__main__":
    main()
