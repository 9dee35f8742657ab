"""What building the models costs, anew and for one more hour: `python -m tests.bench.bench_hourly [PEOPLE]`.

A demo world of that many people (100,000 unless told otherwise), pulled once; then an hour passes in it. Each step is
a process of its own, so that its peak memory is its own. Asserts nothing. Give FOLDER as a second argument to keep
the world and to measure on it again.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestration.demo.world import World
from orchestration.lib.builds import plan_build, record_build
from orchestration.lib.dbt import DbtProject
from orchestration.lib.warehouse import open_warehouse
from tests.bench.timing import apart, timed
from tests.dbt_project.worlds import known_world, pull_world

START = datetime(2026, 10, 31, 12, 30, tzinfo=UTC)
"""Six in the evening in India: the hours that follow are busy ones."""
ZONE = "Asia/Kolkata"
SLOWEST = 12


def create(home: Path, people: int) -> None:
    """Make the world as it is at the start."""
    with timed(f"world of {people:,}"):
        World.create(home / "world", people=people, seed=7, start=START)


def advance(home: Path, until: datetime) -> None:
    """Let the world live on."""
    World.open(home / "world").advance(until)


def pull(home: Path, as_of: datetime) -> None:
    """Bring the world's sources into the warehouse of `home`."""
    with timed("pull"):
        pull_world(known_world(World.open(home / "world")), home, as_of)


def build(home: Path, as_of: datetime) -> None:
    """Build all models up to the decisions, and print what took longest."""
    warehouse = home / "warehouse.duckdb"
    project = DbtProject(warehouse=warehouse, target=home / "dbt")
    project.parse()
    with open_warehouse(warehouse) as connection:
        plan = plan_build(connection, as_of=as_of, timezone=ZONE)
    with timed("full build" if plan.is_full else "incremental build"):
        results = project.build(
            as_of=as_of,
            timezone=ZONE,
            exclude=["tag:outbound", "tag:after_send"],
            is_full=plan.is_full,
        )
    bad = [f"{result.unique_id}: {result.message}" for result in results if not result.is_good]
    if bad:
        raise SystemExit("\n".join(bad))
    with open_warehouse(warehouse) as connection:
        record_build(connection, plan)
        for table in ("intermediate.int_customers", "intermediate.int_activities"):
            (rows,) = connection.execute(f"select count(*) from {table}").fetchone() or (0,)
            print(f"  {table} {rows:,}")
    for result in sorted(results, key=lambda result: -result.seconds)[:SLOWEST]:
        print(f"  {result.seconds:6.2f} s  {result.unique_id}")


def begin(people: int, home: Path) -> None:
    """Make the world, where `home` has none, pull it and build it."""
    if not (home / "world").exists():
        apart(create, home, people)
    apart(pull, home, START)
    apart(build, home, START)


def pass_hour(home: Path, hour: int) -> None:
    """Let the world come to so many hours after the start; pull and build that."""
    as_of = START + timedelta(hours=hour)
    apart(advance, home, as_of)
    apart(pull, home, as_of)
    apart(build, home, as_of)


def main(people: int, home: Path) -> None:
    """Print what each step took."""
    begin(people, home)
    pass_hour(home, 1)


def run(play: Callable[[int, Path], None], people: int) -> None:
    """Play a benchmark with the size and the folder of the command line, or with `people` in a folder that goes."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else people
    if len(sys.argv) > 2:
        play(count, Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            play(count, Path(folder))


if __name__ == "__main__":
    run(main, 100_000)
