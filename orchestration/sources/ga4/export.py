"""What every way of reaching a GA4 export has in common.

What belongs here: the names of export tables and the protocol a reader of them follows. What does
not: files (`files`), BigQuery (`bigquery`), and deciding what to load (`client`).
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

import duckdb

_TABLE_NAME = re.compile(r"^events_(intraday_)?(\d{8})$")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportTable:
    """One table of the export.

    Attributes:
        name: `events_YYYYMMDD` or `events_intraday_YYYYMMDD`.
        table_date: Its day, in the property's zone.
        is_intraday: Whether it is the provisional table of a day.
    """

    name: str
    table_date: date
    is_intraday: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a table looks like at the source, without having read its rows.

    Attributes:
        fingerprint: Text to keep; another text means that the table may have changed.
        is_known_content: Whether the rows are surely those read under the known fingerprint.
    """

    fingerprint: str
    is_known_content: bool


class ExportReader(Protocol):
    """A way of reaching export tables.

    Attributes:
        is_cheap_to_reread: Whether reading an unchanged table again costs next to nothing.
    """

    is_cheap_to_reread: bool

    def list_tables(self) -> list[ExportTable]:
        """Return the tables there are."""
        ...

    def look(self, table: ExportTable, known: str | None, *, is_in_window: bool) -> Look:
        """Say whether a table may differ from what was read under fingerprint `known`."""
        ...

    def open_table(
        self, connection: duckdb.DuckDBPyConnection, table: ExportTable
    ) -> AbstractContextManager[str]:
        """Give the table's rows as a relation for SQL, of whatever columns and types it has."""
        ...

    def note(self, connection: duckdb.DuckDBPyConnection, table: ExportTable) -> str | None:
        """Say what a person should know of a table that its relation does not show, or None."""
        ...

    def describe(self, table: ExportTable) -> str:
        """Name the table for a message."""
        ...


def parse_table_name(name: str) -> ExportTable | None:
    """Return the export table called `name`, or None when no export table is called so."""
    match = _TABLE_NAME.match(name)
    if match is None:
        return None
    try:
        # The day's date only; no zone is involved.
        day = datetime.strptime(match[2], "%Y%m%d").date()  # noqa: DTZ007
    except ValueError:
        return None
    return ExportTable(name=name, table_date=day, is_intraday=match[1] is not None)
