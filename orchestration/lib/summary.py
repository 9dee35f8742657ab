"""What happened, in plain words, read from the published copy."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import duckdb

from orchestration.lib.warehouse import as_sql_timestamp, open_published

# The largest; `lifecycle segments list` has all.
SHOWN_SEGMENTS = 8
_CUSTOMERS = "marts.dim_customers where not is_test"


def describe_tick(published: Path, as_of: datetime) -> Iterator[str]:
    """Yield a run's story in lines: sent, held and skipped by reason, at this run's moment."""
    moment = as_sql_timestamp(as_of)
    with open_published(published) as connection:
        rows = connection.execute(
            "select outcome, reason, count(*) from marts.journey_decisions "
            f"where decided_at = timestamp '{moment}' group by all order by 1, 3 desc"
        ).fetchall()
    for outcome in ("sent", "planned", "ghost", "held", "skipped"):
        counted = [(reason, count) for found, reason, count in rows if found == outcome]
        if counted:
            parts = ", ".join(f"{reason.replace('_', ' ')} {count}" for reason, count in counted)
            yield f"{outcome:8} {sum(count for _, count in counted):5}   ({parts})"
    if not rows:
        yield "nothing was due"


def describe_state(published: Path, since: datetime, until: datetime) -> Iterator[str]:
    """Yield the state of the world and what our messages of [since, until] led to."""
    window = f"sent_at between timestamp '{as_sql_timestamp(since)}' and timestamp '{as_sql_timestamp(until)}'"
    with open_published(published) as connection:
        people = _one(connection, f"select count(*) from {_CUSTOMERS}")
        yield f"customers   {people:,}"
        yield from _list(
            connection,
            "stages",
            f"select coalesce(lifecycle_stage, 'no activity'), count(*) from {_CUSTOMERS} group by 1 order by 2 desc",
        )
        yield from _list(
            connection,
            "segments",
            f"select key, size from marts.segments where size > 0 order by size desc limit {SHOWN_SEGMENTS}",
        )
        yield from _list(
            connection,
            "journeys",
            "select journey_key, count(*) from marts.journey_entries where exited_at is null group by 1 order by 1",
        )
        yield from _list(
            connection,
            "messages",
            f"""
            select * from (values
                ('sent', (select count(*) from marts.messages where tool = 'own' and {window})),
                ('delivered', (select count(delivered_at) from marts.messages where tool = 'own' and {window})),
                ('read or opened', (
                    select count(coalesce(read_at, opened_at)) from marts.messages where tool = 'own' and {window}
                )),
                ('clicked', (select count(clicked_at) from marts.messages where tool = 'own' and {window})),
                ('opted out', (select count(opted_out_at) from marts.messages where tool = 'own' and {window})),
                ('orders that followed', (
                    select count(distinct orders.order_id)
                    from marts.fct_orders as orders
                    inner join marts.messages on orders.customer_id = messages.customer_id
                    where messages.tool = 'own' and {window}
                        and orders.placed_at > messages.sent_at
                        and orders.placed_at <= messages.sent_at + interval 3 day
                ))
            )
            """,
        )


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def _list(connection: duckdb.DuckDBPyConnection, title: str, query: str) -> Iterator[str]:
    rows = connection.execute(query).fetchall()
    parts = " · ".join(f"{str(name).replace('_', ' ')} {count:,}" for name, count in rows)
    yield f"{title:11} {parts or 'none'}"
