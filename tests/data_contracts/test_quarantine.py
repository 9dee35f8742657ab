from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_contracts import quarantine
from data_contracts.clocks import naive_utc
from data_contracts.loader import load_contracts
from data_contracts.models import Contract
from data_contracts.quarantine import (
    ensure_quarantine_tables,
    row_key,
    row_key_sql,
)
from data_contracts.validator import ContractResult, validate, validate_all
from tests.data_contracts.contracts import contract
from tests.data_contracts.raw_tables import contract_of, create_table

AS_OF = datetime(2026, 10, 31, 18, 30, tzinfo=UTC)
Warehouse = duckdb.DuckDBPyConnection
VALUES = st.one_of(st.none(), st.text(max_size=8), st.sampled_from(["", "~", "1:", "0:", "a~"]))
# DuckDB holds text without NUL and without half surrogates, as UTF-8 does.
TEXTS = VALUES.filter(
    lambda value: (
        value is None or not any(char == "\0" or 0xD800 <= ord(char) <= 0xDFFF for char in value)
    )
)


@pytest.fixture(scope="module")
def shared_warehouse():
    with duckdb.connect(":memory:") as warehouse:
        yield warehouse


def key_in_sql(warehouse: Warehouse, values: list[str | None]) -> str:
    names = [f"c{position}" for position in range(len(values))]
    columns = ", ".join(f"cast(? as varchar) as {name}" for name in names)
    row = warehouse.execute(f"select {row_key_sql(names)} from (select {columns})", values)
    found = row.fetchone()
    assert found is not None
    return found[0]


@settings(max_examples=150)
@given(values=st.lists(TEXTS, min_size=1, max_size=4))
def test_the_key_in_sql_is_the_key_in_python(shared_warehouse: Warehouse, values: list[str | None]):
    assert key_in_sql(shared_warehouse, values) == row_key(values)


@settings(max_examples=300)
@given(
    pair=st.integers(1, 4).flatmap(
        lambda size: st.tuples(*[st.lists(TEXTS, min_size=size, max_size=size)] * 2)
    )
)
def test_two_rows_share_a_key_only_if_they_are_equal(pair: tuple[list, list]):
    left, right = pair
    assert (row_key(left) == row_key(right)) == (left == right)


def test_the_key_is_the_same_in_every_version():
    # Stored in warehouses: a change here would empty and refill every quarantine.
    assert row_key(["CK200001", None, ""]) == "62aec9989eb52a7070e4e75cf09372ae"


def test_a_key_can_name_the_relation():
    assert row_key_sql(["a"], relation="events") == (
        'md5(coalesce(cast(length(cast("events"."a" as varchar)) as varchar) || \':\' || '
        'cast("events"."a" as varchar), \'~\'))'
    )


def test_a_key_needs_a_column():
    with pytest.raises(ValueError, match="at least one column"):
        row_key_sql([])


RULES: dict[str, Any] = {
    "warning_above": 0,
    "critical_above": "50%",
    "rules": [
        {"reason": "no_thing_id", "when": "thing_id is null", "description": "no id"},
        {"reason": "unreadable_time", "when": "{made_at} is null", "description": "no time"},
    ],
}


def things(connection: Warehouse, promised: Contract, *rows: tuple) -> None:
    create_table(connection, promised)
    connection.executemany("insert into raw.things values (?, ?, ?, ?, ?)", list(rows))


GOOD = (1, "a", 1.0, None, "2026-10-31 12:00:00")
NO_ID = (None, "a", 1.0, "98123 45678", "2026-10-31 12:00:00")
NO_TIME = (2, "a", 1.0, None, "soon")
NEITHER = (None, "a", 1.0, None, None)


def lines(connection: Warehouse) -> dict[str, list[Any]]:
    rows = connection.execute(
        "select row_key, reason, row_json, first_seen_at from quarantine.things order by row_key"
    ).fetchall()
    return {row[0]: list(row[1:]) for row in rows}


def run(connection: Warehouse, promised: Contract, hours: int = 0) -> ContractResult:
    return validate(connection, promised, as_of=AS_OF + timedelta(hours=hours))


def kept_by_staging(connection: Warehouse, promised: Contract) -> int:
    key = row_key_sql(promised.row_key_columns, relation="raw_rows")
    row = connection.execute(
        f"select count(*) from {promised.table} as raw_rows where not exists "
        f"(select 1 from quarantine.{promised.name} as bad where bad.row_key = {key})"
    ).fetchone()
    assert row is not None
    return row[0]


def test_a_bad_row_is_set_apart_with_its_first_reason_and_nothing_is_lost(connection: Warehouse):
    promised = contract(quarantine=RULES)
    things(connection, promised, GOOD, NO_ID, NO_TIME, NEITHER)
    result = run(connection, promised)
    assert result.quarantined == {"no_thing_id": 2, "unreadable_time": 1}
    assert sorted(line[0] for line in lines(connection).values()) == [
        "no_thing_id",
        "no_thing_id",
        "unreadable_time",
    ]
    assert {line[2] for line in lines(connection).values()} == {naive_utc(AS_OF)}
    stored = [json.loads(line[1]) for line in lines(connection).values()]
    assert {"thing_id": 2, "kind": "a", "price": 1.0, "phone": None, "made_at": "soon"} in stored
    assert connection.execute("select count(*) from raw.things").fetchone() == (4,)
    assert kept_by_staging(connection, promised) == 1


def test_bad_rows_do_not_count_against_the_rules_for_good_ones(connection: Warehouse):
    promised = contract(
        quarantine=RULES,
        key=["thing_id"],
        columns={"kind": {"allowed": {"values": ["a"], "critical_above": 0}}},
    )
    things(connection, promised, GOOD, (None, "x", 1.0, None, None), (None, "y", 1.0, None, None))
    result = run(connection, promised)
    assert [check.name for check in (*result.blocking, *result.warnings)] == ["quarantined_rows"]


def test_exact_duplicates_of_a_bad_row_are_one_line(connection: Warehouse):
    promised = contract(quarantine=RULES)
    things(connection, promised, GOOD, NO_ID, NO_ID)
    assert run(connection, promised).quarantined["no_thing_id"] == 1
    assert kept_by_staging(connection, promised) == 1


def test_looking_again_changes_nothing(connection: Warehouse):
    promised = contract(quarantine=RULES)
    things(connection, promised, GOOD, NO_ID, NO_TIME)
    run(connection, promised)
    first = lines(connection)
    run(connection, promised, hours=1)
    assert lines(connection) == first


def test_a_row_that_was_corrected_or_vanished_leaves(connection: Warehouse):
    promised = contract(quarantine=RULES)
    things(connection, promised, GOOD, NO_ID, NO_TIME, NEITHER)
    run(connection, promised)
    connection.execute("update raw.things set thing_id = 9 where phone is not null")
    connection.execute("delete from raw.things where made_at is null")
    assert run(connection, promised, hours=1).quarantined == {
        "no_thing_id": 0,
        "unreadable_time": 1,
    }
    assert kept_by_staging(connection, promised) == 2
    connection.execute("update raw.things set made_at = '2026-10-31 13:00:00' where thing_id = 2")
    assert run(connection, promised, hours=2).quarantined["unreadable_time"] == 0
    assert lines(connection) == {}


def test_a_line_keeps_its_first_sight_when_its_reason_changes(connection: Warehouse):
    promised = contract(quarantine=RULES)
    things(connection, promised, NO_ID)
    run(connection, promised)
    renamed = [{**rule, "reason": "nameless"} for rule in RULES["rules"][:1]]
    run(connection, contract(quarantine={**RULES, "rules": renamed}), hours=5)
    assert [line[0::2] for line in lines(connection).values()] == [["nameless", naive_utc(AS_OF)]]


def test_the_tables_are_there_before_anything_is_bad(connection: Warehouse):
    contracts = load_contracts()
    ensure_quarantine_tables(connection, contracts)
    ensure_quarantine_tables(connection, contracts)
    names = connection.execute(
        "select table_name from information_schema.tables where table_schema = 'quarantine'"
    ).fetchall()
    expected = {promised.name for promised in contracts if promised.quarantine}
    assert {name for (name,) in names} == expected
    assert {"ga4_events", "admin_orders", "crm_channel_events"} <= expected


def test_a_missing_column_leaves_the_quarantine_as_it_was(connection: Warehouse):
    promised = contract(quarantine=RULES)
    things(connection, promised, GOOD, NO_ID)
    run(connection, promised)
    connection.execute("alter table raw.things drop column thing_id")
    result = run(connection, promised, hours=1)
    assert result.quarantined == {"no_thing_id": 1, "unreadable_time": 0}
    assert "quarantined_rows" in [check.name for check in result.blocking]


@pytest.mark.parametrize(
    ("bad", "blocking", "warnings"),
    [(1, [], ["quarantined_rows"]), (6, ["quarantined_rows"], []), (0, [], [])],
)
def test_a_flood_of_bad_rows_blocks_and_a_few_warn(
    connection: Warehouse, bad: int, blocking: list[str], warnings: list[str]
):
    promised = contract(quarantine=RULES)
    rows = [(None, str(i), 1.0, None, "2026-10-31 12:00:00") for i in range(bad)]
    things(connection, promised, *rows, GOOD, GOOD)
    result = run(connection, promised)
    assert [check.name for check in result.blocking] == blocking
    assert [check.name for check in result.warnings] == warnings


def test_a_flood_keeps_every_key_but_not_every_row(
    connection: Warehouse, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(quarantine, "ROW_JSON_LIMIT", 3)
    promised = contract(quarantine=RULES)
    things(connection, promised, *[(None, str(i), 1.0, None, None) for i in range(10)])
    run(connection, promised)
    stored = [line[1] for line in lines(connection).values()]
    assert (len(stored), sum(row is not None for row in stored)) == (10, 3)
    assert kept_by_staging(connection, promised) == 0


def test_the_callers_transaction_is_kept_and_can_be_rolled_back(connection: Warehouse):
    promised = contract(quarantine=RULES)
    things(connection, promised, GOOD)
    run(connection, promised)
    connection.execute("begin transaction")
    connection.execute("insert into raw.things values (null, 'a', 1.0, null, null)")
    run(connection, promised, hours=1)
    assert len(lines(connection)) == 1
    connection.execute("rollback")
    assert lines(connection) == {}


def scoped() -> Contract:
    return contract(quarantine=RULES, scope={"column": "made_at", "days": 2})


def test_a_look_at_recent_rows_leaves_the_lines_of_old_rows_alone(connection: Warehouse):
    promised = scoped()
    old = (None, "a", 1.0, None, "2026-09-01 12:00:00")
    recent = (None, "b", 1.0, None, "2026-10-31 12:00:00")
    many = [(i, "a", 1.0, None, "2026-10-31 12:00:00") for i in range(20)]
    promised = promised.model_copy(
        update={"quarantine": promised.quarantine.model_copy(update={"warning_above": None})}  # type: ignore[union-attr]
    )
    things(connection, promised, old, recent, *many)
    (first,) = validate_all(connection, [promised], as_of=AS_OF)
    assert (first.looked_at_all, first.quarantined["no_thing_id"]) == (True, 2)

    connection.execute("delete from raw.things where thing_id is null")
    (second,) = validate_all(connection, [promised], as_of=AS_OF + timedelta(hours=1))
    assert (second.looked_at_all, second.quarantined["no_thing_id"]) == (False, 1)

    (third,) = validate_all(connection, [promised], as_of=AS_OF + timedelta(hours=25))
    assert (third.looked_at_all, third.quarantined["no_thing_id"]) == (True, 0)


# The product's own rules, each met by a row of its kind.

GA4_BAD = {
    "no_event_name": {"event_name": "''"},
    "no_event_timestamp": {"event_timestamp": "null"},
    "implausible_time": {"event_timestamp": "946684800000000"},
}
BAD_ROWS: list[tuple[str, str, dict[str, str]]] = [
    *[("raw.ga4_events", reason, values) for reason, values in GA4_BAD.items()],
    (
        "raw.ga4_events",
        "implausible_time",
        {"event_timestamp": "epoch_us(timestamp '2026-11-03 18:30:01')"},
    ),
    ("raw.admin_users", "no_user_id", {"user_id": "null"}),
    ("raw.admin_quotes", "no_quote_id", {"quote_id": "null"}),
    ("raw.admin_quotes", "unreadable_created_at", {"created_at": "'1793471400'"}),
    ("raw.admin_orders", "no_order_id", {"order_id": "null"}),
    ("raw.admin_orders", "unreadable_created_at", {"created_at": "'2026-10-31T12:00:00Z'"}),
    ("raw.admin_order_status_history", "unreadable_changed_at", {"changed_at": "''"}),
    ("raw.admin_pickups", "slot_ends_before_it_starts", {"slot_end": "'2026-10-31 09:00:00'"}),
    ("raw.admin_pickups", "unreadable_slot", {"slot_start": "null"}),
    ("raw.admin_documents", "unreadable_uploaded_at", {"uploaded_at": "'today'"}),
    ("raw.admin_payouts", "no_amount", {"amount": "null"}),
    ("raw.admin_payouts", "unreadable_paid_at", {"paid_at": "null"}),
    ("raw.admin_feedback", "rating_out_of_range", {"rating": "9"}),
    ("raw.admin_consents", "no_user_id", {"user_id": "null"}),
    ("raw.admin_consents", "unreadable_changed_at", {"changed_at": "'?'", "status": "'opt_in'"}),
    ("raw.crm_contacts", "no_contact_id", {"contact_id": "' '"}),
    ("raw.crm_journey_entries", "unreadable_entered_at", {"entered_at": "'2026-10-31 12:00:00'"}),
    ("raw.crm_assignments", "no_experiment_id", {"experiment_id": "null"}),
    ("raw.crm_messages", "no_message_id", {"message_id": "''"}),
    ("raw.crm_messages", "unreadable_sent_at", {"sent_at": "'2026-10-31'"}),
    ("raw.crm_channel_events", "no_message_id", {"message_id": "null"}),
    (
        "raw.crm_channel_events",
        "unreadable_time",
        {"ts_epoch_ms": "null", "received_at": "'late'", "event": "'read'"},
    ),
]
PLAUSIBLE = {
    "_table_date": "date '2026-10-31'",
    "event_timestamp": "epoch_us(timestamp '2026-10-31 12:00:00')",
    "event_server_timestamp_offset": "null",
    "slot_start": "'2026-10-31 12:00:00'",
    "slot_end": "'2026-10-31 15:00:00'",
    "rating": "5",
    "ts_epoch_ms": "1793471400000",
}


def one_row(connection: Warehouse, promised: Contract, values: dict[str, str]) -> None:
    create_table(connection, promised)
    written = {}
    for name, column in promised.columns.items():
        if name in values or name in PLAUSIBLE:
            written[name] = values.get(name, PLAUSIBLE.get(name, "null"))
        elif column.clock == "ist_text":
            written[name] = "'2026-10-31 12:00:00'"
        elif column.clock == "iso_z":
            written[name] = "'2026-10-31T12:00:00Z'"
        elif column.types[0] in ("text",):
            written[name] = "'x'"
        elif column.types[0] in ("integer", "number"):
            written[name] = "1"
        else:
            written[name] = "null"
    connection.execute(f"insert into {promised.table} select {', '.join(written.values())}")


@pytest.mark.parametrize(("table", "reason", "values"), BAD_ROWS)
def test_each_rule_of_the_product_catches_its_row(
    connection: Warehouse, table: str, reason: str, values: dict[str, str]
):
    promised = contract_of(table)
    one_row(connection, promised, values)
    quarantined = validate(connection, promised, as_of=AS_OF).quarantined
    assert {name for name, count in quarantined.items() if count} == {reason}


def test_every_rule_of_the_product_is_shown_to_catch_something():
    named = {(table, reason) for table, reason, _ in BAD_ROWS}
    trivial = {"no_order_id", "no_contact_id", "unreadable_created_at", "no_token", "no_sku"}
    unshown = [
        (promised.table, rule.reason)
        for promised in load_contracts()
        if promised.quarantine and not promised.optional
        for rule in promised.quarantine.rules
        if (promised.table, rule.reason) not in named and rule.reason not in trivial
    ]
    assert unshown == []


@pytest.mark.parametrize(
    ("table", "values"),
    [
        # A wrong device clock that the server's offset corrects.
        (
            "raw.ga4_events",
            {
                "event_timestamp": "946684800000000",
                "event_server_timestamp_offset": "846763200000000",
            },
        ),
        # A late row of an app, two days after the table's day.
        ("raw.ga4_events", {"event_timestamp": "epoch_us(timestamp '2026-11-02 12:00:00')"}),
        # Denied consent: no ids at all.
        ("raw.ga4_events", {"user_pseudo_id": "null", "user_id": "null"}),
        ("raw.admin_users", {"phone": "'८६६१४५६६००'", "name": "null", "email": "' A@B.IN '"}),
        (
            "raw.admin_users",
            {"phone": "null", "email": "null", "deleted_at": "'2026-01-01 00:00:00'"},
        ),
        ("raw.admin_quotes", {"user_id": "null", "phone": "'9876543210.0'"}),
        ("raw.admin_payouts", {"amount": "-500"}),
        ("raw.admin_consents", {"status": "'opt_out'", "changed_at": "'?'"}),
        ("raw.crm_contacts", {"external_id": "'CK-10785'", "phone": "null"}),
        ("raw.crm_channel_events", {"ts_epoch_ms": "1", "event": "'read'"}),
        ("raw.crm_channel_events", {"ts_epoch_ms": "null", "event": "'read'"}),
        (
            "raw.crm_channel_events",
            {"ts_epoch_ms": "null", "received_at": "'late'", "event": "'opt_out'"},
        ),
    ],
)
def test_the_listed_mess_and_every_opt_out_stay(
    connection: Warehouse, table: str, values: dict[str, str]
):
    promised = contract_of(table)
    one_row(connection, promised, values)
    assert not any(validate(connection, promised, as_of=AS_OF).quarantined.values())
