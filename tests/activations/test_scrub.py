from __future__ import annotations

import pytest

from activations.scrub import scrub


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("The address asha.k@mail.example is bad", "The address [address] is bad"),
        ("(#131026) to +91 98123-45678 failed", "(#131026) to [number] failed"),
        ("id 123456 stays", "id 123456 stays"),
        ("two\nlines\tand  spaces", "two lines and spaces"),
    ],
)
def test_people_are_taken_out_of_a_providers_words(said: str, kept: str) -> None:
    assert scrub(said) == kept


def test_long_words_are_cut() -> None:
    assert len(scrub("word " * 500)) <= 200
