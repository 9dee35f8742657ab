"""Erasures in the ledger: the person's rows go, the hashes stay and refuse."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from activations.erasure import Kind, Person
from activations.errors import ConfigurationError
from activations.ledger import ErasureStep, Ledger, database
from activations.outcomes import OutcomeClass
from activations.rows import (
    AudienceMember,
    ConsentStatement,
    InboundEvent,
    MessageRow,
    Suppression,
)
from tests.activations.world import HOUR, NOON, answer, decision, phone, record, settle_all, start

KEY = "a key that is long enough for the tests"
ASHA = Person(
    values={Kind.CUSTOMER: ("c1", "c1_former"), Kind.PHONE: (phone(1),), Kind.USER: ("7",)}
)


@pytest.fixture
def keyed(any_ledger_url: str) -> Ledger:
    return Ledger(any_ledger_url, erasure_key=KEY)


def _erase(ledger: Ledger, person: Person = ASHA, *systems: str) -> None:
    steps = [
        ErasureStep(
            erasure_id="e1",
            system=system,
            status="pending",
            payload=person.to_json(),
            updated_at=NOON,
        )
        for system in systems or ("ledger",)
    ]
    ledger.begin_erasure(person, steps, erasure_id="e1", requested_at=NOON)


def _reasons(ledger: Ledger, rows: list[MessageRow]) -> list[str]:
    result = ledger.claim(rows, channel="whatsapp", run=start(ledger), now=NOON)
    return ["claimed"] * len(result.claimed) + [str(item.reason) for item in result.refused]


def _opt(status: str, at: int) -> ConsentStatement:
    return ConsentStatement(
        address=phone(1),
        channel="whatsapp",
        purpose="promotional",
        status=status,  # type: ignore[arg-type]
        source="stop_reply",
        stated_at=NOON + at * HOUR,
        received_at=NOON + at * HOUR,
    )


def _event(name: str = "delivered", *, number: int = 1, intent: str | None = None) -> InboundEvent:
    return InboundEvent(
        event_id=f"{name}{number}",
        channel="whatsapp",
        event=name,  # type: ignore[arg-type]
        provider_message_id=f"wamid.{number}",
        intent_key=intent,
        address=phone(number),
        occurred_at=NOON,
        received_at=NOON,
    )


def _counts(ledger: Ledger) -> dict[str, int]:
    tables = [
        *("intents", "attempts", "decision_history", "inbound_events", "consent_statements"),
        *("suppressions", "entry_exits", "audience_members", "sync_rejections"),
    ]
    with ledger.engine.connect() as connection:
        return {
            table: connection.exec_driver_sql(f"select count(*) from {table}").scalar_one()
            for table in tables
        }


def _live(ledger: Ledger) -> None:
    """Two people with everything a ledger can hold about somebody."""
    rows = record(ledger, [decision(1), decision(2)])
    settle_all(ledger, start(ledger), rows, answer(OutcomeClass.ACCEPTED))
    for number in (1, 2):
        ledger.land(
            events=[_event(number=number, intent=f"i000{number}")],
            statements=[
                ConsentStatement(
                    address=phone(number),
                    channel="whatsapp",
                    purpose="promotional",
                    status="opt_out",
                    source="stop_reply",
                    stated_at=NOON - HOUR,
                    received_at=NOON,
                )
            ],
            suppressions=[
                Suppression(
                    address=phone(number),
                    channel="whatsapp",
                    scope="all",
                    reason="not_on_whatsapp",
                    since=NOON,
                    until=None,
                )
            ],
            now=NOON,
        )
        ledger.record_exit(
            journey_key="j", entry_key="q", customer_id=f"c{number}", exited_at=NOON, reason="sold"
        )
        member = AudienceMember(member_key=f"c{number}", payload_hash=1, payload='["e","p"]')
        ledger.commit_audience("hot", accepted=[member], engine="x", now=NOON)


def test_all_rows_of_the_person_go_and_nobody_else_s(keyed: Ledger) -> None:
    _live(keyed)
    before = _counts(keyed)
    counted = keyed.count_person(ASHA)
    _erase(keyed)
    assert keyed.delete_person(ASHA) == counted
    after = _counts(keyed)
    for table, rows in before.items():
        assert after[table] == rows / 2, table
    assert keyed.delete_person(ASHA) == dict.fromkeys(keyed.count_person(ASHA), 0)
    keyed.close()


def test_an_erased_address_is_refused_until_it_opts_in_again(keyed: Ledger) -> None:
    _erase(keyed)
    # a new account with the old phone
    assert _reasons(keyed, record(keyed, [decision(1, customer_id="c9")])) == ["suppressed"]
    assert _reasons(keyed, record(keyed, [decision(2)])) == ["claimed"]
    assert keyed.land(statements=[_opt("opt_in", -1)], now=NOON) == 0
    rows = record(keyed, [decision(3, customer_id="c9", address=phone(1), intent_key="i3")])
    assert _reasons(keyed, rows) == ["suppressed"]
    keyed.land(statements=[_opt("opt_in", 1)], now=NOON)
    rows = record(keyed, [decision(4, customer_id="c9", address=phone(1), intent_key="i4")])
    assert _reasons(keyed, rows) == ["claimed"]
    keyed.close()


def test_an_opt_in_the_warehouse_knows_of_opens_the_address_too(keyed: Ledger) -> None:
    _erase(keyed)
    (row,) = record(keyed, [decision(1, customer_id="c9")])
    assert _reasons(keyed, [replace(row, consent_at=NOON + timedelta(seconds=1))]) == ["claimed"]
    keyed.close()


def test_what_is_still_told_about_an_erased_address_is_left_out(keyed: Ledger) -> None:
    _erase(keyed)
    blocked = Suppression(
        address=phone(1),
        channel="whatsapp",
        scope="all",
        reason="complaint",
        since=NOON,
        until=None,
    )
    keyed.land(
        events=[_event(), _event(number=2)],
        statements=[_opt("opt_out", 1)],
        suppressions=[blocked],
        now=NOON,
    )
    assert _counts(keyed)["inbound_events"] == 1
    assert _counts(keyed)["consent_statements"] == _counts(keyed)["suppressions"] == 0
    # back with a new account: what they say now counts, an opt-out above all
    record(keyed, [decision(1, customer_id="c9")])
    keyed.land(events=[_event("read")], statements=[_opt("opt_out", 2)], now=NOON)
    assert _counts(keyed)["inbound_events"] == 2
    assert _counts(keyed)["consent_statements"] == 1
    keyed.close()


def test_a_ledger_with_erasures_insists_on_their_key(any_ledger_url: str) -> None:
    without = Ledger(any_ledger_url)
    keyed = Ledger(any_ledger_url, erasure_key=KEY)
    assert keyed.erased_index() is None
    _erase(keyed)
    rows = record(keyed, [decision(2)])
    # one that was open before: it neither sends nor lands
    with pytest.raises(ConfigurationError, match="ERASURE_KEY is not set"):
        without.claim(rows, channel="whatsapp", run=start(without), now=NOON)
    with pytest.raises(ConfigurationError, match="ERASURE_KEY is not set"):
        without.land(events=[_event()], now=NOON)
    with pytest.raises(ConfigurationError, match="ERASURE_KEY is not set"):
        Ledger(any_ledger_url)
    with pytest.raises(ConfigurationError, match="not the key"):
        Ledger(any_ledger_url, erasure_key="another key that is long enough too")
    keyed.close()
    without.close()


def test_a_step_forgets_the_person_the_moment_it_is_done(keyed: Ledger) -> None:
    _erase(keyed, ASHA, "ledger", "sendgrid")
    for wanted in ("c1", "c1_former", "7", " 098000-00001 "):
        assert keyed.find_erasure(wanted) == "e1", wanted
    assert keyed.find_erasure("c2") is None
    (open_,) = keyed.list_open_erasures()
    done, failed = open_.steps
    keyed.settle_erasure_step(replace(done, status="done", counts={"intents": 2}))
    keyed.settle_erasure_step(replace(failed, status="failed", detail="http_500"))
    (open_,) = keyed.list_open_erasures()
    assert [(step.status, step.payload is None) for step in open_.steps] == [
        ("done", True),
        ("failed", False),
    ]
    assert open_.steps[0].counts == {"intents": 2}
    keyed.finish_erasure("e1", now=NOON)
    assert keyed.list_open_erasures() == []
    assert keyed.read_erasure("e1").finished_at == NOON
    keyed.close()


def test_ids_learned_at_a_pull_are_known_to_the_next(keyed: Ledger) -> None:
    _erase(keyed)
    index = keyed.erased_index()
    assert index is not None
    assert index.find("user", ["7", "8"]) == {"7": NOON}
    index.learn("order", {"CK1": NOON})
    again = keyed.erased_index()
    assert again is not None
    assert again.find("order", ["CK1", "CK2"]) == {"CK1": NOON}
    keyed.close()


def test_nothing_of_the_person_is_left_in_the_bytes_of_the_files(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}", erasure_key=KEY)
    _live(ledger)
    _erase(ledger)
    ledger.delete_person(ASHA)
    (open_,) = ledger.list_open_erasures()
    ledger.settle_erasure_step(replace(open_.steps[0], status="done"))
    assert ledger.compact()
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert phone(2).encode() in content
    for needle in (phone(1), phone(1)[3:], "c1_former", "i0001"):
        assert needle.encode() not in content
    ledger.close()


def test_a_reader_in_the_way_is_said_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_BUSY_TIMEOUT_MS", 300)
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}", erasure_key=KEY)
    _live(ledger)
    with ledger.engine.connect() as reader:
        reader.exec_driver_sql("select count(*) from intents").fetchall()
        ledger.delete_person(ASHA)
        # the reader still sees the old pages, so they cannot be dropped
        is_compact = ledger.compact()
    assert not is_compact
    assert ledger.compact()
    ledger.close()
