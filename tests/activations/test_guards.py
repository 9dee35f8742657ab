from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activations.errors import InvalidAddressError, VolumeError
from activations.guards import (
    check_email,
    check_phone,
    check_volume,
    find_kill_switch,
    is_opted_out,
    is_suppressed,
)
from activations.rows import ConsentStatement, Suppression
from tests.activations.world import HOUR, NOON

_STATEMENTS = st.lists(
    st.builds(
        ConsentStatement,
        address=st.just("+919800000001"),
        channel=st.just("whatsapp"),
        purpose=st.sampled_from(["promotional", "service", "all"]),
        status=st.sampled_from(["opt_in", "opt_out"]),
        source=st.just("provider"),
        stated_at=st.integers(0, 5).map(lambda hours: NOON + hours * HOUR),
        received_at=st.just(NOON),
    ),
    max_size=8,
)
_PURPOSES = st.sampled_from(["promotional", "service", "transactional"])


@given(statements=_STATEMENTS, purpose=_PURPOSES, data=st.data())
def test_the_order_in_which_statements_arrived_does_not_matter(
    statements: list[ConsentStatement], purpose: str, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(statements))
    assert is_opted_out(purpose, statements) == is_opted_out(purpose, shuffled)


@given(statements=_STATEMENTS, purpose=_PURPOSES)
def test_a_newer_opt_out_of_everything_always_blocks(
    statements: list[ConsentStatement], purpose: str
) -> None:
    last = ConsentStatement(
        address="+919800000001",
        channel="whatsapp",
        purpose="all",
        status="opt_out",
        source="complaint",
        stated_at=NOON + 6 * HOUR,
        received_at=NOON,
    )
    assert is_opted_out(purpose, [*statements, last])
    assert is_opted_out(purpose, [*statements, last], consent_at=NOON + 5 * HOUR)
    assert not is_opted_out(purpose, [*statements, last], consent_at=NOON + 7 * HOUR)


@given(statements=_STATEMENTS, purpose=_PURPOSES)
def test_without_any_opt_out_nobody_is_opted_out(
    statements: list[ConsentStatement], purpose: str
) -> None:
    agreed = [item for item in statements if item.status == "opt_in"]
    assert not is_opted_out(purpose, agreed)


@given(
    scope=st.sampled_from(["all", "promotional"]),
    hours=st.none() | st.integers(-3, 3),
    purpose=_PURPOSES,
)
def test_a_suppression_binds_its_scope_until_its_end(
    scope: str, hours: int | None, purpose: str
) -> None:
    item = Suppression(
        address="a",
        channel="whatsapp",
        scope="all" if scope == "all" else "promotional",
        reason="r",
        since=NOON,
        until=None if hours is None else NOON + hours * HOUR,
    )
    expected = (scope == "all" or purpose == "promotional") and (hours is None or hours > 0)
    assert is_suppressed(purpose, [item], now=NOON) == expected


@pytest.mark.parametrize(
    ("scopes", "found"),
    [
        ([], None),
        (["journey:other", "channel:email"], None),
        (["journey:winback"], "journey:winback"),
        (["channel:whatsapp"], "channel:whatsapp"),
        (["all"], "all"),
    ],
)
def test_a_kill_switch_stops_what_it_names(scopes: list[str], found: str | None) -> None:
    assert find_kill_switch(scopes, journey_key="winback", channel="whatsapp") == found


def test_the_volume_guard_lets_the_maximum_pass_and_not_one_more() -> None:
    check_volume(10, 10, channel="email")
    check_volume(10_000_000, None, channel="email")
    with pytest.raises(VolumeError, match="raise the maximum for this run"):
        check_volume(11, 10, channel="email")


@pytest.mark.parametrize("address", ["+919812345678", "+16505551212"])
def test_an_international_number_passes(address: str) -> None:
    check_phone(address)


@pytest.mark.parametrize(
    "address", ["919812345678", "+0123456789", "+91 98123 45678", "+91981234567８", "", "+1\n2"]
)
def test_any_other_number_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(InvalidAddressError) as raised:
        check_phone(address)
    assert not address or address not in str(raised.value)


@pytest.mark.parametrize("address", ["a@b.co", "first.last+tag@sub.mail.example", "ü@münchen.de"])
def test_an_ordinary_mailbox_passes(address: str) -> None:
    check_email(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "nobody",
        "a@b",
        "a b@c.de",
        "a@b.de, c@d.ef",
        '"x"@b.de',
        "a@b.de\n",
        "x" * 250 + "@b.de",
    ],
)
def test_what_is_no_single_mailbox_is_refused(address: str) -> None:
    with pytest.raises(InvalidAddressError):
        check_email(address)
