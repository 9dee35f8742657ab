"""Late, doubled and corrected truth: what hourly runs arrive at is what building everything anew gives.

Every table of the warehouse is compared, so a model that turns incremental is covered the day it does.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from orchestration.demo.world import World
from orchestration.lib import builds
from orchestration.lib.builds import plan_build, record_build
from orchestration.lib.dbt import DbtProject
from orchestration.lib.ledger_pull import CHANGES_BY
from orchestration.lib.warehouse import open_warehouse
from orchestration.sources.admin.tables import ADMIN_TABLES
from orchestration.sources.crm.tables import CRM_TABLES
from orchestration.sources.landing import note_change, note_units
from tests.dbt_project.worlds import AS_OF, known_world, pull_world

pytestmark = [pytest.mark.usefixtures("dbt_in_process"), pytest.mark.filterwarnings("ignore")]

ZONE = "Asia/Kolkata"
BUILT = (
    "staging",
    "intermediate",
    "marts",
    "segments",
    "journeys",
    "decisions",
)
# How they came about is what they tell; everything else is a function of the facts and the moment.
TELLS_OF_THE_RUN = {
    "intermediate.int_touched_visitors",
    "intermediate.int_touched_devices",
    "intermediate.int_touched_visits",
    "intermediate.int_touched_sessions",
    "intermediate.int_touched_deals",
    "intermediate.int_touched_owners",
    "intermediate.int_touched_customers",
    "intermediate.int_touched_consents",
    "intermediate.int_touched_habits",
    "intermediate.int_touched_members",
    "intermediate.int_touched_segments",
    "intermediate.int_touched_messages",
    "intermediate.int_touched_entries",
    "intermediate.int_touched_readers",
    "intermediate.int_touched_reader_visits",
    "staging.stg_crm__changed_entries",
    "staging.stg_crm__changed_messages",
    "intermediate.int_touched_evidence",
    "intermediate.int_touched_identifiers",
    "intermediate.int_touched_mappings",
    "intermediate.int_touched_phones",
}

# With a handful of rows, whatever the size of the company.
COMPARES_EVERY_PAIR = {
    "dim_customers": "the one row of everybody's best hour",
    "int_addresses": "whether there are push tokens",
    "int_consent_statements": "two purposes",
    "int_open_steps": "kill switches",
    "int_volume_tiers": "the seed of tiers",
}

# On tables of a row or a few a customer, where it saves little.
SIFTS_LATE = {
    "int_consent_statements": "the first address is a phone or an e-mail",
    "int_entry_arms": "entries of ours and the older tool's, joined",
    "int_messages_before": "our own messages, a view of sends and receipts",
    "int_segment_members": "a view of all segments",
    "int_step_candidates": "entries of ours and the older tool's, joined",
    "journey_winback_inactive": "inactive before the next activity",
    "seg_bad_experience": "paid less than quoted",
    "seg_inactive_180": "the last activity is so old",
    "seg_inactive_60": "the last activity is so old",
    "seg_inactive_90": "the last activity is so old",
    "seg_lead_cold": "the last activity is so old",
    "seg_order_not_completed": "the order is so old",
    "seg_silent": "a view of all segments",
    "seg_uninstalled": "reachable on one of three channels",
}

Connection = duckdb.DuckDBPyConnection
Mutation = Callable[[Connection, random.Random], None]


def _one(connection: Connection, dice: random.Random, query: str) -> tuple[object, ...]:
    rows = connection.execute(f"{query} order by all").fetchall()
    return dice.choice(rows)


def _change_ga4(connection: Connection, dice: random.Random, statement: str) -> None:
    """Run a statement on the rows of one export table, `$table`, and note it as a pull does."""
    (table,) = _one(
        connection,
        dice,
        "select distinct _table from raw.ga4_events where _table_date > date '2026-09-20'",
    )
    connection.execute(statement.replace("$table", f"'{table}'"))
    note_change(connection, "ga4", "ga4_events", str(table))


def ga4_rows_come_late(connection: Connection, dice: random.Random) -> None:
    """Rows of a device appear that tell of a new visit, some of a visit that was known."""
    for _ in range(3):
        seconds, visit = dice.randint(1, 4000), dice.choice(["", "9"])
        _change_ga4(
            connection,
            dice,
            f"""
            insert into raw.ga4_events
            select * replace (
                event_timestamp + {seconds * 1_000_000} as event_timestamp,
                list_transform(event_params, lambda param: case
                    when param.key = 'ga_session_id' then struct_pack(key := param.key, value := struct_pack(
                        string_value := param.value.string_value,
                        int_value := cast('{visit}' || param.value.int_value as bigint),
                        float_value := param.value.float_value,
                        double_value := param.value.double_value
                    ))
                    else param end) as event_params
            )
            from raw.ga4_events where _table = $table using sample 3 rows (reservoir, {seconds})
            """,
        )


def ga4_rows_are_doubled(connection: Connection, dice: random.Random) -> None:
    """A day is exported with a third of its rows twice."""
    _change_ga4(
        connection,
        dice,
        "insert into raw.ga4_events select * from raw.ga4_events"
        " where _table = $table and event_timestamp % 3 = 0",
    )


def ga4_rows_vanish(connection: Connection, dice: random.Random) -> None:
    """A re-export lacks a quarter of a day."""
    part = dice.randint(0, 3)
    _change_ga4(
        connection,
        dice,
        "delete from raw.ga4_events"
        f" where _table = $table and (event_timestamp // 1000000) % 4 = {part}",
    )


def ga4_learns_who_it_was(connection: Connection, dice: random.Random) -> None:
    """A device turns out to be signed in: people join, and on a shared one they part."""
    (user,) = _one(connection, dice, "select user_id from raw.admin_users")
    (device,) = _one(
        connection,
        dice,
        "select distinct user_pseudo_id from raw.ga4_events where user_pseudo_id is not null",
    )
    (table,) = _one(
        connection,
        dice,
        f"select distinct _table from raw.ga4_events where user_pseudo_id = '{device}'",
    )
    connection.execute(
        "update raw.ga4_events set user_id = ? where user_pseudo_id = ? and _table = ?",
        [str(user), device, table],
    )
    note_change(connection, "ga4", "ga4_events", str(table))


def ga4_day_becomes_final(connection: Connection, dice: random.Random) -> None:
    """The daily table of a date arrives beside the provisional one, and replaces it."""
    days = connection.execute(
        "select distinct _table from raw.ga4_events where _is_intraday"
    ).fetchall()
    for (table,) in days:
        daily = table.replace("intraday_", "")
        connection.execute(
            "insert into raw.ga4_events select * replace (false as _is_intraday, ? as _table)"
            " from raw.ga4_events where _table = ? and event_timestamp % 9 <> 0",
            [daily, table],
        )
        note_change(connection, "ga4", "ga4_events", daily)


def panel_corrects_orders(connection: Connection, dice: random.Random) -> None:
    """An order is completed late, one is returned, one was somebody else's, one is gone."""
    order, other, moved, gone = (
        _one(connection, dice, "select order_id from raw.admin_orders")[0] for _ in range(4)
    )
    highest = _one(connection, dice, "select max(id) from raw.admin_order_status_history")[0]
    assert isinstance(highest, int)
    for offset, (which, status) in enumerate([(order, "completed"), (other, "returned")], 1):
        connection.execute(
            "insert into raw.admin_order_status_history"
            " select ?, order_id, ?, max(changed_at), 'agent' from raw.admin_order_status_history"
            " where order_id = ? group by order_id",
            [highest + offset, status, which],
        )
        connection.execute(
            "update raw.admin_orders set status = ? where order_id = ?", [status, which]
        )
    (user,) = _one(connection, dice, "select user_id from raw.admin_users")
    connection.execute("update raw.admin_orders set user_id = ? where order_id = ?", [user, moved])
    for table in ("admin_orders", "admin_order_status_history", "admin_pickups"):
        connection.execute(f"delete from raw.{table} where order_id = ?", [gone])


def panel_corrects_what_orders_led_to(connection: Connection, dice: random.Random) -> None:
    """Pickups, payouts, documents and ratings are corrected, turn out to be another order's, and go."""
    for table, correction in (
        ("admin_pickups", "status = if(status = 'failed', 'completed', 'failed')"),
        ("admin_payouts", "amount = amount + 1"),
        ("admin_documents", "doc_type = if(doc_type = 'invoice', 'id_proof', 'invoice')"),
        ("admin_feedback", "rating = 6 - rating"),
    ):
        corrected, moved, gone = (
            _one(connection, dice, f"select order_id from raw.{table}")[0] for _ in range(3)
        )
        (order,) = _one(connection, dice, "select order_id from raw.admin_orders")
        connection.execute(f"update raw.{table} set {correction} where order_id = ?", [corrected])
        connection.execute(
            f"update raw.{table} set order_id = ? where order_id = ?", [order, moved]
        )
        connection.execute(f"delete from raw.{table} where order_id = ?", [gone])


def panel_tells_of_the_future(connection: Connection, dice: random.Random) -> None:
    """Some of what the panel tells is to come: before the next run, or after it."""
    ahead = (
        "strftime((select as_of from state.last_build) + to_minutes(330 + ?), '%Y-%m-%d %H:%M:%S')"
    )
    for table, moment in (
        ("admin_orders", "created_at"),
        ("admin_orders", "completed_at"),
        ("admin_order_status_history", "changed_at"),
        ("admin_pickups", "created_at"),
        ("admin_pickups", "updated_at"),
        ("admin_payouts", "paid_at"),
        ("admin_documents", "uploaded_at"),
        ("admin_feedback", "created_at"),
        ("admin_quotes", "created_at"),
        ("admin_users", "created_at"),
        ("admin_users", "deleted_at"),
    ):
        for minutes in (30, 90, 900):
            (row,) = _one(connection, dice, f"select rowid from raw.{table}")
            connection.execute(
                f"update raw.{table} set {moment} = {ahead} where rowid = ?", [minutes, row]
            )
    # a run may fall between what the history says and the order's own clock
    for _ in range(3):
        order, status = _one(
            connection, dice, "select order_id, status from raw.admin_order_status_history"
        )
        connection.execute(
            f"update raw.admin_order_status_history set changed_at = {ahead} where order_id = ? and status = ?",
            [55, order, status],
        )
        connection.execute(
            f"update raw.admin_orders set status = ?, updated_at = {ahead} where order_id = ?",
            [status, 62, order],
        )


def panel_keeps_push_tokens(connection: Connection, dice: random.Random) -> None:
    """The shop begins to keep push tokens, or it no longer does."""
    (known,) = _one(connection, dice, "select count(*) from raw.admin_push_tokens")
    connection.execute("delete from raw.admin_push_tokens")
    for minutes in () if known else (-600, -60, 30, 900):
        (user,) = _one(connection, dice, "select user_id from raw.admin_users")
        connection.execute(
            "insert into raw.admin_push_tokens by name select ? as user_id, 'T' || ? as token, 'android' as platform,"
            " strftime(as_of + to_minutes(330 + ?), '%Y-%m-%d %H:%M:%S') as updated_at from state.last_build",
            [user, minutes, minutes],
        )


def panel_corrects_quotes(connection: Connection, dice: random.Random) -> None:
    """Prices and devices of quotes change: they pair with other events, and belong to others."""
    for _ in range(5):
        (quote,) = _one(connection, dice, "select quote_id from raw.admin_quotes")
        (device,) = _one(
            connection,
            dice,
            "select distinct ga_client_id from raw.admin_quotes where ga_client_id is not null",
        )
        connection.execute(
            "update raw.admin_quotes set quoted_price = quoted_price + ? where quote_id = ?",
            [dice.randint(0, 2), quote],
        )
        connection.execute(
            "update raw.admin_quotes set ga_client_id = ? where quote_id = ?",
            [dice.choice([device, None]), quote],
        )


def panel_corrects_people(connection: Connection, dice: random.Random) -> None:
    """Somebody takes another number, a family shares one, somebody moves, an account is gone."""
    (first,), (second,), (moved,), (gone,) = (
        _one(connection, dice, "select user_id from raw.admin_users") for _ in range(4)
    )
    (city,) = _one(connection, dice, "select distinct city from raw.admin_users where city <> ''")
    connection.execute("update raw.admin_users set city = ? where user_id = ?", [city, moved])
    connection.execute(
        "update raw.admin_users set phone = (select phone from raw.admin_users where user_id = ?)"
        " where user_id = ?",
        [first, second],
    )
    (name,) = _one(connection, dice, "select name from raw.admin_users where name is not null")
    connection.execute("update raw.admin_users set name = ? where user_id = ?", [name, second])
    connection.execute("delete from raw.admin_users where user_id = ?", [gone])


def crm_corrects_contacts(connection: Connection, dice: random.Random) -> None:
    """A contact gets another's e-mail address, one another's account, some other names, one is to come, one is gone."""
    (first,), (second,), (later,), (gone,) = (
        _one(connection, dice, "select contact_id from raw.crm_contacts") for _ in range(4)
    )
    connection.execute(
        "update raw.crm_contacts set email = (select email from raw.crm_contacts"
        " where contact_id = ?) where contact_id = ?",
        [first, second],
    )
    (user,) = _one(connection, dice, "select user_id from raw.admin_users")
    connection.execute(
        "update raw.crm_contacts set external_id = ? where contact_id = ?", [str(user), first]
    )
    for _ in range(3):
        # said of a phone that somebody else says something of too
        (renamed,) = _one(
            connection,
            dice,
            "select contacts.contact_id from raw.crm_contacts as contacts"
            " join intermediate.int_identity_evidence as told"
            " on contacts.contact_id = told.left_value and told.right_type = 'phone'"
            " join intermediate.int_identifiers as phones"
            " on told.right_value = phones.id_value and phones.first_names > 0"
            " where contacts.external_id is null and phones.accounts > 0",
        )
        (name,) = _one(
            connection, dice, "select first_name from raw.crm_contacts where first_name is not null"
        )
        connection.execute(
            "update raw.crm_contacts set first_name = ? where contact_id = ?", [name, renamed]
        )
    connection.execute(
        "update raw.crm_contacts set created_at = (select strftime(as_of + interval 90 minute,"
        " '%Y-%m-%dT%H:%M:%SZ') from state.last_build) where contact_id = ?",
        [later],
    )
    connection.execute("delete from raw.crm_contacts where contact_id = ?", [gone])


def crm_corrects_messages(connection: Connection, dice: random.Random) -> None:
    """Receipts come late, twice and for the first time, a message goes, one was somebody else's."""
    late, doubled, gone, moved, stopped = (
        _one(connection, dice, "select message_id from raw.crm_messages")[0] for _ in range(5)
    )
    number = dice.randint(1, 10**9)
    # one id for all of them: nobody promises that two messages never share one
    for message, event in ((late, "read"), (late, "click"), (stopped, "opt_out")):
        connection.execute(
            f"insert into raw.crm_channel_events select 'L{number}', message_id, channel, ?,"
            " epoch_ms(try_cast(sent_at as timestamptz)) + 600000, null, null"
            " from raw.crm_messages where message_id = ?",
            [event, message],
        )
    connection.execute(
        f"insert into raw.crm_channel_events select * replace ('D{number}' || event_id as event_id,"
        " ts_epoch_ms - 60000 as ts_epoch_ms) from raw.crm_channel_events where message_id = ?",
        [doubled],
    )
    connection.execute("delete from raw.crm_messages where message_id = ?", [gone])
    (contact,) = _one(connection, dice, "select contact_id from raw.crm_contacts")
    connection.execute(
        "update raw.crm_messages set contact_id = ? where message_id = ?", [contact, moved]
    )
    (entry,) = _one(connection, dice, "select entry_id from raw.crm_journey_entries")
    connection.execute(
        "update raw.crm_journey_entries set journey_key = 'other' where entry_id = ?", [entry]
    )


def ledger_tells_of_sends(connection: Connection, dice: random.Random) -> None:
    """The last run sent to some people; receipts came, some of them lie ahead of the next run."""
    people = connection.execute(
        "select customer_id from intermediate.int_customers order by 1"
    ).fetchall()
    for (customer,) in dice.sample(people, 20):
        intent = f"I{dice.randint(1, 10**12)}"
        channel = dice.choice(["whatsapp", "email"])
        connection.execute(
            "insert into raw.ledger_intents by name select ? as intent_key, 'broadcast' as journey_key,"
            " ? as entry_key, 's' as step_key, ? as customer_id, ? as channel, 'promotional' as purpose,"
            " 1 as priority, as_of as due_at, as_of as latest_useful_at, 'sent' as outcome, 'sent' as reason,"
            " as_of as run_as_of, as_of as decided_at, as_of as updated_at from state.last_build",
            [intent, intent, customer, channel],
        )
        connection.execute(
            "insert into raw.ledger_attempts by name select 'A' || ? as attempt_id, ? as intent_key,"
            " 1 as attempt_no, ? as channel, as_of as run_as_of, 'r' as claimed_by,"
            " as_of + interval 1 minute as claimed_at, 'accepted' as status, as_of as updated_at"
            " from state.last_build",
            [intent, intent, channel],
        )
        for event in dice.sample(["delivered", "read", "click"], 2):
            connection.execute(
                "insert into raw.ledger_inbound_events by name select 'E' || ? || ? as event_id,"
                " ? as channel, ? as event, ? as intent_key,"
                " as_of + to_minutes(?) as occurred_at, as_of as received_at from state.last_build",
                [intent, event, channel, event, intent, dice.randint(5, 3000)],
            )


def panel_moves_pickups(connection: Connection, dice: random.Random) -> None:
    """A pickup gets another slot, and another takes its place: reminders begin, end and are still to come."""
    connection.execute(
        "create temp table clock as select as_of + to_minutes(330) as local from state.last_build"
    )
    moment = "strftime((select local from clock) + to_minutes(?), '%Y-%m-%d %H:%M:%S')"
    for _ in range(6):
        (pickup,) = _one(connection, dice, "select pickup_id from raw.admin_pickups")
        slot, booked = dice.randint(-600, 3000), dice.randint(-90, 90)
        connection.execute(
            f"update raw.admin_pickups set slot_start = {moment}, slot_end = {moment} where pickup_id = ?",
            [slot, slot + 120, pickup],
        )
        connection.execute(
            "insert into raw.admin_pickups select * replace ("
            "(select max(pickup_id) + 1 from raw.admin_pickups) as pickup_id,"
            f" {moment} as slot_start, {moment} as slot_end, {moment} as created_at)"
            " from raw.admin_pickups where pickup_id = ?",
            [slot + 1200, slot + 1320, booked, pickup],
        )
    connection.execute("drop table clock")


def ledger_tells_of_decisions(connection: Connection, dice: random.Random) -> None:
    """Runs decided on steps, some of people by an id they had then; some of what waited came to an end."""
    connection.execute(
        "update raw.ledger_intents set outcome = ?, state = null, run_as_of = last_build.as_of"
        " from state.last_build where outcome in ('planned', 'held') and hash(intent_key) % 2 = 0",
        [dice.choice(["sent", "skipped"])],
    )
    steps = connection.execute(
        "select journey_key, entry_key, step_key, coalesce(former.id_value, steps.customer_id),"
        " due_at, latest_useful_at from decisions.int_step_candidates as steps"
        " left join intermediate.int_customer_map as former"
        " on former.id_type = 'former_customer' and steps.customer_id = former.customer_id"
        " order by former.id_value is not null desc, standing = 'open' desc, due_at desc, intent_key,"
        " former.id_value limit 200"
    ).fetchall()
    for step in dice.sample(steps, 40):
        outcome, state, hours = dice.choice(
            [
                ("planned", None, 0),
                ("planned", "claimed", 5),
                ("held", None, 0),
                ("held", None, 30),
                ("sent", None, 0),
                ("ghost", None, 5),
            ]
        )
        connection.execute(
            "insert into raw.ledger_intents by name select * from (select"
            " md5(concat_ws('|', $1, $2, $3, $4)) as intent_key, $1 as journey_key, $2 as entry_key, $3 as step_key,"
            " $4 as customer_id, $5 as due_at, $6 as latest_useful_at, $7 as outcome, $7 as reason, $8 as state,"
            " $9 as arm, 'whatsapp' as channel, 'promotional' as purpose, 1 as priority,"
            " as_of - to_hours($10) as run_as_of, as_of as decided_at, as_of as updated_at from state.last_build)"
            " where intent_key not in (select intent_key from raw.ledger_intents)",
            [*step, outcome, state, dice.choice(["treatment", "control"]), hours],
        )


def people_change_their_minds(connection: Connection, dice: random.Random) -> None:
    """Somebody opts out in the app and in again, somebody by an answer; an address is suppressed for a while."""
    users = [_one(connection, dice, "select user_id from raw.admin_users")[0] for _ in range(3)]
    for user, status, minutes in zip(
        users, ("opt_out", "opt_in", "opt_out"), (-600, -60, 90), strict=True
    ):
        connection.execute(
            "insert into raw.admin_consents by name select ? as user_id, 'whatsapp' as channel, ? as status,"
            " 'app' as source, strftime(as_of + to_minutes(330 + ?), '%Y-%m-%d %H:%M:%S') as changed_at"
            " from state.last_build",
            [user, status, minutes],
        )
        connection.execute(
            "update raw.admin_users set email_opt_in = 1 - email_opt_in, updated_at = (select"
            " strftime(as_of + to_minutes(330 + ?), '%Y-%m-%d %H:%M:%S') from state.last_build) where user_id = ?",
            [minutes, user],
        )
    for number, minutes in enumerate((-60, 240)):
        (address,) = _one(
            connection,
            dice,
            "select address from intermediate.int_addresses where address_kind = 'phone'",
        )
        connection.execute(
            "insert into raw.ledger_consent_statements by name select ? as id, ? as address, 'whatsapp' as channel,"
            " 'promotional' as purpose, 'opt_out' as status, 'inbound' as source,"
            " as_of + to_minutes(?) as stated_at, as_of as received_at from state.last_build",
            [dice.randint(1, 10**12), address, minutes],
        )
        connection.execute(
            "insert into raw.ledger_suppressions by name select ? as address, 'sms' as channel, 'all' as scope,"
            " 'bounce' as reason, as_of - interval 40 day as since, as_of + to_minutes(?) as until,"
            " as_of as updated_at from state.last_build",
            [f"{address}{'' if number else '0'}", minutes],
        )


MUTATIONS: tuple[Mutation, ...] = (
    ga4_rows_come_late,
    ga4_rows_are_doubled,
    ga4_rows_vanish,
    ga4_learns_who_it_was,
    ga4_day_becomes_final,
    panel_corrects_orders,
    panel_corrects_what_orders_led_to,
    panel_tells_of_the_future,
    panel_keeps_push_tokens,
    panel_corrects_quotes,
    panel_corrects_people,
    panel_moves_pickups,
    crm_corrects_contacts,
    crm_corrects_messages,
    ledger_tells_of_sends,
    ledger_tells_of_decisions,
    people_change_their_minds,
)
# As the pulls note it: TableSpec.changes_by.
NOTED = {
    **{spec.name: spec.changes_by for spec in CRM_TABLES if spec.changes_by},
    **{table.spec.name: table.spec.changes_by for table in ADMIN_TABLES if table.spec.changes_by},
    **{f"ledger_{table}": changes_by for table, changes_by in CHANGES_BY.items()},
}
HOURS = (1, 1, 5, 26, 24 * 31)


def _build(path: Path, target: Path, as_of, *, is_full: bool = False) -> str | None:
    """Build everything as a run does; returns why it was a full build, None when it was not."""
    with open_warehouse(path) as connection:
        plan = plan_build(connection, as_of=as_of, timezone=ZONE, is_full=is_full)
    results = DbtProject(warehouse=path, target=target).build(
        as_of=as_of, timezone=ZONE, exclude=["resource_type:test"], is_full=plan.is_full
    )
    bad = [(result.unique_id, result.message) for result in results if not result.is_good]
    assert not bad, bad
    with open_warehouse(path) as connection:
        record_build(connection, plan)
    return plan.reason


def differences(first: Path, second: Path) -> dict[str, tuple[int, int]]:
    """Tables that differ, each with how many rows only the one and only the other has."""
    found = {}
    with duckdb.connect() as connection:
        connection.execute(
            f"attach '{first}' as one (read_only); attach '{second}' as two (read_only)"
        )
        tables = connection.execute(
            "select schema_name || '.' || table_name from duckdb_tables()"
            " where database_name = 'one' and list_contains(?, schema_name)"
            " and not ends_with(table_name, '__touched') order by 1",
            [list(BUILT)],
        ).fetchall()
        assert len(tables) > 120
        for (table,) in tables:
            only = tuple(
                connection.execute(
                    f"select count(*) from (from {left}.{table} except all from {right}.{table})"
                ).fetchone()[0]  # type: ignore[index]
                for left, right in (("one", "two"), ("two", "one"))
            )
            if any(only) and table not in TELLS_OF_THE_RUN:
                found[table] = only
    return found


def slow_models(path: Path, target: Path) -> dict[str, set[str]]:
    """Models that would be slow for a million people, though not for four hundred, by what is wrong with their plans.

    `pairs`: rows are joined each with each. `late`: a sieve is tried only after its table was read. `sifts`: fine.
    """
    found: dict[str, set[str]] = {"pairs": set(), "late": set(), "sifts": set()}
    with duckdb.connect(str(path), read_only=True) as connection:
        models = list(target.glob("compiled/lifecycle/models/**/*.sql"))
        assert len(models) > 120
        for model in models:
            # as text a long plan is shown in part
            (plan,) = connection.execute(f"explain (format json) {model.read_text()}").fetchall()
            if "BLOCKWISE_NL_JOIN" in plan[1]:
                found["pairs"].add(model.stem)
            if "get_bit" in plan[1]:
                found["sifts"].add(model.stem)
            nodes = json.loads(plan[1])
            while nodes:
                node = nodes.pop()
                nodes += node["children"]
                if node["name"].strip() == "FILTER" and "get_bit" in str(node["extra_info"]):
                    found["late"].add(model.stem)
    return found


@pytest.mark.parametrize(
    ("seed", "rounds"),
    [(1, 2), *(pytest.param(seed, 4, marks=pytest.mark.soak) for seed in (2, 3, 4))],
)
def test_hourly_runs_arrive_at_what_a_full_build_gives(
    tmp_path: Path, monkeypatch, seed: int, rounds: int
):
    # more time passes here than an hourly run is let make good
    monkeypatch.setattr(builds, "CATCH_UP", timedelta(days=90))
    dice = random.Random(seed)
    demo = World.create(tmp_path / "world", people=400, seed=seed, start=AS_OF)
    path = pull_world(known_world(demo), tmp_path)
    # some of the data lies in the future of the first builds
    as_of = AS_OF - timedelta(days=4)
    assert _build(path, tmp_path / "dbt", as_of) is not None
    slow: dict[str, set[str]] = {"pairs": set(), "late": set(), "sifts": set()}
    for number in range(rounds):
        # at first nothing but time moves
        mutations = dice.sample(MUTATIONS, 12) if number else []
        with open_warehouse(path) as connection:
            for table in NOTED:
                connection.execute(f"create temp table {table} as from raw.{table}")
            for mutate in mutations:
                mutate(connection, dice)
            for table, changes_by in NOTED.items():
                note_units(connection, table, changes_by, f"temp.{table}", f"raw.{table}")
                connection.execute(f"drop table temp.{table}")
            connection.execute("update state.last_build set full_at = full_at + interval 90 day")
        as_of += timedelta(hours=dice.choice(HOURS) if number else 30)
        assert _build(path, tmp_path / "dbt", as_of) is None
        # what an hour asks is not what a full build asks
        for kind, models in slow_models(path, tmp_path / "dbt").items():
            slow[kind] |= models
        # of the same name: dbt's manifest holds it
        anew = tmp_path / "anew" / path.name
        anew.parent.mkdir(exist_ok=True)
        shutil.copy(path, anew)
        assert _build(anew, tmp_path / "dbt", as_of, is_full=True) == "it was asked for"
        names = [mutate.__name__ for mutate in mutations]
        assert differences(path, anew) == {}, (number, as_of, names)
    slow["pairs"] |= slow_models(path, tmp_path / "dbt")["pairs"]
    assert slow["pairs"] == set(COMPARES_EVERY_PAIR)
    # which of them depends on what DuckDB knows of the values; views it never sifts
    assert {"int_segment_members", "seg_silent"} <= slow["late"] <= set(SIFTS_LATE)
    assert len(slow["sifts"]) > 90
    assert best_hours(path) > {"customer", "everyone", "prior"}
    assert forgotten_evidence(path) == (0, 0)
    assert torn_evidence(path) == 0


def best_hours(path: Path) -> set[str]:
    """Who has a best hour: were it nobody, the comparison would say nothing of them."""
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute(
            "select kind from intermediate.int_common_hours"
            " union select 'customer' from intermediate.int_best_hours"
        ).fetchall()
    return {row[0] for row in rows}


def forgotten_evidence(path: Path) -> tuple[int, int]:
    """How much evidence of now the edges lack or call gone, and how much gone evidence still joins somebody."""
    with duckdb.connect(str(path), read_only=True) as connection:
        (gone,) = connection.execute(
            "select count(*) from intermediate.int_identity_edges where blocked_reason = 'gone'"
        ).fetchone() or (0,)
        assert gone > 0  # rows of sources went in every round
        return connection.execute(  # type: ignore[return-value]
            """
            select
                count(*) filter (where evidence.evidence_id is not null and (
                    edges.evidence_id is null or edges.blocked_reason is not distinct from 'gone')),
                count(*) filter (where edges.is_active and evidence.evidence_id is null)
            from intermediate.int_identity_edges as edges
            full join intermediate.int_identity_evidence as evidence using (evidence_id)
            """
        ).fetchone()


def torn_evidence(path: Path) -> int:
    """How much believed evidence has its ends with different customers, though nobody waits to be merged."""
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute(
            """
            select count(*)
            from intermediate.int_identity_edges as edges
            left join intermediate.int_customer_map as one
                on edges.left_type = one.id_type and edges.left_value = one.id_value
            left join intermediate.int_customer_map as other
                on edges.right_type = other.id_type and edges.right_value = other.id_value
            where
                edges.is_active and one.customer_id is distinct from other.customer_id
                and one.is_waiting is not true
            """
        ).fetchall()
    return rows[0][0]
