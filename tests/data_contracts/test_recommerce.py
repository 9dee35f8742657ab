"""The contracts on the shared example world and on real GA4 rows: clean as it is, loud if hurt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from data_contracts.loader import load_contracts
from data_contracts.validator import Outcome, validate, validate_all
from tests.data_contracts.raw_tables import RECOMMERCE_AS_OF, contract_of, load_ga4_export

Warehouse = duckdb.DuckDBPyConnection


# Tables of the sources; what the engine itself writes is empty in the example world.
SOURCES = [c for c in load_contracts() if not c.table.startswith(("raw.ledger_", "sync."))]


def failures(warehouse: Warehouse, as_of: datetime = RECOMMERCE_AS_OF) -> list[str]:
    results = validate_all(warehouse, SOURCES, as_of=as_of)
    return [check.message for result in results for check in (*result.blocking, *result.warnings)]


def test_the_example_world_keeps_every_contract(recommerce: Warehouse):
    results = validate_all(recommerce, load_contracts(), as_of=RECOMMERCE_AS_OF)
    broken = [c.message for r in results for c in (*r.blocking, *r.warnings)]
    assert broken == []
    assert sum(sum(result.quarantined.values()) for result in results) == 0
    judged = {c.outcome for r in results for c in r.checks if r.contract.name == "ga4_events"}
    assert judged == {Outcome.PASSED}


@pytest.mark.parametrize("days_back", [1, 30, 75])
def test_the_example_world_keeps_them_at_earlier_moments_too(recommerce: Warehouse, days_back: int):
    # The GA4 export starts 89 days before the end; a week is needed to know what is usual.
    assert failures(recommerce, RECOMMERCE_AS_OF - timedelta(days=days_back, hours=-9)) == []


def test_a_world_of_a_hundred_people_keeps_them(recommerce: Warehouse):
    people = {
        "raw.ga4_events": "coalesce(user_pseudo_id, cast(event_timestamp as varchar))",
        "raw.admin_users": "user_id",
        "raw.admin_consents": "user_id",
        "raw.admin_quotes": "quote_id",
        "raw.admin_orders": "order_id",
        "raw.admin_order_status_history": "order_id",
        "raw.admin_pickups": "order_id",
        "raw.admin_documents": "order_id",
        "raw.admin_payouts": "order_id",
        "raw.admin_feedback": "order_id",
        "raw.crm_contacts": "contact_id",
        "raw.crm_journey_entries": "contact_id",
        "raw.crm_messages": "contact_id",
        "raw.crm_channel_events": "message_id",
    }
    for table, who in people.items():
        # One in twenty of two thousand.
        recommerce.execute(f"delete from {table} where hash({who}) % 20 <> 0")
    assert failures(recommerce) == []


def test_a_world_with_a_one_day_outage_is_not_stopped(recommerce: Warehouse):
    recommerce.execute("delete from raw.ga4_events where _table_date = date '2026-10-30'")
    ga4 = contract_of("raw.ga4_events")
    results = validate_all(recommerce, [ga4], as_of=RECOMMERCE_AS_OF)
    told = [(check.name, check.severity) for r in results for check in (*r.blocking, *r.warnings)]
    assert told == [("volume_per_day", "warning")]


DAMAGE = [
    ("alter table raw.admin_orders drop column status", "raw.admin_orders", "columns_present"),
    ("alter table raw.ga4_events drop column event_params", "raw.ga4_events", "columns_present"),
    ("drop table raw.crm_contacts", "raw.crm_contacts", "columns_present"),
    (
        "alter table raw.admin_payouts alter column amount type varchar",
        "raw.admin_payouts",
        "column_types",
    ),
    (
        "alter table raw.ga4_events alter column event_timestamp type varchar",
        "raw.ga4_events",
        "column_types",
    ),
    (
        "insert into raw.admin_orders from raw.admin_orders limit 1",
        "raw.admin_orders",
        "key_unique",
    ),
    (
        "insert into raw.crm_contacts from raw.crm_contacts limit 1",
        "raw.crm_contacts",
        "key_unique",
    ),
    ("delete from raw.admin_users", "raw.admin_users", "rows_present"),
    ("delete from raw.ga4_events", "raw.ga4_events", "rows_present"),
    (
        "delete from raw.ga4_events where _table_date >= date '2026-10-28'",
        "raw.ga4_events",
        "event_timestamp_fresh",
    ),
    (
        "delete from raw.ga4_events where _table_date between date '2026-10-28' and "
        "date '2026-10-30' and hash(event_timestamp) % 100 >= 5",
        "raw.ga4_events",
        "volume_per_day_3d",
    ),
    (
        "update raw.ga4_events set event_timestamp = event_timestamp // 1000000",
        "raw.ga4_events",
        "quarantined_rows",
    ),
    (
        "update raw.ga4_events set user_pseudo_id = null where _table_date > date '2026-10-10'",
        "raw.ga4_events",
        "user_pseudo_id_not_null",
    ),
    (
        "update raw.admin_quotes set created_at = replace(created_at, ' ', 'T') || 'Z'",
        "raw.admin_quotes",
        "quarantined_rows",
    ),
    (
        "update raw.admin_orders set status = 'status ' || (hash(order_id) % 9)",
        "raw.admin_orders",
        "status_allowed",
    ),
    (
        "update raw.admin_consents set status = 'unsubscribed' where user_id % 5 = 0",
        "raw.admin_consents",
        "status_allowed",
    ),
    (
        "update raw.crm_contacts set email_consent = 'no' where purged",
        "raw.crm_contacts",
        "email_consent_allowed",
    ),
    (
        "update raw.admin_pickups set slot_end = slot_start, slot_start = slot_end",
        "raw.admin_pickups",
        "quarantined_rows",
    ),
    (
        "update raw.admin_orders set quoted_price = quoted_price * 100000",
        "raw.admin_orders",
        "quoted_price_in_range",
    ),
]


@pytest.mark.parametrize(("damage", "table", "check"), DAMAGE)
def test_damage_to_the_example_world_blocks(
    recommerce: Warehouse, damage: str, table: str, check: str
):
    recommerce.execute(damage)
    result = validate(recommerce, contract_of(table), as_of=RECOMMERCE_AS_OF)
    assert check in [blocking.name for blocking in result.blocking]


@pytest.mark.parametrize(
    "table",
    ["raw.admin_users", "raw.admin_orders", "raw.admin_documents", "raw.crm_channel_events"],
)
def test_a_table_that_lost_half_its_rows_blocks(recommerce: Warehouse, table: str):
    promised = contract_of(table)
    for hour in range(3):
        validate_all(recommerce, [promised], as_of=RECOMMERCE_AS_OF + timedelta(hours=hour))
    recommerce.execute(f"delete from {table} where rowid % 5 < 3")
    (result,) = validate_all(recommerce, [promised], as_of=RECOMMERCE_AS_OF + timedelta(hours=3))
    assert [check.name for check in result.blocking] == ["volume_per_run"]


def test_a_ledger_that_was_lost_blocks_before_everything_is_sent_again(recommerce: Warehouse):
    promised = contract_of("raw.ledger_suppressions")
    recommerce.execute(
        "insert into raw.ledger_suppressions select '+91981234567' || i, 'whatsapp', 'all', "
        "'stop', timestamp '2026-10-01', null from range(9) r(i)"
    )
    (first,) = validate_all(recommerce, [promised], as_of=RECOMMERCE_AS_OF)
    assert first.passed
    recommerce.execute("delete from raw.ledger_suppressions")
    (second,) = validate_all(recommerce, [promised], as_of=RECOMMERCE_AS_OF + timedelta(hours=1))
    assert [check.name for check in second.blocking] == ["volume_per_run"]


WHATSAPP = """
    insert into sync.sync_whatsapp_messages by name
    select
        'k' || i as intent_key, 'winback_inactive' as journey_key, 'e' || i as entry_key,
        's0' as step_key, 'c' || i as customer_id, 'promotional' as purpose,
        'winback_0' as template_id, 'en' as language, '+9198123456' || (10 + i) as address,
        '{"first_name": ""}' as variables, 'A' as variant, 35 as priority,
        timestamp '2026-10-31 18:00:00' as due_at,
        timestamp '2026-11-01 18:00:00' as latest_useful_at,
        timestamp '2026-09-01 18:00:00' as consent_at
    from range(20) r(i)
"""
EMAIL = WHATSAPP.replace("whatsapp", "email").replace("'+9198123456' ||", "'a@b.in' ||")
AUDIENCE = """
    insert into sync.sync_meta_custom_audience by name
    select
        'lead_hot' as audience_key, 'c' || i as member_key, sha256('' || i) as email_sha256,
        '' as phone_sha256, i as payload_hash
    from range(20) r(i)
"""


@pytest.mark.parametrize("rows", [WHATSAPP, EMAIL, AUDIENCE])
def test_what_goes_out_keeps_its_contracts(recommerce: Warehouse, rows: str):
    recommerce.execute(rows)
    result = validate(recommerce, contract_of(rows.split()[2]), as_of=RECOMMERCE_AS_OF)
    assert [check.message for check in (*result.blocking, *result.warnings)] == []


@pytest.mark.parametrize(
    ("rows", "damage", "check"),
    [
        (WHATSAPP, "set intent_key = 'k1'", "key_unique"),
        (WHATSAPP, "set address = '9812345678'", "address_well_formed"),
        (WHATSAPP, "set address = null where priority = 35", "address_not_null"),
        (WHATSAPP, "set purpose = 'marketing'", "purpose_allowed"),
        (WHATSAPP, "set variables = '[1]'", "variables_are_an_object"),
        (WHATSAPP, "set variables = 'first_name'", "variables_are_an_object"),
        (WHATSAPP, "set latest_useful_at = due_at", "messages_are_still_useful"),
        (AUDIENCE, "set email_sha256 = 'kavya@example.com'", "email_sha256_well_formed"),
        (AUDIENCE, "set phone_sha256 = '919812345678'", "phone_sha256_well_formed"),
        (AUDIENCE, "set email_sha256 = ''", "members_have_an_identifier"),
        (AUDIENCE, "set member_key = 'c1'", "key_unique"),
    ],
)
def test_damage_to_what_goes_out_blocks(recommerce: Warehouse, rows: str, damage: str, check: str):
    table = rows.split()[2]
    recommerce.execute(rows)
    recommerce.execute(f"update {table} {damage}")
    result = validate(recommerce, contract_of(table), as_of=RECOMMERCE_AS_OF)
    assert check in [blocking.name for blocking in result.blocking]
    told = " ".join(found.message for found in result.checks)
    assert "98123" not in told
    assert "kavya" not in told


@pytest.mark.parametrize(
    ("sample", "as_of"),
    [
        ("ga4_web_dev", datetime(2020, 12, 1, tzinfo=UTC)),
        ("firebase_app_dev", datetime(2018, 8, 1, tzinfo=UTC)),
    ],
)
def test_real_google_rows_keep_the_ga4_contract(
    connection: Warehouse, shared_data: Path, sample: str, as_of: datetime
):
    folder = shared_data / "ga4_raw"
    schema = (folder / "read_json_columns.sql").read_text().split("\n", 1)[1].strip()
    load_ga4_export(
        connection,
        shared_data,
        f"(select * exclude (_table_suffix), 'events_' || _table_suffix as filename from "
        f"read_json('{folder / sample}.ndjson', columns = {schema}))",
    )
    result = validate(connection, contract_of("raw.ga4_events"), as_of=as_of)
    assert [check.message for check in (*result.blocking, *result.warnings)] == []
    assert not any(result.quarantined.values())
