"""An erasure from end to end: a small demo world whose sources go on telling of everybody who was erased.

One home serves all tests of this module, in order. What is looked for is looked for everywhere: in every column of
every table, and in the bytes of every file but the demo world's own (it plays the company's systems).
"""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from click.testing import CliRunner, Result

from activations.erasure import Kind, Person
from activations.sandbox.records import Channel, Fault, FaultKind, Receipt
from orchestration import cli
from orchestration.lib.erase_warehouse import find_person
from orchestration.lib.settings import read_settings
from orchestration.lib.steps import Run, open_run
from orchestration.lib.ticks import open_instance, run_tick
from orchestration.lib.warehouse import open_warehouse

REPOSITORY = Path(__file__).resolve().parents[2]
AS_OF = datetime(2026, 11, 20, 6, 20, tzinfo=UTC)
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::dagster._utils.warnings.BetaWarning"),
    pytest.mark.filterwarnings("ignore::dagster._utils.warnings.PreviewWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

# People with an account, a phone and a mail of their own, a device and an order; those we wrote to come first.
CANDIDATES = """
select customers.customer_id
from marts.dim_customers as customers
inner join (
    select customer_id, count(distinct id_type) as kinds from marts.customer_identifiers group by 1
    having count(*) filter (id_type = 'phone') > 0 and count(*) filter (id_type = 'email') > 0
        and count(*) filter (id_type = 'admin_user') = 1 and count(*) filter (id_type = 'ga_pseudo') > 0
) as known using (customer_id)
left join (
    select customer_id, count(*) as written from marts.messages where tool = 'own' group by 1
) as messages using (customer_id)
where customers.display_name like '% %' and customers.orders > 0
    and customers.phone is not null and customers.email is not null
order by messages.written desc nulls last, known.kinds desc, 1
"""
FAMILIES = """
select any_value(address), min(customer_id), max(customer_id)
from intermediate.int_addresses
inner join marts.dim_customers using (customer_id)
where address_kind = 'phone' and account_at is not null
group by address having count(distinct customer_id) = 2
order by 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """An opened run in a home whose first run is done, and who is in it."""

    run: Run
    instance: dg.DagsterInstance
    candidates: list[str]
    gone: list[tuple[Person, str]] = field(default_factory=list)


@pytest.fixture(scope="module")
def home(dbt_in_process: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFECYCLE_HOME", str(folder))
        settings = replace(read_settings({"LIFECYCLE_HOME": str(folder)}), demo_people=900)
        with open_instance(folder) as instance, open_run(settings) as run:
            for name in ("WHATSAPP", "SENDGRID", "META"):
                patch.setenv(f"{name}_BASE_URL", run.outside.settings.whatsapp_base_url)
            first = run_tick(run, instance, AS_OF)
            assert first.succeeded, first
            with open_warehouse(settings.warehouse_path) as connection:
                rows = connection.execute(CANDIDATES).fetchall()
            assert len(rows) > 1, "the demo world has such people"
            yield Home(run=run, instance=instance, candidates=[row[0] for row in rows])


def _erase(customer: str, *options: str) -> Result:
    return CliRunner().invoke(cli.main, ["erase", customer, *options])


def _person(home: Home, customer: str) -> tuple[Person, str]:
    with open_warehouse(home.run.settings.warehouse_path) as connection:
        person = find_person(connection, customer)
        name = connection.execute(
            "select display_name from marts.dim_customers where customer_id = ?", [customer]
        ).fetchone()
        namesakes = (
            connection.execute(
                "select 1 from marts.dim_customers where customer_id <> ?"
                " and contains(lower(display_name), lower(?)) limit 1",
                [customer, name[0]],
            ).fetchone()
            if name
            else None
        )
        orders = connection.execute(
            "select order_id from marts.fct_orders where customer_id = ?", [customer]
        ).fetchall()
    assert name is not None
    # A name somebody else has stays where it is theirs.
    known_as = person.of(Kind.CUSTOMER)[0] if namesakes else name[0]
    return person.plus({Kind.ORDER: [row[0] for row in orders]}), known_as


def _needles(person: Person, name: str) -> set[str]:
    kinds = (Kind.CUSTOMER, Kind.PHONE, Kind.EMAIL, Kind.DEVICE, Kind.CONTACT, Kind.ORDER)
    found = {each.lower() for each in person.of(*kinds)} | {name.lower()}
    return found | {each[-10:] for each in person.of(Kind.PHONE)}


def _tables_that_name(home: Home, person: Person, name: str) -> dict[str, int]:
    """Every table of every database that still tells of the person in any column."""
    settings = home.run.settings
    needles = sorted(_needles(person, name))
    users = ", ".join(f"'{each}'" for each in person.of(Kind.USER))
    found: dict[str, int] = {}
    for path in (settings.warehouse_path, settings.published_path):
        with duckdb.connect(str(path), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            columns: dict[str, set[str]] = {}
            for schema, table, column in connection.execute(
                "select schema_name, table_name, column_name from duckdb_columns()"
                " where not internal and database_name = current_database()"
            ).fetchall():
                columns.setdefault(f'{schema}."{table}"', set()).add(column)
            for table, names in columns.items():
                tests = "list_has_any([contains(content, needle) for needle in $needles], [true])"
                if "user_id" in names:
                    tests += f" or user_id in ({users})"
                for kind, value in (
                    ("id_type", "id_value"),
                    ("left_type", "left_value"),
                    ("right_type", "right_value"),
                ):
                    if kind in names:
                        tests += f" or ({kind} = 'admin_user' and {value} in ({users}))"
                row = connection.execute(
                    f"select count(*) from (select *, lower(cast(whole as varchar)) as content"
                    f" from {table} as whole) where {tests}",
                    {"needles": needles},
                ).fetchone()
                if row and row[0]:
                    found[f"{path.name} {table}"] = row[0]
    with sqlite3.connect(str(settings.home / "ledger.sqlite")) as ledger:
        tables = [
            row[0] for row in ledger.execute("select name from sqlite_master where type = 'table'")
        ]
        for table in tables:
            rows = ledger.execute(f"select * from {table}").fetchall()
            hits = sum(any(needle in repr(row).lower() for needle in needles) for row in rows)
            if hits:
                found[f"ledger {table}"] = hits
    return found


def _files_that_name(home: Home, person: Person, name: str) -> list[str]:
    """Every file under the home, the demo world's own left out, whose bytes hold the phone, mail, name or our id."""
    needles = {each.encode() for each in person.of(Kind.CUSTOMER, Kind.EMAIL, Kind.DEVICE)}
    needles |= {each[-10:].encode() for each in person.of(Kind.PHONE)} | {name.encode()}
    folder = home.run.settings.home
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "demo" not in path.relative_to(folder).parts[:1]
        if any(needle in path.read_bytes() for needle in needles)
    ]


def _receipt(home: Home, result: Result) -> dict[str, Any]:
    (line,) = (line for line in result.output.splitlines() if line.startswith("Receipts:"))
    name = line.rsplit("/", 1)[1]
    document = json.loads((home.run.settings.reports_path / "erasures" / name).read_text())
    return {"finished": document["finished_at"]} | {
        receipt["system"]: receipt for receipt in document["receipts"]
    }


def _sent_to(home: Home, person: Person) -> list[str]:
    assert home.run.outside.sandbox is not None
    addresses = set(person.of(Kind.PHONE, Kind.EMAIL))
    messages = home.run.outside.sandbox.fetch_messages(limit=10_000)
    return [message.message_id for message in messages if message.to in addresses]


def test_without_yes_it_shows_what_would_go_asks_and_changes_nothing(home: Home) -> None:
    customer = home.candidates[0]
    person, name = _person(home, customer)
    before = _tables_that_name(home, person, name)
    assert {'warehouse.duckdb raw."admin_users"', "ledger intents"} <= set(before)
    result = CliRunner().invoke(cli.main, ["erase", person.of(Kind.PHONE)[0]], input="n\n")
    assert result.exit_code == 1
    assert "raw.admin_users" in result.output
    assert "cannot be undone" in result.output
    for needle in _needles(person, name) - set(person.of(Kind.CUSTOMER)):
        assert needle not in result.output.lower()
    assert _tables_that_name(home, person, name) == before


def test_somebody_unknown_is_a_clear_error_that_repeats_nothing(home: Home) -> None:
    result = _erase("+919999999998", "--yes")
    assert result.exit_code == 1
    assert "nobody is known by that" in result.output
    assert "9999999998" not in result.output


def test_a_person_goes_everywhere_also_when_a_provider_fails(home: Home) -> None:
    customer = home.candidates[0]
    person, name = _person(home, customer)
    sandbox = home.run.outside.sandbox
    assert sandbox is not None
    home.gone.append((person, name))
    received = _sent_to(home, person)
    assert received
    sandbox.program_faults(Fault(kind=FaultKind.SERVER_ERROR, channel=Channel.EMAIL, times=None))
    result = _erase(customer, "--yes")
    assert result.exit_code == 1, result.output
    receipt = _receipt(home, result)
    assert receipt["finished"] is None
    assert receipt["sendgrid"]["status"] == "failed"
    assert "lifecycle erase" in receipt["sendgrid"]["next_step"]
    assert receipt["warehouse"]["rows"]["raw.admin_users"] == 1
    for system in ("ledger", "warehouse", "published", "reports", "meta_custom_audience"):
        assert receipt[system]["status"] == "done", system
    for system in ("whatsapp", "ga4", "admin", "crm", "backups"):
        assert receipt[system]["status"] == "cannot"
        assert receipt[system]["next_step"]
    # only what the failed request needs is still kept, and only in the ledger
    assert set(_tables_that_name(home, person, name)) == {"ledger erasure_steps"}

    sandbox.clear_faults()
    asked = sandbox.fetch_stats()["counters"]["meta.requests"]
    again = _erase(customer, "--yes")
    assert again.exit_code == 0, again.output
    receipt = _receipt(home, again)
    assert receipt["finished"]
    assert receipt["sendgrid"]["status"] == "done"
    assert sandbox.fetch_stats()["counters"]["meta.requests"] == asked
    assert _tables_that_name(home, person, name) == {}
    assert _files_that_name(home, person, name) == []

    # what providers still tell about messages of before
    for message in received:
        sandbox.send_receipts(
            [Receipt(event="delivered", occurred_at=AS_OF + timedelta(hours=1), message_id=message)]
        )
    assert _tables_that_name(home, person, name) == {}
    twice = _erase(customer, "--yes")
    assert twice.exit_code == 0
    assert "Erased before" in twice.output
    assert _receipt(home, twice) == receipt


def test_a_family_keeps_its_phone(home: Home) -> None:
    with open_warehouse(home.run.settings.warehouse_path) as connection:
        found = connection.execute(FAMILIES).fetchone()
    assert found is not None, "the demo world has families on one phone"
    phone, gone, stays = found
    other, other_name = _person(home, stays)
    assert phone not in other.of(Kind.PHONE)
    person, name = _person(home, gone)
    before = _tables_that_name(home, other, other_name)
    result = _erase(gone, "--yes")
    assert result.exit_code == 0, result.output
    alone = Person(values={k: v for k, v in person.values.items() if k is not Kind.PHONE})
    if name.lower() != other_name.lower():
        assert _tables_that_name(home, alone, name) == {}
    after = _tables_that_name(home, other, other_name)
    assert set(after) == set(before)
    with open_warehouse(home.run.settings.warehouse_path) as connection:
        addresses = connection.execute(
            "select customer_id from intermediate.int_addresses where address = ?", [phone]
        ).fetchall()
    assert addresses == [(stays,)]
    # not refused: the other person may be written to
    assert home.run.ledger.find_erasure(phone) is None


@pytest.mark.parametrize(
    "when",
    [
        "before:ledger",
        pytest.param("after:ledger", marks=pytest.mark.soak),
        "deleting",
        "replacing",
        pytest.param("after:warehouse", marks=pytest.mark.soak),
        pytest.param("before:published", marks=pytest.mark.soak),
        pytest.param("after:reports", marks=pytest.mark.soak),
        pytest.param("after:sendgrid", marks=pytest.mark.soak),
        "before:meta_custom_audience",
    ],
)
def test_a_kill_at_any_step_loses_nothing_and_is_gone_on_with(home: Home, when: str) -> None:
    customer = home.candidates[1]
    if not home.run.ledger.list_open_erasures():
        home.gone.append(_person(home, customer))
    killed = subprocess.run(
        [sys.executable, "-m", "tests.integration.erase_and_die", when, customer],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, (when, killed.stdout, killed.stderr)
    assert len(home.run.ledger.list_open_erasures()) == 1


def test_the_next_run_finishes_and_leaves_out_whom_every_source_still_has(home: Home) -> None:
    index = home.run.ledger.erased_index()
    assert index is not None
    (admin,) = home.run.settings.demo_path.rglob("admin.sqlite")
    with sqlite3.connect(admin) as panel:
        users = panel.execute("select user_id, name, phone, email from users").fetchall()
        erased = index.find("user", [str(row[0]) for row in users])
        assert len(erased) >= 3, "the sources still have all of them"
        panel.executemany(
            "update users set city = 'Pune', updated_at = '2026-11-20 13:00:00' where user_id = ?",
            [[user] for user in erased],
        )
    people = home.gone
    sent = {name: _sent_to(home, person) for person, name in people}
    assert home.run.ledger.list_open_erasures()
    # more than a day later: every table is read whole again
    result = run_tick(home.run, home.instance, AS_OF + timedelta(hours=26))
    assert result.succeeded, result
    assert not [table for table, _ in result.warned if table.startswith("raw/")], result.warned
    assert home.run.ledger.list_open_erasures() == []
    for person, name in people:
        assert _tables_that_name(home, person, name) == {}
        assert _files_that_name(home, person, name) == []
        assert _sent_to(home, person) == sent[name]
    for table, least in (("admin_users", 3), ("admin_orders", 2)):
        event = home.instance.get_latest_materialization_event(dg.AssetKey(["raw", table]))
        assert event is not None
        assert event.asset_materialization is not None
        left_out = event.asset_materialization.metadata["rows_of_erased_people_left_out"].value
        assert isinstance(left_out, int)
        assert left_out >= least, table
    again = _erase(home.candidates[1], "--yes")
    assert again.exit_code == 0, again.output
    assert "Erased before" in again.output
