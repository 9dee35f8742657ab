from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestration.demo.errors import WorldClockError, WorldExistsError, WorldMissingError
from orchestration.demo.world import World

from .conftest import START, CopyWorld, query, read_sources


def test_same_seed_people_and_start_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        World.create(tmp_path / name, people=150, seed=9, start=START, history_days=20)
    World.create(tmp_path / "other", people=150, seed=10, start=START, history_days=20)
    one, two, other = (read_sources(tmp_path / name) for name in ("one", "two", "other"))
    assert one == two
    assert one["admin.quotes"] != other["admin.quotes"]


def test_one_stride_and_many_end_in_the_same_sources(copy_village: CopyWorld) -> None:
    to = START + timedelta(days=4, hours=5)
    one, many = copy_village(), copy_village()
    one.advance(to)
    while many.now < to:
        many.advance(min(many.now + timedelta(hours=5, minutes=17), to))
        # A new process each time: nothing may live in memory only.
        many = World.open(many.home)
    assert read_sources(one.home) == read_sources(many.home)
    assert one.truth.write() == many.truth.write()
    for name in ("persons", "identifiers", "stages", "eligibility"):
        paths = [world.home / "truth" / f"{name}.parquet" for world in (one, many)]
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_time_brings_newcomers_quotes_orders_and_files(copy_village: CopyWorld) -> None:
    world = copy_village()
    before = world.people
    quotes = query(world.home, "SELECT count(*) FROM quotes")[0][0]
    report = world.advance(START + timedelta(days=3))
    assert world.people > before
    assert report.visits > 0
    assert report.quotes == query(world.home, "SELECT count(*) FROM quotes")[0][0] - quotes > 0
    assert report.orders > 0
    assert report.contacts > 0
    assert "events_20261102.parquet" in report.ga4_files


def test_nothing_in_the_sources_lies_in_the_future(town: World) -> None:
    now = START.strftime("%Y-%m-%d %H:%M:%S")
    for table, column in (
        ("users", "created_at"),
        ("users", "updated_at"),
        ("consents", "changed_at"),
        ("quotes", "created_at"),
        ("orders", "updated_at"),
        ("order_status_history", "changed_at"),
        ("pickups", "updated_at"),
        ("documents", "uploaded_at"),
        ("payouts", "paid_at"),
        ("feedback", "created_at"),
    ):
        assert query(town.home, f"SELECT max({column}) FROM {table}")[0][0] <= now


def test_a_hundred_people_are_enough(tmp_path: Path) -> None:
    world = World.create(tmp_path, people=100, seed=1, start=START, history_days=30)
    world.advance(START + timedelta(hours=30))
    assert query(tmp_path, "SELECT count(*) FROM users")[0][0] > 10
    assert len(list(world.ga4_folder.glob("events_2*.parquet"))) >= 20


def test_optional_tables_exist_only_when_asked_for(tmp_path: Path, town: World) -> None:
    names = "SELECT name FROM sqlite_master WHERE type = 'table'"
    assert not {("push_tokens",), ("products",)} & set(query(town.home, names))
    World.create(tmp_path, people=300, seed=1, start=START, optional=["push_tokens", "products"])
    assert {("push_tokens",), ("products",)} <= set(query(tmp_path, names))
    assert query(tmp_path, "SELECT count(*) FROM push_tokens")[0][0] > 0
    assert query(tmp_path, "SELECT count(*) FROM products")[0][0] > 30


def test_impossible_wishes_are_refused(copy_village: CopyWorld, tmp_path: Path) -> None:
    world = copy_village()
    with pytest.raises(WorldClockError):
        world.advance(START)
    with pytest.raises(WorldClockError):
        world.advance(datetime(2027, 1, 1))  # noqa: DTZ001 - the point of the test
    with pytest.raises(WorldExistsError):
        World.create(world.home, people=100, seed=1, start=START)
    with pytest.raises(WorldMissingError):
        World.open(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="stamps"):
        World.create(tmp_path / "x", people=100, seed=1, start=START, optional=["stamps"])


def test_an_hour_is_cheap(town: World, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(town.home, tmp_path / "copy")
    world = World.open(tmp_path / "copy")
    world.advance(world.now + timedelta(hours=1))
    begin = time.process_time()
    for _ in range(3):
        world.advance(world.now + timedelta(hours=1))
    # Measured 0.05 s; ten times that is still a small part of a tick.
    assert (time.process_time() - begin) / 3 < 0.5


_ADVANCE = textwrap.dedent("""
    import os, sys, threading, time
    from datetime import datetime
    from pathlib import Path
    import numpy, pyarrow.parquet, sqlite3
    from orchestration.demo.world import World
    world = World.open(Path(sys.argv[1]))
    print("ready", flush=True)
    world.advance(datetime.fromisoformat(sys.argv[2]))
    print("done", flush=True)
""")


def test_a_killed_advance_leaves_a_world_that_goes_on(copy_village: CopyWorld) -> None:
    """Kill -9 at many moments of an advance: afterwards it never happened, or all of it did."""
    to = START + timedelta(days=2)
    whole = copy_village()
    whole.advance(to)
    wanted = read_sources(whole.home)
    outcomes = set()
    for turn in range(4):
        world = copy_village()
        process = subprocess.Popen(
            [sys.executable, "-c", _ADVANCE, str(world.home), to.isoformat()],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            process.wait(timeout=0.02 + 0.08 * turn)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        world = World.open(world.home)
        assert world.now in (START.astimezone(UTC), to.astimezone(UTC))
        outcomes.add(world.now)
        if world.now < to:
            world.advance(to)
        assert read_sources(world.home) == wanted
    assert outcomes


@pytest.mark.parametrize("fails_in", ["admin", "ga4", "crm", "log"])
def test_an_advance_that_dies_half_way_through_the_sources_is_finished_on_opening(
    copy_village: CopyWorld, monkeypatch: pytest.MonkeyPatch, fails_in: str
) -> None:
    to = START + timedelta(days=2)
    whole, broken = copy_village(), copy_village()
    whole.advance(to)
    target = {
        "admin": "orchestration.demo.admin_writer.AdminWriter.apply",
        "ga4": "orchestration.demo.ga4_writer.Ga4Writer._write_day",
        "crm": "orchestration.demo.crm_writer.CrmWriter.write_contacts",
        "log": "orchestration.demo.truth.Truth.write_log",
    }[fails_in]

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(target, die)
        with pytest.raises(KeyboardInterrupt):
            broken.advance(to)
    reopened = World.open(broken.home)
    assert reopened.now == to
    assert read_sources(reopened.home) == read_sources(whole.home)
    reopened.advance(to + timedelta(hours=3))
    whole.advance(to + timedelta(hours=3))
    assert read_sources(reopened.home) == read_sources(whole.home)
