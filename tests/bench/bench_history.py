"""What an hour costs when there is much behind it: `python -m tests.bench.bench_history [PEOPLE] [FOLDER]`.

A demo world, pulled and built once: 120,000 people are 100,000 customers, 1,200,000 a million. Then its visits are
repeated into the past until there are sixty activities a customer, and two hours pass; then until there are twice as
many, and two more pass. The first hour of each finds tables that were just written and are on disk; the second, as
hours do, finds in the machine's memory what the one before it read. Repeated is what an hourly run reads of the past:
the visits' slimmest events, the visits and the activities, and they are put in the order in which a build of everything
leaves them. The raw rows are not: an hourly run reads the changed days of them alone.

Each step is a process of its own, so that its peak memory is its own. Asserts nothing. Give FOLDER to keep the world.
"""

from __future__ import annotations

from pathlib import Path

from orchestration.lib.warehouse import open_warehouse
from tests.bench.bench_hourly import START, begin, pass_hour, run
from tests.bench.timing import apart, timed

ACTIVITIES = 60
"""A customer, on average."""

DAYS_APART = 45
# The events that the repeated activities are made of, and nothing else of a visit.
EVENTS = ("session_start", "view_item", "search", "begin_checkout")
ACTIVITIES_OF_VISITS = ("session_started", "product_viewed", "searched", "checkout_started")
MARK = "~"
# What differs in a copy, which rows are copied, and the order in which a build leaves them (`cluster_by`).
COPIES = {
    "staging.stg_ga4__events": (
        {
            "event_id": "event_id || $mark",
            "session_key": "session_key || $mark",
            "occurred_at": "occurred_at - $before",
            "event_date": "cast(event_date - $before as date)",
        },
        f"event_name in {EVENTS} and session_key not like '%{MARK}%'",
        f"event_date >= date '{START:%Y-%m-%d}' - 3, hash(user_pseudo_id)",
    ),
    "intermediate.int_ga4_sessions": (
        {
            "session_key": "session_key || $mark",
            "started_at": "started_at - $before",
            "last_event_at": "last_event_at - $before",
        },
        f"session_key not like '%{MARK}%'",
        "hash(user_pseudo_id)",
    ),
    "intermediate.int_activities": (
        {
            "activity_id": "activity_id || $mark",
            "entity_id": "entity_id || $mark",
            "occurred_at": "occurred_at - $before",
        },
        f"source = 'ga4' and activity in {ACTIVITIES_OF_VISITS} and entity_id not like '%{MARK}%'",
        "hash(customer_id)",
    ),
}


def lengthen(home: Path, per_customer: int, first_copy: int) -> int:
    """Repeat visits into the past until customers have so many activities; returns the number of the last copy."""
    label = f"{per_customer} activities a customer"
    with timed(label), open_warehouse(home / "warehouse.duckdb") as connection:
        _, where, _ = COPIES["intermediate.int_activities"]
        customers, held, in_a_copy = connection.execute(
            "select (select count(*) from intermediate.int_customers), count(*),"
            f" count(*) filter (where {where}) from intermediate.int_activities"
        ).fetchone() or (0, 0, 0)
        last_copy = first_copy + max(0, round((customers * per_customer - held) / in_a_copy)) - 1
        for copy in range(first_copy, last_copy + 1):
            mark, before = f"'{MARK}{copy}'", f"interval {copy * DAYS_APART} day"
            for table, (columns, where, _) in COPIES.items():
                copied = ", ".join(f"{value} as {name}" for name, value in columns.items())
                copied = copied.replace("$mark", mark).replace("$before", before)
                connection.execute(
                    f"insert into {table} select * replace ({copied}) from {table} where {where}"
                )
        for table, (_, _, order) in COPIES.items():
            schema, name = table.split(".")
            connection.execute(
                f"create table {schema}.in_order as select * from {table} order by {order}"
            )
            connection.execute(f"drop table {table}")
            connection.execute(f"alter table {schema}.in_order rename to {name}")
    return last_copy


def main(people: int, home: Path) -> None:
    """Print what each step took."""
    if not (home / "warehouse.duckdb").exists():
        begin(people, home)
    copies = 0
    for number, per_customer in enumerate((ACTIVITIES, 2 * ACTIVITIES)):
        copies = apart(lengthen, home, per_customer, copies + 1)
        for hour in (2 * number + 1, 2 * number + 2):
            pass_hour(home, hour)


if __name__ == "__main__":
    run(main, 120_000)
