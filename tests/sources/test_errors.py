from __future__ import annotations

import pickle

import pytest

from orchestration.sources.errors import (
    SourceAuthError,
    SourceConfigError,
    SourceError,
    SourcePartialError,
    SourceUnreachableError,
    raise_collected,
    redact,
)
from orchestration.sources.landing import PullResult


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("postgresql://admin:hunter2@db/panel", "hunter2"),
        ("cannot log in asha.k@example.com", "asha.k"),
        ("row of +91 98765 43210 is broken", "98765"),
        ("row of 9876543210 is broken", "9876543210"),
        ("GET /x?access_token=abcdef&limit=1", "abcdef"),
        ("Authorization: Bearer pat-na1-1234", "pat-na1-1234"),
    ],
)
def test_nothing_secret_or_personal_survives_in_a_message(text: str, secret: str) -> None:
    assert secret not in redact(text)
    assert secret not in str(SourceAuthError(text, text, text))


def test_names_dates_and_ports_survive_in_a_message() -> None:
    text = "GA4 export file events_20261030.parquet at 127.0.0.1:54321 on 2026-10-30"
    assert redact(text) == text


def test_a_message_is_one_line_with_the_thing_and_the_next_step() -> None:
    error = SourceConfigError("The file", "is\nbroken", "export it again")
    assert str(error) == "The file: is broken. Next step: export it again"


def test_an_error_survives_a_process_boundary() -> None:
    error = SourceUnreachableError("server", "is down", "wait")
    error.results = (PullResult(source="ga4", table="ga4_events"),)
    for original in (error, SourcePartialError([error, SourceAuthError("a", "b", "c")])):
        copy = pickle.loads(pickle.dumps(original))
        assert type(copy) is type(original)
        assert str(copy) == str(original)
    assert pickle.loads(pickle.dumps(error)).results == error.results


def test_several_failures_become_one_error_that_is_transient_only_if_all_are() -> None:
    down = SourceUnreachableError("server", "is down", "wait")
    refused = SourceAuthError("user", "is refused", "renew")
    results = [PullResult(source="admin", table="admin_users")]
    with pytest.raises(SourcePartialError) as caught:
        raise_collected([down, refused], results)
    assert caught.value.causes == (down, refused)
    assert caught.value.results == tuple(results)
    assert not caught.value.is_transient
    assert SourcePartialError([down, down]).is_transient
    with pytest.raises(SourceAuthError):
        raise_collected([refused], [])
    raise_collected([], [])


def test_every_error_is_a_source_error() -> None:
    assert issubclass(SourcePartialError, SourceError)
