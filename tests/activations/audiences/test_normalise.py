from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activations.audiences.normalise import (
    hash_email,
    hash_phone,
    normalise_email,
    normalise_phone,
)


def test_the_published_vectors_are_reproduced() -> None:
    assert hash_email("john_smith@gmail.com").startswith("62a14e44")
    assert hash_email(" John_Smith@GMAIL.com ").startswith("62a14e44")
    assert hash_phone("+1 (650) 555-1212").startswith("e323ec62")
    assert hash_phone("16505551212").startswith("e323ec62")


def test_a_mailbox_keeps_its_dots_and_tags() -> None:
    assert normalise_email(" A.B+c@Gmail.com") == "a.b+c@gmail.com"


@pytest.mark.parametrize(
    "written",
    [
        "9812345678",
        "09812345678",
        "919812345678",
        "00919812345678",
        "+919812345678",
        "+91 98123-45678",
    ],
)
def test_an_indian_mobile_has_one_form_however_it_is_written(written: str) -> None:
    assert normalise_phone(written) == "919812345678"


def test_a_foreign_number_is_not_read_as_indian() -> None:
    assert normalise_phone("+65 9812 3456") == "6598123456"
    assert normalise_phone("00442071838750") == "442071838750"


def test_nothing_is_hashed_to_nothing() -> None:
    assert hash_email("  ") == ""
    assert hash_phone("n/a") == ""


@given(st.text(max_size=30))
def test_a_hash_is_empty_or_lower_case_hex_of_what_was_normalised(text: str) -> None:
    for digest, normalised in (
        (hash_email(text), normalise_email(text)),
        (hash_phone(text), normalise_phone(text)),
    ):
        expected = hashlib.sha256(normalised.encode()).hexdigest() if normalised else ""
        assert digest == expected


@given(st.text(max_size=30))
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    once = normalise_email(text)
    assert normalise_email(once) == once
