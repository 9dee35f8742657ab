"""The latest moment that the raw data can be believed to show.

What belongs here: which columns of raw are moments something happened, and in whose clock. What
does not: the run's as-of itself, which a person or the schedule decides and for which this is only
the proposal (`make run SOURCE=DIR` without AS_OF).

Promised moments (pickup slots) do not count, nor does `ts_epoch_ms` of channel events, whose
senders had clocks and zones of their own. GA4 rows count by event time plus Google's correction of
the device's clock, and only up to the end of their table's day.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import duckdb

from orchestration.sources.landing import RAW_SCHEMA, quote

_LOCAL_MOMENTS: dict[str, tuple[str, ...]] = {
    "admin_users": ("created_at", "updated_at", "deleted_at"),
    "admin_consents": ("changed_at",),
    "admin_quotes": ("created_at",),
    "admin_orders": ("created_at", "updated_at", "completed_at"),
    "admin_order_status_history": ("changed_at",),
    "admin_pickups": ("created_at", "updated_at"),
    "admin_documents": ("uploaded_at",),
    "admin_payouts": ("paid_at",),
    "admin_feedback": ("created_at",),
}
_UTC_MOMENTS: dict[str, tuple[str, ...]] = {
    "crm_contacts": ("created_at",),
    "crm_journey_entries": ("entered_at",),
    "crm_messages": ("sent_at",),
    "crm_channel_events": ("received_at",),
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_latest_moment(
    connection: duckdb.DuckDBPyConnection, *, tenant_timezone: str = "Asia/Kolkata"
) -> datetime | None:
    """Return the latest moment in raw as aware UTC, or None when raw shows none.

    Args:
        connection: Open warehouse; tables that are not there yet are passed over.
        tenant_timezone: Zone of the admin panel's times and of GA4's days.
    """
    zone = ZoneInfo(tenant_timezone)
    present = {
        row[0]
        for row in connection.execute(
            "select table_name from duckdb_tables() where schema_name = ?"
            " and database_name = current_database()",
            [RAW_SCHEMA],
        ).fetchall()
    }
    moments = [
        moment.replace(tzinfo=zone).astimezone(UTC)
        for moment in _latest_of(connection, _LOCAL_MOMENTS, present, "timestamp")
    ]
    moments += [
        moment.astimezone(UTC)
        for moment in _latest_of(connection, _UTC_MOMENTS, present, "timestamptz")
    ]
    if "ga4_events" in present:
        moments += _latest_events(connection, zone)
    return max(moments, default=None)


def _latest_of(
    connection: duckdb.DuckDBPyConnection,
    columns: dict[str, tuple[str, ...]],
    present: Iterable[str],
    type_: str,
) -> list[datetime]:
    maxima = [
        f"select max(try_cast({quote(name)} as {type_})) as moment from {RAW_SCHEMA}.{quote(table)}"
        for table, names in columns.items()
        if table in present
        for name in names
    ]
    if not maxima:
        return []
    rows = connection.execute(
        f"select cast(max(moment) as timestamp) from ({' union all '.join(maxima)})"
        if type_ == "timestamp"
        else f"select epoch_us(max(moment)) from ({' union all '.join(maxima)})"
    ).fetchall()
    return [
        value if isinstance(value, datetime) else _EPOCH + timedelta(microseconds=value)
        for (value,) in rows
        if value is not None
    ]


def _latest_events(connection: duckdb.DuckDBPyConnection, zone: ZoneInfo) -> list[datetime]:
    days: list[tuple[date]] = connection.execute(
        "select distinct _table_date from raw.ga4_events where _table_date is not null"
    ).fetchall()
    if not days:
        return []
    ends = ", ".join(f"(date '{day.isoformat()}', {_end_of(day, zone)})" for (day,) in days)
    happened = "events.event_timestamp + coalesce(events.event_server_timestamp_offset, 0)"
    row = connection.execute(
        f"select max({happened}) from raw.ga4_events as events"
        f" join (values {ends}) as days (day, end_us) on days.day = events._table_date"
        f" where {happened} < days.end_us"
    ).fetchone()
    return [] if row is None or row[0] is None else [_EPOCH + timedelta(microseconds=row[0])]


def _end_of(day: date, zone: ZoneInfo) -> int:
    """Return the microsecond (since 1970 UTC) at which a day of the zone is over."""
    end = datetime.combine(day + timedelta(days=1), time(), zone)
    return (end.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)
