"""Which replies are an opt-out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activations.gateway.keywords import (
    START_PHRASES,
    STOP_PHRASES,
    ReplyKind,
    classify_reply,
    normalise_reply,
)


@pytest.mark.parametrize(
    "text",
    [
        "STOP", "Stop.", " stop!! ", "ＳＴＯＰ", "stop 🙏", "please stop", "Stop please",
        "#unsubscribe", "Opt-out", "opt out", "don't message me", "Stop promotions",
        "बंद", "बंद करो", "कृपया बंद करें", "रोकें", "मत भेजो",
        "band karo", "Band Karo bhai", "બંધ કરો", "বন্ধ করুন",
        "நிறுத்து", "ఆపండి", "ನಿಲ್ಲಿಸಿ", "നിർത്തുക", "بند کرو", "ਬੰਦ ਕਰੋ", "थांबवा",
    ],
)  # fmt: skip
def test_a_bare_request_to_stop_is_one(text: str) -> None:
    assert classify_reply(text) == ReplyKind.STOP


@pytest.mark.parametrize("text", ["START", "unstop", "शुरू करें", "चालू करो"])
def test_a_bare_request_to_start_is_one(text: str) -> None:
    assert classify_reply(text) == ReplyKind.START


@pytest.mark.parametrize(
    "text",
    [
        "", "🙏", "stop by at five", "can you start at 9?", "cancel my pickup", "no", "nonstop",
        "where do I unsubscribe from the newsletter of my bank", "दुकान बंद है क्या", "stop" * 30,
        "please",
    ],
)  # fmt: skip
def test_anything_longer_is_for_a_person(text: str) -> None:
    assert classify_reply(text) == ReplyKind.OTHER


def test_phrases_are_configurable() -> None:
    assert classify_reply("Basta!", stop_phrases=frozenset({"basta"})) == ReplyKind.STOP
    assert classify_reply("stop", stop_phrases=frozenset({"basta"})) == ReplyKind.OTHER


def test_no_phrase_means_both() -> None:
    stop = {normalise_reply(phrase) for phrase in STOP_PHRASES}
    start = {normalise_reply(phrase) for phrase in START_PHRASES}

    assert not stop & start
    assert "" not in stop | start


@given(
    st.sampled_from(sorted(STOP_PHRASES)),
    st.text(alphabet=" .!?,\n\u200d\u200c🙏#*\"'", max_size=8),
    st.text(alphabet=" .!?,\n\u200d\u200c🙏#*\"'", max_size=8),
    st.booleans(),
)
def test_decoration_and_case_change_nothing(
    phrase: str, before: str, after: str, is_upper: bool
) -> None:
    text = before + (phrase.upper() if is_upper else phrase) + after

    assert classify_reply(text) == ReplyKind.STOP


@given(st.text(max_size=200))
def test_any_text_is_classified_and_spaces_around_it_change_nothing(text: str) -> None:
    if len(text) < 70:
        assert classify_reply(f"  {text}\n ") == classify_reply(text)
    else:
        assert normalise_reply(f" {text} ") == normalise_reply(text)
