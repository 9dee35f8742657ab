"""What joining identifiers costs: `python -m tests.bench.bench_identity [EDGES]`; asserts nothing.

A world of people with accounts, phones, e-mails, CRM contacts and devices, ten million edges unless told otherwise:
joined for the first time, joined again with nothing new, and again after some devices met accounts. The model's own
code on a DuckDB file, as a run does it; the memory is the process's peak so far.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import duckdb

from tests.bench.bench_contracts import timed
from tests.dbt_project.test_models import customer_map

EDGES_A_PERSON = 5


def build_world(connection: duckdb.DuckDBPyConnection, people: int) -> None:
    """Create `identifier` and `edge`: each person an account with a phone, an e-mail, a contact and two devices."""
    sides = {
        "phone": "'+91' || (6000000000 + person)",
        "email": "'person' || person || '@example.com'",
        "crm_contact": "'K' || person",
    }
    stars = [
        f"select 'admin_user' as left_type, '1' || person as left_value, '{kind}' as right_type, "
        f"{value} as right_value, "
        "person from range({people}) as people(person)"
        for kind, value in sides.items()
    ]
    stars += [
        "select 'admin_user', '1' || person, 'ga_pseudo', "
        f"md5(person || '.{device}'), person from range({{people}}) as people(person)"
        for device in range(EDGES_A_PERSON - len(sides))
    ]
    query = " union all ".join(stars).format(people=people)
    connection.execute(f"create table edge as select * exclude (person) from ({query})")
    connection.execute(
        """
        create table identifier as
        select distinct id_type, id_value, timestamp '2026-01-01' as first_seen_at, false as is_blocked
        from (
            select left_type as id_type, left_value as id_value from edge
            union all
            select right_type, right_value from edge
        )
        """
    )


def main(edges: int) -> None:
    """Print what each step took."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "identity.duckdb"
        with duckdb.connect(
            str(path), config={"memory_limit": "1500MB", "preserve_insertion_order": False}
        ) as connection:
            connection.execute(f"set temp_directory = '{folder}/spill'")
            build_world(connection, edges // EDGES_A_PERSON)
            nodes = connection.execute("select count(*) from identifier").fetchall()[0][0]
            print(f"{edges:,} edges, {nodes:,} identifiers")
            connection.execute(
                "create table before (id_type varchar, id_value varchar, customer_id varchar)"
            )
            connection.execute("create table former (former_id varchar, customer_id varchar)")
            connection.execute("create table taken (customer_id varchar)")
        for label in ("first", "again, nothing new", "again, 1,000 merges"):
            with duckdb.connect(
                str(path), config={"memory_limit": "1500MB", "preserve_insertion_order": False}
            ) as connection:
                connection.execute(f"set temp_directory = '{folder}/spill'")
                if label.endswith("merges"):
                    connection.execute(
                        "insert into edge select 'admin_user', '1' || person, 'admin_user', '1' || (person + 1) "
                        "from range(0, 4000, 4) as people(person)"
                    )
                with timed(label):
                    found = customer_map.build_map(connection)
                with timed("  written"):
                    connection.execute("create table map as select * from found")
                del found
                customers, redirects = connection.execute(
                    "select count(distinct customer_id), count(*) filter (where id_type = 'former_customer') from map"
                ).fetchall()[0]
                print(f"{customers:,} customers, {redirects:,} redirects")
                connection.execute(
                    "create or replace table before as select id_type, id_value, customer_id from map "
                    "where id_type <> 'former_customer'"
                )
                connection.execute("drop table map")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000)
