from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activations.errors import ConfigurationError, TokenError
from activations.links import make_link, make_unsubscribe, parse_token

_TARGET = "https://shop.example/q/77?a=1&b=%20#top"
_KEYS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1)


def _token(link: str) -> str:
    return link.rpartition("/")[2]


def test_a_redirect_link_says_its_message_and_target() -> None:
    link = make_link("s", "https://go.example/", "intent-1", _TARGET)

    assert link.startswith("https://go.example/r/")
    token = parse_token("s", _token(link))
    assert (token.kind, token.intent_key, token.target_url) == ("redirect", "intent-1", _TARGET)


def test_an_unsubscribe_link_holds_the_message_and_no_address() -> None:
    link = make_unsubscribe("s", "https://go.example", "intent-1")

    assert link.startswith("https://go.example/u/")
    token = parse_token("s", _token(link))
    assert (token.kind, token.intent_key, token.target_url) == ("unsubscribe", "intent-1", None)


@given(key=_KEYS, secret=st.text(min_size=1).filter(lambda text: text.isprintable()))
def test_any_key_survives_the_round_trip(key: str, secret: str) -> None:
    assert parse_token(secret, _token(make_unsubscribe(secret, "https://g", key))).intent_key == key


@given(position=st.integers(min_value=0), replacement=st.characters(max_codepoint=0x2FF))
def test_a_changed_token_is_refused(position: int, replacement: str) -> None:
    token = _token(make_link("s", "https://g", "intent-1", _TARGET))
    place = position % len(token)
    changed = token[:place] + replacement + token[place + 1 :]
    if changed != token:
        with pytest.raises(TokenError):
            parse_token("s", changed)


@given(length=st.integers(min_value=0, max_value=500))
def test_a_cut_token_is_refused(length: int) -> None:
    token = _token(make_link("s", "https://g", "intent-1", _TARGET))
    if length < len(token):
        with pytest.raises(TokenError):
            parse_token("s", token[:length])


def test_a_token_of_another_secret_is_refused() -> None:
    with pytest.raises(TokenError, match="another secret"):
        parse_token("other", _token(make_unsubscribe("s", "https://g", "i")))


def test_a_token_for_one_purpose_cannot_be_used_for_the_other() -> None:
    token = parse_token("s", _token(make_unsubscribe("s", "https://g", "i")))
    assert token.kind == "unsubscribe"


@pytest.mark.parametrize(
    "target", ["javascript:alert(1)", "//evil.example", "ftp://x/y", "https://", "", "http://[::1"]
)
def test_only_web_addresses_are_signed(target: str) -> None:
    with pytest.raises(TokenError, match="http"):
        make_link("s", "https://g", "i", target)


def test_links_without_a_secret_are_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="secret"):
        make_unsubscribe("", "https://g", "i")


def test_a_link_is_short_enough_for_a_message() -> None:
    link = make_link("s", "https://go.example", "a" * 32, "https://shop.example/q/" + "b" * 40)
    assert len(link) < 220
    assert base64.urlsafe_b64decode(_token(link).partition(".")[2] + "==")
