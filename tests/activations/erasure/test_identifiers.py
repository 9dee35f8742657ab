"""One spelling, one hash: whatever way a phone or an e-mail is written."""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from activations.erasure import ErasedIndex, KeyedHash, Kind, Person, normalise
from activations.erasure.identifiers import fold_email, hashes_of, phone_tail, read_phone
from activations.errors import ConfigurationError

KEY = "k" * 32
AT = datetime(2026, 11, 1, tzinfo=UTC)
REPOSITORY = Path(__file__).resolve().parents[3]
MOBILES = st.from_regex(r"[6-9][0-9]{9}", fullmatch=True)
SPELLINGS = (
    "{0}",
    "0{0}",
    "+91{0}",
    "91{0}",
    "0091{0}",
    "+91 {1} {2}",
    "+91-{1}-{2}",
    "(+91) {1} {2}",
    " {1} {2} ",
    "{0}.0",
    "0{1}-{2}",
)
DEVANAGARI = str.maketrans("0123456789", "०१२३४५६७८९")


def _index(person: Person, key: str = KEY) -> ErasedIndex:
    keyed = KeyedHash(key)
    entries: dict[Kind, dict[str, datetime]] = {}
    for kind, digest in hashes_of(person, keyed):
        entries.setdefault(kind, {})[digest] = AT
    return ErasedIndex(keyed, entries)


@given(number=MOBILES, spelling=st.sampled_from(SPELLINGS), other=MOBILES)
def test_every_spelling_of_an_erased_phone_is_found_and_no_other_phone(
    number: str, spelling: str, other: str
) -> None:
    index = _index(Person(values={Kind.PHONE: (f"+91{number}",)}))
    written = spelling.format(number, number[:5], number[5:])
    spellings = {written, written.removesuffix(".0").translate(DEVANAGARI)}
    assert set(index.find("phone", spellings)) == spellings
    if other != number:
        assert index.find("phone", [spelling.format(other, other[:5], other[5:])]) == {}


@given(text=st.text(max_size=30))
def test_no_text_breaks_the_look_up(text: str) -> None:
    index = _index(Person(values={Kind.PHONE: ("+919812345678",), Kind.EMAIL: ("a@b.example",)}))
    for kind in Kind:
        assert set(index.find(kind, [text])) <= {text}
    phone_tail(text)


def test_phones_are_read_as_identity_reads_them() -> None:
    path = REPOSITORY / "dbt_project/models/intermediate/identity/int_phones.py"
    spec = importlib.util.spec_from_file_location("int_phones", path)
    assert spec is not None
    assert spec.loader is not None
    model = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(model)
    for text in ("+91 98123 45678", "098123-45678", "9812345678.0", "+971501234567", "०९८१२३४५६७८"):
        assert read_phone(text) == model.read_phone(text)[0]


@given(mailbox=st.from_regex(r"[a-z0-9.]{1,12}(\+[a-z]{0,4})?", fullmatch=True))
@pytest.mark.parametrize("domain", ["gmail.com", "googlemail.com", "shop.example"])
def test_e_mails_are_folded_as_the_macro_does(domain: str, mailbox: str) -> None:
    address = f"{mailbox}@{domain}"
    box, place = "split_part(split_part($a, '@', 1), '+', 1)", "split_part($a, '@', 2)"
    with duckdb.connect() as connection:
        row = connection.execute(
            f"select case when {place} in ('gmail.com', 'googlemail.com') then replace({box}, '.', '') ||"
            f" '@gmail.com' when {box} <> '' then {box} || '@' || {place} else $a end",
            {"a": address},
        ).fetchone()
    assert row == (fold_email(address),)
    assert fold_email(f" {address.upper()} ") == fold_email(address)


def test_a_hash_belongs_to_its_kind_and_its_key() -> None:
    one, other = KeyedHash(KEY), KeyedHash("o" * 32)
    hashes = {one.of(Kind.USER, "7"), one.of(Kind.ORDER, "7"), other.of(Kind.USER, "7")}
    assert len(hashes) == 3
    assert one.check != other.check
    assert KEY not in repr(one) + one.check


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="ERASURE_KEY"):
        KeyedHash("short")


def test_a_person_never_shows_in_a_repr_and_survives_json() -> None:
    person = Person(values={Kind.PHONE: ("+919812345678",), Kind.EMAIL: ("a@b.example",)})
    assert "98123" not in repr(person)
    assert Person.from_json(person.to_json()) == person
    assert normalise(Kind.PHONE, "no phone") is None
    assert normalise(Kind.EMAIL, "no mail") is None


def test_what_is_learned_is_kept_once() -> None:
    kept: list[tuple[Kind, int]] = []
    index = ErasedIndex(KeyedHash(KEY), {}, keep=lambda kind, new: kept.append((kind, len(new))))
    assert not index.knows("order")
    index.learn("order", {"CK1": AT, "CK2": AT})
    index.learn("order", {"CK2": AT})
    assert kept == [(Kind.ORDER, 2)]
    assert index.find("order", ["CK1", "CK3"]) == {"CK1": AT}
