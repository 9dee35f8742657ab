"""Building a company whose truth is known, for the tests that compare: the example company, and a demo world.

The raw tables come through the real sources. Customers are people by the majority of their unshared identifiers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from activations.ledger import Ledger
from orchestration.demo.world import World
from orchestration.lib.ledger_pull import load_ledger
from orchestration.lib.warehouse import open_warehouse
from orchestration.sources import admin, crm, ga4
from orchestration.sources.admin.client import AdminConfig
from orchestration.sources.crm.client import parse_crm_uri
from orchestration.sources.ga4.client import Ga4Config
from tests.dbt_project.building import run_dbt

AS_OF = datetime(2026, 10, 31, 18, 30, tzinfo=UTC)
"""The last moment of the example data: midnight in India."""

PEOPLE = """
create temp view customer_people as
select customer_id, person_id
from (
    select map.customer_id, truth.person_id, count(*) as held
    from warehouse.intermediate.int_customer_map as map
    join expected.identifiers as truth using (id_type, id_value)
    where not truth.shared and map.customer_id is not null
    group by all
)
qualify row_number() over (partition by customer_id order by held desc, person_id) = 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownWorld:
    """A company's sources and the truth behind them.

    Attributes:
        ga4: Folder of the GA4 export.
        admin: The panel's SQLite file.
        crm: Folder of the CRM export.
        truth: Folder of Parquet files: persons, identifiers, stages, eligibility and whatever else.
    """

    ga4: Path
    admin: Path
    crm: Path
    truth: Path


def known_world(demo: World) -> KnownWorld:
    """A demo world's sources and truth."""
    return KnownWorld(
        ga4=demo.ga4_folder, admin=demo.admin_path, crm=demo.crm_folder, truth=demo.truth.folder
    )


def pull_world(world: KnownWorld, home: Path, as_of: datetime = AS_OF) -> Path:
    """Bring a company's sources and a ledger of its own into the warehouse of `home`; returns its path."""
    path = home / "warehouse.duckdb"
    ledger = Ledger(f"sqlite:///{home / 'ledger.sqlite'}")
    with open_warehouse(path) as connection:
        ga4.pull(connection, Ga4Config(uri=str(world.ga4)), as_of=as_of)
        admin.pull(connection, AdminConfig(url=f"sqlite:///{world.admin}"), as_of=as_of)
        crm.pull(connection, parse_crm_uri(str(world.crm)), as_of=as_of)
        load_ledger(connection, ledger)
    ledger.close()
    return path


@contextmanager
def built_world(world: KnownWorld, home: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Pull, build and test a company; yields it open for reading as `warehouse`, beside its truth as `expected`."""
    path = pull_world(world, home)
    built = run_dbt(path, "build", "--exclude-resource-type", "unit_test", as_of=AS_OF)
    assert built.bad == {}, built.output
    print(f"\nbuilt and tested in {built.seconds:.0f} s")
    with compared(path, world.truth) as connection:
        yield connection


@contextmanager
def compared(path: Path, truth: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a built warehouse for reading as `warehouse`, as its views call it, beside its truth as `expected`."""
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute("create schema expected")
        for file in truth.glob("*.parquet"):
            name = f"expected.{file.stem}"
            connection.execute(f"create table {name} as select * from read_parquet(?)", [str(file)])
        connection.execute(f"attach '{path}' as warehouse (read_only)")
        connection.execute(PEOPLE)
        yield connection


def one(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, float]:
    """The single row of a query by column name."""
    cursor = connection.execute(query)
    names = [column[0] for column in cursor.description]
    row = cursor.fetchone()
    assert row is not None
    return dict(zip(names, row, strict=True))
