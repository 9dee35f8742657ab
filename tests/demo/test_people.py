from __future__ import annotations

import numpy as np
import phonenumbers
from hypothesis import given
from hypothesis import strategies as st

from orchestration.demo.catalogue import PhoneKind
from orchestration.demo.mess import spell_phone
from orchestration.demo.people import People
from orchestration.demo.rng import Draws

CROWD = People(Draws(11))


@given(st.integers(0, 2_000_000), st.integers(0, 1), st.integers(0, 1000))
def test_a_number_leads_back_to_its_person(person: int, slot: int, seed: int) -> None:
    people = People(Draws(seed))
    number = int(people.own_phone(np.array([person]), slot)[0])
    assert people.person_of_phone(number) == person


@given(st.integers(0, 2_000_000), st.integers(0, 1))
def test_an_address_leads_back_to_its_person(person: int, slot: int) -> None:
    address = CROWD.emails(np.array([person]), slot)[0]
    local, _, domain = address.partition("@")
    typed = f" {local[:2]}.{local[2:]}+shop@{domain}".upper()
    assert People.person_of_email(address) == person
    assert People.person_of_email(typed) == person


def test_numbers_of_strangers_lead_to_nobody() -> None:
    assert CROWD.person_of_phone(9_000_000_123) == -1
    assert CROWD.person_of_phone(9_999_999_999) == -1
    assert People.person_of_email("info@example.com") == -1


def test_own_numbers_are_unique_valid_indian_mobiles() -> None:
    numbers = CROWD.own_phone(np.arange(20_000), 0)
    assert len(np.unique(numbers)) == len(numbers)
    for number in numbers[:300].tolist():
        parsed = phonenumbers.parse(f"+91{number}")
        assert phonenumbers.number_type(parsed) == phonenumbers.PhoneNumberType.MOBILE


def test_every_kind_of_phone_is_given() -> None:
    kinds = set(CROWD.phone_kind(np.arange(5000)).tolist())
    assert kinds == {int(kind) for kind in PhoneKind}


def test_a_household_shares_its_number() -> None:
    person = np.arange(4000)
    kind = CROWD.phone_kind(person)
    pairs = (kind[0::2] == PhoneKind.HOUSEHOLD) & (kind[1::2] == PhoneKind.HOUSEHOLD)
    phones = CROWD.phone(person)
    assert pairs.sum() > 20
    assert (phones[0::2][pairs] == phones[1::2][pairs]).all()


def test_spellings_keep_the_digits() -> None:
    for style in range(12):
        digits = "".join(mark for mark in spell_phone(6_912_345_678, style) if mark.isdigit())
        plain = "".join(str(int(mark)) for mark in digits)
        # ``9876543210.0`` is the one spelling that adds a digit at the end.
        assert plain.removesuffix("0" if style == 9 else "").endswith("6912345678")
