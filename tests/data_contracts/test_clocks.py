from __future__ import annotations

from datetime import UTC, datetime, timedelta

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_contracts.clocks import (
    BUSINESS_ZONE,
    Clock,
    business_day,
    business_day_sql,
    instant_sql,
    naive_utc,
    since_sql,
    stored_type,
    timestamp_literal,
)
from tests.data_contracts.raw_tables import write_value

WAREHOUSE = duckdb.connect(":memory:")
WHOLE_SECONDS = st.integers(min_value=631152000, max_value=3786912000).map(
    lambda seconds: datetime.fromtimestamp(seconds, tz=UTC)
)
CLOCKS_WITH_TIMES = [clock for clock in Clock if clock is not Clock.BUSINESS_DATE]


@pytest.fixture(scope="module", autouse=True)
def _close_warehouse():
    yield
    WAREHOUSE.close()


def read(sql: str, value: object, clock: Clock) -> object:
    statement = f"select {sql} from (select cast(? as {stored_type(clock)}) as t)"
    row = WAREHOUSE.execute(statement, [value]).fetchone()
    assert row is not None
    return row[0]


@settings(max_examples=60)
@given(instant=WHOLE_SECONDS, clock=st.sampled_from(CLOCKS_WITH_TIMES))
def test_every_clock_reads_back_the_instant_a_source_wrote(instant: datetime, clock: Clock):
    assert read(instant_sql("t", clock), write_value(instant, clock), clock) == naive_utc(instant)


@settings(max_examples=60)
@given(instant=WHOLE_SECONDS, clock=st.sampled_from(list(Clock)))
def test_every_clock_gives_the_indian_day(instant: datetime, clock: Clock):
    day = read(business_day_sql("t", clock), write_value(instant, clock), clock)
    assert day == instant.astimezone(BUSINESS_ZONE).date() == business_day(instant)


@settings(max_examples=80)
@given(
    instant=WHOLE_SECONDS,
    apart=st.integers(min_value=-200_000, max_value=200_000),
    clock=st.sampled_from(CLOCKS_WITH_TIMES),
)
def test_rows_since_an_instant_are_those_at_or_after_it(
    instant: datetime, apart: int, clock: Clock
):
    row = instant + timedelta(seconds=apart)
    assert read(since_sql('"t"', clock, instant), write_value(row, clock), clock) == (apart >= 0)


@pytest.mark.parametrize("clock", list(Clock))
def test_rows_without_a_time_are_looked_at_as_recent(clock: Clock):
    assert read(since_sql('"t"', clock, datetime(2026, 1, 1, tzinfo=UTC)), None, clock) is True


@pytest.mark.parametrize(
    ("clock", "value"),
    [
        (Clock.IST_TEXT, "2026-10-31T18:30:00Z"),
        (Clock.IST_TEXT, "2026-10-31 18:30:00Z"),
        (Clock.IST_TEXT, "31/10/2026 18:30"),
        (Clock.IST_TEXT, "2026-10-31"),
        (Clock.IST_TEXT, "1793471400000"),
        (Clock.IST_TEXT, ""),
        (Clock.ISO_Z, "2026-10-31 18:30:00"),
        (Clock.ISO_Z, "2026-10-31T18:30:00+05:30"),
        (Clock.ISO_Z, "yesterday"),
        (Clock.EPOCH_MS, -1),
        (Clock.EPOCH_MS, 9_223_372_036_854_775_807),
        (Clock.EPOCH_US, -1),
        (Clock.EPOCH_US, 9_223_372_036_854_775_807),
    ],
)
def test_a_value_in_another_form_is_unreadable_instead_of_wrong(clock: Clock, value: object):
    assert read(instant_sql("t", clock), value, clock) is None


@pytest.mark.parametrize(
    ("clock", "value"),
    [
        (Clock.IST_TEXT, "2026-11-01 00:00:00.250000"),
        (Clock.ISO_Z, "2026-10-31T18:30:00.250Z"),
        (Clock.EPOCH_MS, 1793471400250),
    ],
)
def test_fractions_of_a_second_are_kept(clock: Clock, value: object):
    expected = naive_utc(datetime(2026, 10, 31, 18, 30, 0, 250000, tzinfo=UTC))
    assert read(instant_sql("t", clock), value, clock) == expected


def test_an_instant_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="needs a zone"):
        timestamp_literal(datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None))
