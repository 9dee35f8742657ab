"""What joining identifiers costs: `python -m tests.bench.bench_identity [EDGES]`; asserts nothing.

A world of people with accounts, phones, e-mails, CRM contacts and devices, ten million edges unless told otherwise:
joined for the first time, in hours in which nothing is new and in which some accounts turn out to be one person's, and
in the night. The model's own code on a warehouse file, as a run does it; the memory is the process's peak so far.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import duckdb

from orchestration.lib.warehouse import open_warehouse
from tests.bench.timing import timed
from tests.dbt_project.test_models import customer_map

EDGES_A_PERSON = 5
MEMORY = "1500MB"
"""Of the warehouse; the graph is Python's."""
# What int_touched_mappings does, from both ends of touched edges.
MAPPED = """
create or replace table int_touched_mappings as
select id_type, id_value from touched
union
select id_type, id_value
from int_customer_map
where
    customer_id in (
        select held.customer_id
        from int_customer_map as held
        inner join touched on held.id_type = touched.id_type and held.id_value = touched.id_value
    )
"""
PART = "(id_type, id_value) in (from int_touched_mappings)"


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeDbt:
    """What a Python model asks of dbt."""

    session: duckdb.DuckDBPyConnection
    is_incremental: bool
    this: SimpleNamespace

    def config(self, **_: object) -> None:
        """Settings are the materialization's."""

    def ref(self, name: str) -> duckdb.DuckDBPyRelation:
        """Another model's table."""
        return self.session.table(name)


def build_world(connection: duckdb.DuckDBPyConnection, people: int) -> None:
    """Create what the map reads: each person an account with a phone, an e-mail, a contact and two devices."""
    sides = {
        "phone": "'+91' || (6000000000 + person)",
        "email": "'person' || person || '@example.com'",
        "crm_contact": "'K' || person",
    }
    stars = [
        f"select 'admin_user' as left_type, '1' || person as left_value, '{kind}' as right_type, "
        f"{value} as right_value, true as is_active, "
        "person from range({people}) as people(person)"
        for kind, value in sides.items()
    ]
    stars += [
        "select 'admin_user', '1' || person, 'ga_pseudo', "
        f"md5(person || '.{device}'), true, person from range({{people}}) as people(person)"
        for device in range(EDGES_A_PERSON - len(sides))
    ]
    query = " union all ".join(stars).format(people=people)
    connection.execute(
        f"create table int_identity_edges as select * exclude (person) from ({query})"
    )
    connection.execute(
        """
        create table int_identifiers as
        select distinct
            id_type, id_value, timestamp '2026-01-01' as first_seen_at, cast(null as varchar) as blocked_reason
        from (
            select left_type as id_type, left_value as id_value from int_identity_edges
            union all
            select right_type, right_value from int_identity_edges
        )
        """
    )
    connection.execute(
        """
        create table int_identity_limits as
        select 50 as alarm_merges, 0.02 as alarm_share, false as accept_merges
        """
    )
    connection.execute("create table int_touched_mappings (id_type varchar, id_value varchar)")


def join(path: Path, label: str, *, is_incremental: bool, more: str | None = None) -> None:
    """Run the model in a connection of its own and print what it took, its table's writing apart."""
    with open_warehouse(path, memory=MEMORY) as connection:
        if more is not None:
            connection.execute(f"create temp table new_edge as {more}")
            connection.execute("insert into int_identity_edges from new_edge")
            connection.execute(
                "create temp table touched as select left_type as id_type, left_value as id_value from new_edge"
                " union select right_type, right_value from new_edge"
            )
            with timed(f"{label}: whom to map anew"):
                connection.execute(MAPPED)
        dbt = FakeDbt(
            session=connection,
            is_incremental=is_incremental,
            this=SimpleNamespace(schema="main", identifier="int_customer_map"),
        )
        with timed(f"{label}: joined"):
            found = customer_map.model(dbt, connection)
        with timed(f"{label}: written"):
            connection.register("found", found)
            if is_incremental:
                connection.execute(f"delete from int_customer_map where {PART}")
                connection.execute("insert into int_customer_map from found")
            else:
                connection.execute("create or replace table int_customer_map as from found")
        customers, redirects = connection.execute(
            "select count(distinct customer_id), count(*) filter (where id_type = 'former_customer')"
            " from int_customer_map"
        ).fetchall()[0]
        print(f"{customers:,} customers, {redirects:,} redirects")


def main(edges: int) -> None:
    """Print what each step took."""
    people = edges // EDGES_A_PERSON
    none = "select left_type, left_value, right_type, right_value, is_active from int_identity_edges limit 0"
    merges = (
        "select 'admin_user' as left_type, '1' || person as left_value, 'admin_user' as right_type,"
        " '1' || (person + 1) as right_value, true as is_active from range(0, 4000, 4) as people(person)"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "identity.duckdb"
        with open_warehouse(path, memory=MEMORY) as connection:
            build_world(connection, people)
            (nodes,) = connection.execute("select count(*) from int_identifiers").fetchall()[0]
            print(f"{edges:,} edges, {nodes:,} identifiers")
        join(path, "first", is_incremental=False)
        join(path, "an hour, nothing new", is_incremental=True, more=none)
        join(path, "an hour, 1,000 merges", is_incremental=True, more=merges)
        join(path, "the night", is_incremental=False)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000)
