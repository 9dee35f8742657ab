from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from activations.clock import FixedClock, SystemClock
from tests.activations.world import HOUR, NOON


def test_a_fixed_clock_stands_until_it_is_told_to_advance() -> None:
    clock = FixedClock(NOON)
    assert clock.now() == NOON
    clock.advance_to(NOON + HOUR)
    assert clock.now() == NOON + HOUR


def test_a_fixed_clock_does_not_run_backwards_or_without_a_zone() -> None:
    clock = FixedClock(NOON)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance_to(NOON - HOUR)
    with pytest.raises(ValueError, match="time zone"):
        FixedClock(datetime(2026, 1, 1))  # noqa: DTZ001 - the fault under test


def test_instants_are_utc_whatever_zone_they_came_in() -> None:
    ist = timezone(timedelta(hours=5, minutes=30))
    assert FixedClock(NOON.astimezone(ist)).now().tzinfo is UTC
    assert SystemClock().now().tzinfo is UTC
