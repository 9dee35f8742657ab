"""The RFM names against a published table: the same macro, the table's own ranges and cuts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from tests.dbt_project.building import PROJECT, run_dbt

AS_OF = datetime(2006, 12, 31, tzinfo=UTC)
COUNTED = """
    select rfm_segment, count(*) as customers, sum(frequency) as orders, sum(monetary) as revenue
    from ({{{{ rfm_segments('customers', 'ranges', cut='{cut}') }}}}) as named group by rfm_segment
"""


def shown(warehouse: Path, query: str) -> list[dict]:
    """The rows of a query with the project's macros in it."""
    report = run_dbt(
        warehouse,
        *("show", "--inline", query, "--limit", "-1", "--output", "json", "--quiet"),
        as_of=AS_OF,
    )
    return json.loads(report.output[report.output.index("{") :])["show"]


@pytest.fixture
def published(shared_data: Path, tmp_path: Path) -> tuple[Path, dict]:
    """A warehouse with the published orders and ranges, and what was published about them."""
    folder = shared_data / "rfm_r"
    expected = json.loads((folder / "expected_segments.json").read_text("utf-8"))
    warehouse = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(
            """
            create table customers as
            select
                customer_id,
                date_diff('day', max(order_date), cast(? as date)) as recency_days,
                count(*) as frequency,
                sum(revenue) as monetary
            from read_csv(?)
            group by customer_id
            """,
            [expected["analysis_date"], str(folder / "rfm_data_orders.csv")],
        )
        connection.execute(
            """
            create table ranges (
                position integer, rfm_segment varchar, recency_from integer, recency_to integer,
                frequency_from integer, frequency_to integer, monetary_from integer, monetary_to integer
            )
            """
        )
        for position, bound in enumerate(expected["bounds"], start=1):
            connection.execute(
                "insert into ranges values (?, ?, ?, ?, ?, ?, ?, ?)", [position, *bound.values()]
            )
    return warehouse, expected


def test_quantile_cuts_reproduce_the_published_table(published):
    warehouse, expected = published
    rows = shown(warehouse, COUNTED.format(cut="quantile"))
    assert {
        row["rfm_segment"]: [row["customers"], int(row["orders"]), int(row["revenue"])]
        for row in rows
    } == expected["published"]


def test_rank_cuts_make_five_equal_groups_whatever_the_ties(published):
    warehouse, expected = published
    query = """
        select frequency_score, count(*) as customers
        from ({{ rfm_segments('customers', 'ranges') }}) as named group by frequency_score
    """
    sizes = {row["frequency_score"]: row["customers"] for row in shown(warehouse, query)}
    assert sizes == dict.fromkeys(range(1, 6), expected["customers"] // 5)


def test_every_score_has_a_name_and_every_name_a_segment():
    with duckdb.connect() as connection:
        connection.execute(
            "create table ranges as from read_csv(?)", [str(PROJECT / "seeds" / "rfm_ranges.csv")]
        )
        named = connection.execute(
            """
            select first(rfm_segment order by position)
            from range(1, 6) as recency(recency_score), range(1, 6) as frequency(frequency_score),
                range(1, 6) as monetary(monetary_score), ranges
            where recency_score between recency_from and recency_to
                and frequency_score between frequency_from and frequency_to
                and monetary_score between monetary_from and monetary_to
            group by recency_score, frequency_score, monetary_score
            """
        ).fetchall()
        listed = connection.execute("select rfm_segment from ranges").fetchall()
    assert len(named) == 5**3
    assert set(named) == set(listed)
    models = {path.stem for path in (PROJECT / "models" / "segments").glob("seg_rfm_*.sql")}
    assert models == {f"seg_rfm_{name}" for (name,) in listed}
