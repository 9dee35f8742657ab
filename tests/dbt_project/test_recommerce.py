"""The models against a small company whose truth is known: the figures this project promises.

Compared are people whose every trace could be seen (`fully_observable`), moments to the second.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from tests.dbt_project.building import run_dbt
from tests.dbt_project.worlds import KnownWorld, built_world, compared, one


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recommerce")


@pytest.fixture(scope="module")
def world(shared_data: Path) -> KnownWorld:
    folder = shared_data / "recommerce"
    return KnownWorld(
        ga4=folder / "ga4",
        admin=folder / "admin" / "admin.sqlite",
        crm=folder / "crm",
        truth=folder / "expected",
    )


@pytest.fixture(scope="module")
def warehouse(world: KnownWorld, home: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The example company pulled, built and tested; open for reading beside its truth."""
    with built_world(world, home) as connection:
        yield connection


STAGES = """
with observable as (select person_id from expected.persons where fully_observable),
truth_stages as (
    select
        person_id,
        stage,
        valid_from,
        case when valid_to <= timestamptz '{moment}+00' then valid_to end as valid_to
    from expected.stages
    join observable using (person_id)
    where valid_from <= timestamptz '{moment}+00'
),
mine as (
    select people.person_id, stages.*
    from warehouse.marts.customer_stages as stages
    join customer_people as people using (customer_id)
    join observable using (person_id)
)
select
    (select count(*) from truth_stages) as expected,
    (select count(*) from mine) as built,
    count(*) as matched
from truth_stages
join mine
    on truth_stages.person_id = mine.person_id
    and truth_stages.stage = mine.stage
    and abs(epoch(truth_stages.valid_from) - epoch(mine.valid_from)) <= 2
    and (
        (truth_stages.valid_to is null and mine.valid_to is null)
        or abs(epoch(truth_stages.valid_to) - epoch(mine.valid_to)) <= 2
    )
"""


def assert_stages(connection: duckdb.DuckDBPyConnection, moment: str) -> None:
    """Stages as built for a moment are those of the truth at that moment."""
    found = one(connection, STAGES.format(moment=moment))
    recall, precision = found["matched"] / found["expected"], found["matched"] / found["built"]
    print(
        f"\nstages at {moment}: recall {recall:.4f}, precision {precision:.4f} of {found['expected']}"
    )
    assert recall >= 0.99
    assert precision >= 0.99


def test_lifecycle_stages_match_the_truth(warehouse):
    assert_stages(warehouse, "2026-10-31 18:30:00")


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 9, 10, 6, 0, tzinfo=UTC),
        datetime(2026, 10, 1, 12, 0, tzinfo=UTC),
        datetime(2026, 10, 20, 18, 30, tzinfo=UTC),
    ],
)
def test_stages_decided_again_for_an_earlier_moment_match_it(
    warehouse, world, home, tmp_path, moment
):
    path = tmp_path / "warehouse.duckdb"
    shutil.copyfile(home / "warehouse.duckdb", path)
    built = run_dbt(path, "run", "--full-refresh", "--select", "+customer_stages", as_of=moment)
    assert built.bad == {}, built.output
    with compared(path, world.truth) as connection:
        assert_stages(connection, f"{moment:%Y-%m-%d %H:%M:%S}")


ENTRIES = """
with observable as (select person_id from expected.persons where fully_observable),
truth_entries as (
    select * from expected.eligibility join observable using (person_id)
    where journey_key = '{journey}'
),
mine as (
    select people.person_id, entries.*
    from warehouse.marts.journey_entries as entries
    join customer_people as people using (customer_id)
    join observable using (person_id)
    where entries.journey_key = '{journey}'
),
pairs as (
    select
        truth_entries.person_id is not null as is_expected,
        mine.person_id is not null as is_built,
        truth_entries.eligible_to as true_to,
        mine.eligible_to as built_to,
        truth_entries.reachable,
        mine.is_reachable,
        truth_entries.channel is not distinct from mine.channel
        and truth_entries.suppress_reason is not distinct from mine.unreachable_reason
            as is_same_reach
    from truth_entries
    full join mine
        on truth_entries.person_id = mine.person_id
        and (truth_entries.entity_id = mine.entry_key or truth_entries.entity_id is null)
        and abs(epoch(truth_entries.eligible_from) - epoch(mine.eligible_from)) <= 1
)
select
    count(*) filter (where is_expected) as expected,
    count(*) filter (where is_built) as built,
    count(*) filter (
        where is_expected and is_built
        and ((true_to is null and built_to is null) or abs(epoch(true_to) - epoch(built_to)) <= 1)
    ) as exact_windows,
    count(*) filter (where is_expected and is_built) as matched,
    count(*) filter (where is_expected and is_built and reachable = is_reachable) as same_reachable,
    count(*) filter (where is_expected and is_built and is_same_reach) as same_channel_and_reason
from pairs
"""


@pytest.mark.parametrize(
    ("journey", "least"),
    [("abandoned_price_view", 0.90), ("pickup_reminder", 1.0), ("winback_inactive", 0.98)],
)
def test_journey_windows_match_the_truth_to_the_second(warehouse, journey, least):
    found = one(warehouse, ENTRIES.format(journey=journey))
    recall = found["exact_windows"] / found["expected"]
    precision = found["exact_windows"] / found["built"]
    print(f"\n{journey}: recall {recall:.4f}, precision {precision:.4f} of {found['expected']}")
    assert recall >= least
    assert precision >= least


@pytest.mark.parametrize("journey", ["abandoned_price_view", "pickup_reminder", "winback_inactive"])
def test_reachability_at_entry_is_that_of_the_truth(warehouse, journey):
    found = one(warehouse, ENTRIES.format(journey=journey))
    share = found["same_channel_and_reason"] / found["matched"]
    print(f"\n{journey}: channel and reason {share:.4f} of {found['matched']} matched entries")
    assert found["same_reachable"] == found["matched"]


def test_identity_joins_whom_the_evidence_joins_and_nobody_else(warehouse):
    found = one(
        warehouse,
        """
        with truth_ids as (
            select id_type, id_value, person_id, linkable_component
            from expected.identifiers where not shared
        ),
        held as (
            select truth_ids.*, map.customer_id
            from truth_ids
            join warehouse.marts.customer_identifiers as map using (id_type, id_value)
            where map.customer_id is not null
        ),
        built as (
            select
                count(*) as pairs,
                count(*) filter (where one_side.person_id = other.person_id) as right_pairs
            from held as one_side
            join held as other
                on one_side.customer_id = other.customer_id
                and (one_side.id_type, one_side.id_value) < (other.id_type, other.id_value)
        ),
        possible as (
            select
                count(*) as pairs,
                count(*) filter (where one_map.customer_id = other_map.customer_id) as found_pairs
            from truth_ids as one_side
            join truth_ids as other
                on one_side.person_id = other.person_id
                and one_side.linkable_component = other.linkable_component
                and (one_side.id_type, one_side.id_value) < (other.id_type, other.id_value)
            left join warehouse.marts.customer_identifiers as one_map
                on one_side.id_type = one_map.id_type and one_side.id_value = one_map.id_value
            left join warehouse.marts.customer_identifiers as other_map
                on other.id_type = other_map.id_type and other.id_value = other_map.id_value
        )
        select
            built.pairs as built, built.right_pairs,
            possible.pairs as possible, possible.found_pairs
        from built, possible
        """,
    )
    precision = found["right_pairs"] / found["built"]
    recall = found["found_pairs"] / found["possible"]
    print(
        f"\nidentity pairs: precision {precision:.4f}, recall {recall:.4f} of {found['possible']}"
    )
    assert precision >= 0.98
    assert recall >= 0.99


def test_no_customer_is_more_than_three_people(warehouse):
    found = one(
        warehouse,
        """
        select max(people) as most, count(*) filter (where people > 1) as mixed
        from (
            select map.customer_id, count(distinct truth.person_id) as people
            from warehouse.marts.customer_identifiers as map
            join expected.identifiers as truth using (id_type, id_value)
            where not truth.shared and map.customer_id is not null
            group by map.customer_id
        )
        """,
    )
    print(f"\ncustomers of several people: {found}")
    assert found["most"] <= 3


def test_test_users_are_known_and_left_out(warehouse):
    found = one(
        warehouse,
        """
        select
            count(*) filter (where persons.is_test and customers.is_test) as found,
            count(*) filter (where persons.is_test and not customers.is_test) as missed,
            count(*) filter (where not persons.is_test and customers.is_test) as wronged
        from warehouse.marts.dim_customers as customers
        join customer_people using (customer_id)
        join expected.persons as persons using (person_id)
        -- a browser nobody ever signed in on cannot be told from anybody's
        where customers.first_known_at is not null
        """,
    )
    print(f"\ntest users: {found}")
    assert found["found"] > 0
    assert found["missed"] == 0
    assert found["wronged"] == 0


@pytest.mark.parametrize(
    ("metric", "truth"),
    [
        ("orders_placed", "orders_placed"),
        ("orders_completed", "orders_completed"),
        ("payout_value", "payout_inr"),
    ],
)
def test_closed_weeks_are_exact(warehouse, metric, truth):
    found = one(
        warehouse,
        f"""
        select
            count(*) as weeks,
            count(*) filter (where kpi.value = truth.{truth}) as exact
        from expected.kpi_weekly as truth
        left join warehouse.marts.kpi_weekly as kpi
            on kpi.week_start = cast(truth.week_start as date) and kpi.metric = '{metric}'
        where kpi.is_closed
        """,
    )
    print(f"\n{metric}: {found['exact']} of {found['weeks']} closed weeks exact")
    assert found["exact"] == found["weeks"] > 10


def test_ga4_against_the_admin_panel_is_exact_every_day(warehouse):
    found = one(
        warehouse,
        """
        select
            count(*) as days,
            count(*) filter (
                where
                    built.admin_orders = truth.admin_orders
                    and built.ga4_order_events = truth.ga_order_events
                    and built.ga4_orders_distinct = truth.ga_orders_distinct
            ) as exact,
            (select count(*) from warehouse.marts.ga4_admin_daily) as built
        from expected.ga_vs_admin_daily as truth
        left join warehouse.marts.ga4_admin_daily as built on built.date = cast(truth.date as date)
        """,
    )
    print(f"\nGA4 against the admin panel: {found}")
    assert found["exact"] == found["days"] == found["built"]


def test_repeat_and_loyal_rates_are_those_of_the_truth(warehouse):
    found = one(
        warehouse,
        """
        select
            avg(case when completed_orders >= 2 then 1.0 else 0 end) as repeat_rate,
            truth.repeat_customer_rate,
            loyal.rate as loyal_rate,
            truth.loyal_customer_rate_365d,
            count(*) as customers,
            truth.customers as expected
        from warehouse.marts.dim_customers, expected.kpi_totals as truth,
            (
                select avg(case when orders >= 4 then 1.0 else 0 end) as rate
                from (
                    select count(*) as orders
                    from warehouse.marts.fct_orders
                    where
                        not is_test and status = 'completed'
                        and completed_at > timestamp '2026-10-31 18:30:00' - interval 365 day
                    group by customer_id
                )
            ) as loyal
        where not is_test and completed_orders >= 1
        group by all
        """,
    )
    print(f"\nrates: {found}")
    assert found["customers"] == found["expected"]
    assert abs(found["repeat_rate"] - found["repeat_customer_rate"]) < 1e-3
    assert abs(found["loyal_rate"] - found["loyal_customer_rate_365d"]) < 1e-3


def test_the_activation_rate_is_the_truths_where_first_sight_is_known(warehouse):
    """Who was activated is who completed an order within 30 days of first sight.

    A sixth of the people left no identifier anywhere, and others were seen before what the sources still hold: their
    first sight is nowhere in the data. So the rate of everybody takes it from the truth, and people whose every trace
    could be seen are compared without it.
    """
    found = one(
        warehouse,
        """
        with judged as (
            select
                persons.fully_observable,
                -- one whose traces nothing links is several customers
                coalesce(bool_or(customers.is_activated), false) as is_activated,
                coalesce(
                    min(customers.first_completed_at)
                    <= cast(persons.first_seen_at as timestamp) + interval 30 day,
                    false
                ) as is_truly_activated
            from expected.persons as persons
            left join customer_people as people using (person_id)
            left join warehouse.marts.dim_customers as customers using (customer_id)
            where
                not persons.is_test
                and persons.first_seen_at <= timestamptz '2026-10-31 18:30:00+00' - interval 30 day
            group by persons.person_id, persons.fully_observable, persons.first_seen_at
        )
        select
            avg(case when is_truly_activated then 1.0 else 0 end) as rate,
            (select activation_rate_30d from expected.kpi_totals) as expected,
            count(*) filter (where fully_observable) as observable,
            count(*) filter (where fully_observable and is_activated) as activated,
            count(*) filter (where fully_observable and is_activated = is_truly_activated) as alike
        from judged
        """,
    )
    print(f"\nactivation: {found}")
    assert abs(found["rate"] - found["expected"]) < 1e-3
    assert found["alike"] == found["observable"] > 400
    assert found["activated"] > 100


def test_every_entry_is_accounted_for(warehouse):
    """Each step that came due has one decision; each due step of each entry is there."""
    found = one(
        warehouse,
        """
        with due as (
            select count(*) as steps
            from warehouse.marts.journey_entries as entries
            join warehouse.marts.journey_steps as steps using (journey_key)
            where
                entries.eligible_from + to_minutes(steps.delay_minutes)
                <= timestamp '2026-10-31 18:30:00'
        )
        select due.steps, count(*) as decisions, count(distinct intent_key) as intents
        from warehouse.marts.journey_decisions, due
        group by due.steps
        """,
    )
    assert found["decisions"] == found["intents"] == found["steps"]
