"""The same comparison on a world of our own making, with another seed and another mess than the example company's."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from orchestration.demo.world import World
from tests.dbt_project import test_recommerce as promised
from tests.dbt_project.worlds import AS_OF, built_world, known_world


@pytest.fixture(scope="module", params=[11, pytest.param(23, marks=pytest.mark.soak)])
def warehouse(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A demo world of 2,000 people at the example company's last moment, built beside its truth."""
    home = tmp_path_factory.mktemp("demo")
    demo = World.create(home / "world", people=2000, seed=request.param, start=AS_OF)
    demo.truth.write()
    with built_world(known_world(demo), home) as connection:
        yield connection


def test_stages(warehouse):
    promised.test_lifecycle_stages_match_the_truth(warehouse)


@pytest.mark.parametrize(
    ("journey", "least"),
    [("abandoned_price_view", 0.99), ("pickup_reminder", 1.0), ("winback_inactive", 0.98)],
)
def test_journeys(warehouse, journey, least):
    promised.test_journey_windows_match_the_truth_to_the_second(warehouse, journey, least)


def test_identity(warehouse):
    promised.test_identity_joins_whom_the_evidence_joins_and_nobody_else(warehouse)
    promised.test_no_customer_is_more_than_three_people(warehouse)


def test_test_users(warehouse):
    promised.test_test_users_are_known_and_left_out(warehouse)
