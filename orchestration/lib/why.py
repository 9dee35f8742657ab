"""Why a person got a message, or did not: the decisions about them, in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb

from orchestration.lib.warehouse import open_published


class UnknownCustomerError(Exception):
    """Nobody goes by that id, identifier or name. Look it up in `marts.customer_identifiers`."""


def find_customer(connection: duckdb.DuckDBPyConnection, wanted: str) -> str:
    """Return the customer id meant by an id, a former id, any identifier (phone, e-mail, account…) or a full name.

    Raises:
        UnknownCustomerError: Nobody or more than one person is meant.
    """
    rows = connection.execute(
        """
        select customer_id from marts.dim_customers where customer_id = $wanted
        union
        select customer_id from marts.customer_redirects where former_customer_id = $wanted
        union
        select customer_id from marts.customer_identifiers
        where lower(id_value) = lower($wanted) and customer_id is not null
        union
        select customer_id from marts.dim_customers where lower(display_name) = lower($wanted)
        """,
        {"wanted": wanted},
    ).fetchall()
    if not rows:
        raise UnknownCustomerError(
            f"nobody is known as {wanted!r}: give a customer id, an account id, a phone as +91…, "
            "an e-mail or a full name"
        )
    if len(rows) > 1:
        ids = ", ".join(sorted(row[0] for row in rows)[:5])
        raise UnknownCustomerError(
            f"{len(rows)} people are known as {wanted!r}: {ids}. Give one id."
        )
    return str(rows[0][0])


def explain(published: Path, wanted: str, journey: str | None = None) -> Iterator[str]:
    """Yield the story of one customer's journeys, newest first.

    Args:
        published: The published copy.
        wanted: Whom; see `find_customer`.
        journey: Only this journey.

    Raises:
        UnknownCustomerError: See `find_customer`, or the journey is not in the catalogue.
        WarehouseMissingError: Nothing was published yet.
    """
    with open_published(published) as connection:
        if journey is not None:
            known = [
                row[0]
                for row in connection.execute("select journey_key from marts.journeys").fetchall()
            ]
            if journey not in known:
                raise UnknownCustomerError(
                    f"no journey is called {journey!r}: there are {', '.join(sorted(known))}"
                )
        customer = find_customer(connection, wanted)
        yield from _person(connection, customer)
        yield from _entries(connection, customer, journey)


def _person(connection: duckdb.DuckDBPyConnection, customer: str) -> Iterator[str]:
    row = connection.execute(
        "select display_name, lifecycle_stage, silence, attention, last_activity_at, is_test, deleted_at "
        "from marts.dim_customers where customer_id = ?",
        [customer],
    ).fetchone()
    assert row is not None  # noqa: S101 - find_customer took the id from this table
    name, stage, silence, attention, last, is_test, deleted = row
    yield f"{name or 'Nobody has told us a name'}  ({customer})"
    facts = [f"stage {stage or 'none yet'}"]
    facts += [silence] if silence else []
    facts += [attention] if attention else []
    facts += [f"last active {last:%d %b %Y %H:%M} UTC"] if last else []
    facts += ["test user"] if is_test else []
    facts += [f"account deleted {deleted:%d %b %Y}"] if deleted else []
    yield "  " + ", ".join(facts)
    segments = connection.execute(
        "select segment_key, entered_at from marts.segment_membership where customer_id = ? order by 2",
        [customer],
    ).fetchall()
    if segments:
        yield "  in " + ", ".join(f"{key} since {at:%d %b %H:%M}" for key, at in segments)


def _entries(
    connection: duckdb.DuckDBPyConnection, customer: str, journey: str | None
) -> Iterator[str]:
    entries = connection.execute(
        """
        select
            journey_key, entry_key, eligible_from, coalesce(exited_at, eligible_to),
            exit_reason, arm, unreachable_reason
        from marts.journey_entries
        where customer_id = $customer and ($journey is null or journey_key = $journey)
        order by eligible_from desc
        limit 20
        """,
        {"customer": customer, "journey": journey},
    ).fetchall()
    if not entries:
        yield ""
        which = f"the journey {journey}" if journey else "any journey"
        yield f"Never eligible for {which}."
        return
    for key, entry, since, until, exit_reason, arm, unreachable in entries:
        yield ""
        end = (
            f"until {until:%d %b %Y %H:%M} ({(exit_reason or 'ended').replace('_', ' ')})"
            if until
            else "still"
        )
        yield f"{key} [{entry}]: eligible from {since:%d %b %Y %H:%M} UTC, {end}"
        if unreachable:
            yield f"  could not be reached when it began: {unreachable.replace('_', ' ')}"
        elif arm and arm != "treatment":
            yield f"  in the {arm.replace('_', ' ')}: deliberately not written to, to measure what the journey does"
        steps = connection.execute(
            """
            select
                decisions.step_key, decisions.due_at, decisions.outcome, decisions.reason, decisions.channel,
                decisions.lost_to, decisions.decided_at, reasons.description,
                messages.sent_at, messages.delivered_at, messages.read_at, messages.clicked_at
            from marts.journey_decisions as decisions
            left join marts.decision_reasons as reasons on decisions.reason = reasons.reason
            left join marts.messages on decisions.intent_key = messages.intent_key
            where decisions.customer_id = ? and decisions.journey_key = ? and decisions.entry_key = ?
            order by decisions.due_at
            """,
            [customer, key, entry],
        ).fetchall()
        for (
            step,
            due,
            outcome,
            reason,
            channel,
            lost_to,
            decided,
            meaning,
            sent,
            delivered,
            read,
            clicked,
        ) in steps:
            on = f" on {channel}" if channel else ""
            yield f"  {step}, due {due:%d %b %H:%M}: {outcome}{on}, {reason.replace('_', ' ')}"
            if meaning:
                yield f"      {meaning}."
            if lost_to:
                yield f"      Went first: {lost_to}"
            if sent:
                seen = [
                    f"{word} {at:%d %b %H:%M}"
                    for word, at in (
                        ("sent", sent),
                        ("delivered", delivered),
                        ("read", read),
                        ("clicked", clicked),
                    )
                    if at
                ]
                yield "      " + ", ".join(seen)
            else:
                yield f"      decided {decided:%d %b %H:%M} UTC"
