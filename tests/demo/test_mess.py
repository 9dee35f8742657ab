"""Each kind of trouble the source description names is there."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pyarrow.parquet as pq
import pytest

from orchestration.demo.world import World

from .conftest import query


@pytest.fixture(scope="module")
def events(town: World) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for path in sorted(town.ga4_folder.glob("events_2*.parquet")):
        rows += pq.read_table(path).to_pylist()
    return rows


def _param(row: dict[str, Any], key: str) -> dict[str, Any] | None:
    return next((param["value"] for param in row["event_params"] if param["key"] == key), None)


def _crm(town: World, name: str) -> list[dict[str, Any]]:
    return pq.read_table(town.crm_folder / f"{name}.parquet").to_pylist()


def test_phones_come_in_a_dozen_spellings(town: World) -> None:
    phones = [row[0] for row in query(town.home, "SELECT phone FROM quotes WHERE phone NOTNULL")]
    for pattern in (
        r"\d{10}", r"\+91\d{10}", r"\+91 \d{5} \d{5}", r"91\d{10}", r"0\d{10}", r"\d{5}-\d{5}",
        r"\+91-\d{10}", r"0091\d{10}", r" \d{10} ", r"\d{10}\.0", r"[०-९]{10}",
        r"\(\+91\) \d{4} \d{3} \d{3}",
    ):  # fmt: skip
        assert any(re.fullmatch(pattern, phone) for phone in phones), pattern


def test_phones_are_shared_invalid_and_placeholders(town: World) -> None:
    given = [
        re.sub(r"\D", "", row[0])[-10:]
        for row in query(town.home, "SELECT phone FROM quotes WHERE phone NOTNULL")
    ]
    orders = query(town.home, "SELECT user_id, contact_phone FROM orders")
    owners: dict[str, set[int]] = {}
    for user, phone in orders:
        owners.setdefault(re.sub(r"\D", "", phone or "")[-10:], set()).add(user)
    assert any(len(users) > 1 for users in owners.values())
    numbers = set(given) | set(owners)
    assert numbers & {"9999999999", "1234567890", "0000000000"}
    assert any(number.startswith("91000000") for number in numbers)
    assert any(0 < len(number) < 10 for number in numbers)


def test_names_and_mails_are_typed_by_people(town: World) -> None:
    rows = query(town.home, "SELECT name, email, city FROM users")
    names = [name for name, _, _ in rows if name]
    mails = [mail for _, mail, _ in rows if mail]
    assert any(re.search(r"[\u0900-\u0d7f]", name) for name in names)
    assert any(re.search(r"[\u0600-\u06ff]", name) for name in names)
    assert any("🙂" in name for name in names)
    assert any("'" in name for name in names)
    assert any(name.startswith("N/A") for name in names)
    assert any(name.isupper() for name in names)
    assert any(name is None for name, _, _ in rows)
    assert any(mail.isupper() for mail in mails)
    assert any(mail.startswith(" ") for mail in mails)
    assert any("+cashkr@" in mail for mail in mails)
    assert any(mail.lower().endswith("@googlemail.com") for mail in mails)
    assert any("." in mail.partition("@")[0] for mail in mails)
    assert {"Bangalore", "Bengaluru"} <= {city for _, _, city in rows}
    assert {"Bombay", "Mumbai"} <= {city for _, _, city in rows}


def test_accounts_are_deleted_doubled_and_of_testers(town: World) -> None:
    gone = query(town.home, "SELECT phone, email, name FROM users WHERE deleted_at NOTNULL")
    assert gone
    assert all(row == (None, None, "Deleted User") for row in gone)
    world = town
    log = world.truth.read_log()
    second = log["extra"][log["fact"] == 15]
    assert (second == 2).any()
    testers = query(
        town.home,
        "SELECT is_test FROM users WHERE email LIKE '%cashkr.test' OR phone LIKE '%900000%'",
    )
    assert testers


def test_flags_are_yes_no_and_never_asked(town: World) -> None:
    flags = {row[0] for row in query(town.home, "SELECT DISTINCT whatsapp_opt_in FROM users")}
    assert flags == {0, 1, None}


def test_history_rows_are_doubled_early_and_out_of_order(town: World) -> None:
    rows = query(
        town.home,
        "SELECT id, order_id, status, changed_at FROM order_status_history ORDER BY id",
    )
    doubled = Counter((order, status, at) for _, order, status, at in rows)
    assert any(count > 1 for count in doubled.values())
    by_day = Counter(at[:10] for (_, _, at), count in doubled.items() if count > 1)
    assert max(by_day.values()) >= 5, "a day loaded twice"
    created = dict(query(town.home, "SELECT order_id, created_at FROM orders"))
    assert any(s == "placed" and at < created[order] for _, order, s, at in rows)
    latest: dict[str, str] = {}
    swapped = 0
    for _, order, _, at in rows:
        swapped += at < latest.get(order, "")
        latest[order] = max(at, latest.get(order, ""))
    assert swapped > 0


def test_final_prices_change_behind_updated_at(town: World) -> None:
    changed = query(
        town.home,
        "SELECT count(*) FROM orders o JOIN payouts p USING (order_id) WHERE p.kind = 'payout' "
        "AND o.final_price <> p.amount AND o.updated_at = o.completed_at",
    )
    assert changed[0][0] > 0


def test_payouts_are_reversed_and_statuses_complete(town: World) -> None:
    assert query(town.home, "SELECT count(*) FROM payouts WHERE amount < 0")[0][0] > 0
    held = {row[0] for row in query(town.home, "SELECT DISTINCT status FROM orders")}
    assert {"completed", "cancelled", "expired", "failed", "returned", "pickup_scheduled"} <= held
    why = {row[0] for row in query(town.home, "SELECT DISTINCT failure_reason FROM pickups")}
    assert why == {None, "no_docs", "no_answer", "address_issue", "user_busy"}


def test_quote_values_change_type_on_app_rows(events: list[dict[str, Any]]) -> None:
    kinds = Counter()
    for row in events:
        value = _param(row, "quote_value")
        if value:
            kinds.update(
                (row["platform"] != "WEB", kind) for kind in value if value[kind] is not None
            )
    assert kinds[True, "double_value"] > 0
    assert kinds[False, "double_value"] == 0
    assert kinds[False, "int_value"] > kinds[True, "double_value"]


def test_rows_are_doubled_and_orders_reloaded(events: list[dict[str, Any]]) -> None:
    seen = [
        (row["user_pseudo_id"], row["event_timestamp"], row["event_name"])
        for row in events
        if row["user_pseudo_id"]
    ]
    assert len(set(seen)) < len(seen)
    orders = {
        (row["ecommerce"]["transaction_id"], row["event_timestamp"])
        for row in events
        if row["event_name"] == "order_placed"
    }
    assert len({order for order, _ in orders}) < len(orders)


def test_some_deny_consent_some_clocks_are_wrong_some_are_bots(
    events: list[dict[str, Any]],
) -> None:
    denied = [row for row in events if (row["privacy_info"] or {}).get("analytics_storage") == "No"]
    assert denied
    assert all(row["user_pseudo_id"] is None and row["user_id"] is None for row in denied)
    assert any(row["event_server_timestamp_offset"] for row in events)
    bots = [row for row in events if row["device"]["web_info"]["browser"] == "HeadlessChrome"]
    assert len(bots) > 100
    assert {row["geo"]["city"] for row in bots} == {"Ashburn"}
    assert any(row["geo"]["city"] == "(not set)" for row in events)


def test_the_tag_breaks_one_day_and_fires_twice_another(
    town: World, events: list[dict[str, Any]]
) -> None:
    doubled = Counter(row["event_date"] for row in events)
    web = [row for row in events if row["platform"] == "WEB" and row["user_pseudo_id"]]
    pairs = Counter()
    latest: dict[tuple[Any, ...], int] = {}
    for row in sorted(web, key=lambda item: item["event_timestamp"]):
        key = (row["user_pseudo_id"], row["event_name"])
        gap = row["event_timestamp"] - latest.get(key, 0)
        pairs[row["event_date"]] += 20_000 < gap < 50_000
        latest[key] = row["event_timestamp"]
    day, echoes = pairs.most_common(1)[0]
    assert echoes > 0.3 * doubled[day] / 2
    ga = {row["ecommerce"]["transaction_id"] for row in web if row["event_name"] == "order_placed"}
    orders = query(
        town.home, "SELECT order_id FROM orders WHERE source = 'web' AND created_at > '2026-08-04'"
    )
    assert len({order for (order,) in orders} - ga) > 0


def test_user_ids_appear_with_the_re_export(town: World) -> None:
    files = sorted(town.ga4_folder.glob("events_2*.parquet"))
    assert pq.read_table(files[10])["user_id"].null_count < pq.read_metadata(files[10]).num_rows


def test_crm_contacts_are_merged_only_sometimes(town: World) -> None:
    contacts = _crm(town, "contacts")
    forms = [row for row in contacts if row["source"] == "lead_form"]
    assert 0 < sum(row["external_id"] is not None for row in forms) < len(forms) / 2
    assert any((row["external_id"] or "").startswith("CK-") for row in contacts)
    imports = [row for row in contacts if row["source"] == "import"]
    assert imports
    assert all(row["phone"] is None and row["email"] for row in imports)
    assert any(row["whatsapp_consent"] is None for row in contacts)
    assert any(row["purged"] for row in contacts) or not query(
        town.home, "SELECT 1 FROM users WHERE deleted_at NOTNULL"
    )


def test_channel_events_are_doubled_late_and_skewed(town: World) -> None:
    rows = _crm(town, "channel_events")
    ids = Counter(row["event_id"] for row in rows)
    assert any(count > 1 for count in ids.values())
    from datetime import datetime

    lags = [
        datetime.fromisoformat(row["received_at"]).timestamp() - row["ts_epoch_ms"] / 1000
        for row in rows
    ]
    assert any(lag > 3600 for lag in lags)
    assert any(-19_900 < lag < -19_000 for lag in lags)
    assert any(-60 < lag < -1 for lag in lags)
    assert {"sent", "delivered", "read", "click", "failed", "opt_out"} <= {
        row["event"] for row in rows
    }


def test_opt_outs_live_in_three_places(town: World) -> None:
    assert query(town.home, "SELECT count(*) FROM consents WHERE status = 'opt_out'")[0][0] > 0
    assert any(row["event"] == "opt_out" for row in _crm(town, "channel_events"))
    assert any(row["whatsapp_consent"] == "opt_out" for row in _crm(town, "contacts"))


def test_the_former_tool_kept_controls_and_a_randomised_volume(town: World) -> None:
    entries = _crm(town, "journey_entries")
    arms = Counter((row["journey_key"], row["arm"]) for row in entries)
    for journey in ("abandoned_price_view", "pickup_reminder", "winback_inactive"):
        assert arms[journey, "treatment"] > arms[journey, "control"] > 0
    sent = {row["entry_id"] for row in _crm(town, "messages")}
    assert not sent & {row["entry_id"] for row in entries if row["arm"] == "control"}
    volume = Counter(row["arm"] for row in _crm(town, "assignments"))
    assert set(volume) == {"0_per_week", "1_per_week", "2_per_week", "4_per_week"}
