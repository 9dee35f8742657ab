"""The clocks of the source systems as SQL. What belongs: reading and writing instants of a column.

What does not: deciding how old is too old (`checks`) and any clock of our own: `as_of` is always
an argument.

Every clock turns a column into a naive UTC `TIMESTAMP`, or NULL where the value cannot be read.
Nothing here raises on data: a text that is no instant is a finding, not an error.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum

# The business runs in one zone without daylight saving, so an offset is the whole rule.
BUSINESS_OFFSET = timedelta(hours=5, minutes=30)
BUSINESS_ZONE = timezone(BUSINESS_OFFSET, "IST")

_OFFSET_SQL = "interval 330 minute"

# Last moment DuckDB can hold as epoch microseconds without overflow is far later; beyond the year
# 9999 no source means what it says.
_YEAR_9999_MS = 253402300799999


class Clock(StrEnum):
    """How a column tells an instant.

    `iso_z` text such as 2026-10-31T18:30:00Z · `ist_text` text such as 2026-11-01 00:00:00 in
    Indian time without a zone · `epoch_us`, `epoch_ms` integers since 1970 in UTC · `utc` a
    TIMESTAMP that is UTC without saying so · `business_date` a DATE in Indian time.
    """

    ISO_Z = "iso_z"
    IST_TEXT = "ist_text"
    EPOCH_US = "epoch_us"
    EPOCH_MS = "epoch_ms"
    UTC = "utc"
    BUSINESS_DATE = "business_date"


TEXT_CLOCKS = frozenset({Clock.ISO_Z, Clock.IST_TEXT})


def quote(identifier: str) -> str:
    """Returns the identifier in double quotes, for SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def naive_utc(instant: datetime) -> datetime:
    """Returns the instant as the warehouse stores it: UTC without a zone.

    Raises:
        ValueError: the instant has no zone, so nobody can know what it means.
    """
    if instant.tzinfo is None:
        raise ValueError("an instant needs a zone: pass an aware datetime")
    return instant.astimezone(UTC).replace(tzinfo=None)


def timestamp_literal(instant: datetime) -> str:
    """Returns the instant as a SQL literal of type TIMESTAMP, in UTC."""
    return f"timestamp '{naive_utc(instant).isoformat(sep=' ', timespec='microseconds')}'"


def business_day(instant: datetime) -> date:
    """Returns the calendar day of the business zone in which the instant falls."""
    return instant.astimezone(BUSINESS_ZONE).date()


def instant_sql(column: str, clock: Clock) -> str:
    """Returns SQL that reads the column as a naive UTC TIMESTAMP, NULL where it cannot.

    A text is read strictly in its own form, because a text in another form is how a changed
    clock shows itself: `...Z` in a column of Indian time would be wrong by five and a half hours.

    Args:
        column: name of the column, unquoted.
        clock: how the column tells time.
    """
    name = quote(column)
    if clock is Clock.ISO_Z:
        return f"try_strptime({name}, ['%Y-%m-%dT%H:%M:%SZ', '%Y-%m-%dT%H:%M:%S.%fZ'])"
    if clock is Clock.IST_TEXT:
        parsed = f"try_strptime({name}, ['%Y-%m-%d %H:%M:%S', '%Y-%m-%d %H:%M:%S.%f'])"
        return f"({parsed} - {_OFFSET_SQL})"
    if clock is Clock.EPOCH_US:
        in_range = f"{name} between 0 and {_YEAR_9999_MS * 1000}"
        return f"(case when {in_range} then make_timestamp({name}) end)"
    if clock is Clock.EPOCH_MS:
        in_range = f"{name} between 0 and {_YEAR_9999_MS}"
        return f"(case when {in_range} then epoch_ms({name}) end)"
    if clock is Clock.BUSINESS_DATE:
        return f"(cast({name} as timestamp) - {_OFFSET_SQL})"
    return name


def business_day_sql(column: str, clock: Clock) -> str:
    """Returns SQL for the business day (DATE) of the column's instant."""
    if clock is Clock.BUSINESS_DATE:
        return quote(column)
    return f"cast({instant_sql(column, clock)} + {_OFFSET_SQL} as date)"


def since_sql(expression: str, clock: Clock, instant: datetime) -> str:
    """Returns SQL that is true for rows at or after the instant, compared in the column's own form.

    Comparing the stored form lets the engine skip blocks by their minimum and maximum, which a
    parsed text would not. Rows without a value count as recent: they must be looked at.

    Args:
        expression: SQL of the stored value, of the type the clock keeps.
        clock: how the value tells time.
        instant: aware; fractions of a second are dropped, so at most a second too many is read.
    """
    whole = instant.astimezone(UTC).replace(microsecond=0)
    local = whole.astimezone(BUSINESS_ZONE)
    literal = {
        Clock.ISO_Z: f"'{whole:%Y-%m-%dT%H:%M:%S}'",
        Clock.IST_TEXT: f"'{local:%Y-%m-%d %H:%M:%S}'",
        Clock.EPOCH_US: str(int(whole.timestamp()) * 1_000_000),
        Clock.EPOCH_MS: str(int(whole.timestamp()) * 1_000),
        Clock.UTC: timestamp_literal(whole),
        Clock.BUSINESS_DATE: f"date '{local:%Y-%m-%d}'",
    }[clock]
    return f"({expression} >= {literal} or {expression} is null)"


def stored_type(clock: Clock) -> str:
    """Returns the SQL type in which a column with this clock is stored."""
    return {
        Clock.ISO_Z: "varchar",
        Clock.IST_TEXT: "varchar",
        Clock.EPOCH_US: "bigint",
        Clock.EPOCH_MS: "bigint",
        Clock.UTC: "timestamp",
        Clock.BUSINESS_DATE: "date",
    }[clock]
