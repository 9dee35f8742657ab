"""Pulls the GA4 export into `raw.ga4_events`, table by table.

What belongs here: which export tables are read again, and how their rows replace those in raw.
What does not: reading files or BigQuery (`files`, `bigquery`), deduplication of rows and the choice
between the provisional and the daily table of a day (staging).

A day's life: `events_intraday_D` during the day, `events_D` the next day, rewritten under the same
name up to three days later. So each pull reads again

* every table never read or whose fingerprint changed, and
* every table of the newest `window_days` days before the newest table, whatever its fingerprint
  says: a file's bytes at every pull, a BigQuery daily table every `window_reread_every`, a
  provisional BigQuery table at every pull;

and replaces that table's rows as a whole, one table a transaction, unless they are the same.
A provisional table's rows go when it has vanished at the source and its daily table is in raw.
A daily table that vanished stays: exports expire, history does not.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import duckdb

from orchestration.sources.erased import Erased, leave_out_erased
from orchestration.sources.errors import (
    SourceAuthError,
    SourceConfigError,
    SourceError,
    SourceFileError,
    SourceUnreachableError,
    raise_collected,
)
from orchestration.sources.ga4 import schema
from orchestration.sources.ga4.bigquery import BigQueryReader
from orchestration.sources.ga4.export import ExportReader, ExportTable, parse_table_name
from orchestration.sources.ga4.files import FolderReader
from orchestration.sources.landing import (
    LandedCounts,
    PullResult,
    PullState,
    apply_replace,
    delete_state,
    digest,
    ensure_table,
    literal,
    note_change,
    quote,
    read_states,
    require_aware,
    transaction,
    write_state,
)

SOURCE = "ga4"
TABLES = (schema.EVENTS.name,)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ga4Config:
    """Where the export is.

    Attributes:
        uri: A folder (plain path or `file://`) or `bigquery://project/dataset`; the latter may
            name another server as `?endpoint=http://host:port`.
        endpoint: The other server, when the URI does not name it. Such a server gets no
            credentials.
        window_days: Days before the newest table that are read again (Google: up to 3).
        window_reread_every: How often a BigQuery daily table in the window whose fingerprint did
            not change is read again all the same.
        timeout_seconds: Patience with one request to BigQuery, retries included.
        page_rows: Rows of one page from BigQuery.
    """

    uri: str
    endpoint: str | None = None
    window_days: int = 3
    window_reread_every: timedelta = timedelta(hours=6)
    timeout_seconds: float = 60.0
    page_rows: int = 20_000


@dataclass(slots=True)
class _Tally:
    """What a pull has done so far."""

    read: int = 0
    written: int = 0
    removed: int = 0
    erased: int = 0

    def add(self, read: int, counts: LandedCounts, erased: int) -> None:
        self.read += read + erased
        self.erased += erased
        self.written += counts.written
        self.removed += counts.removed


@contextmanager
def _open_reader(config: Ga4Config) -> Iterator[ExportReader]:
    parts = urlsplit(config.uri)
    if parts.scheme == "bigquery":
        dataset = parts.path.strip("/")
        if not parts.netloc or not dataset or "/" in dataset:
            raise SourceConfigError(
                "GA4_EXPORT_URI",
                "is not of the form bigquery://project/dataset",
                "set it to the dataset of the GA4 property's BigQuery link",
            )
        reader = BigQueryReader(
            parts.netloc,
            dataset,
            endpoint=config.endpoint or (parse_qs(parts.query).get("endpoint") or [None])[0],
            timeout_seconds=config.timeout_seconds,
            page_rows=config.page_rows,
        )
        try:
            yield reader
        finally:
            reader.close()
    elif parts.scheme == "file":
        yield FolderReader(Path(unquote(parts.path)))
    elif "://" not in config.uri and config.uri:
        yield FolderReader(Path(config.uri))
    else:
        raise SourceConfigError(
            "GA4_EXPORT_URI",
            f"has the unknown scheme {parts.scheme or 'of an empty value'}",
            "set it to a folder, file:///folder or bigquery://project/dataset;"
            " copy an object-store prefix to a folder first",
        )


def pull(
    connection: duckdb.DuckDBPyConnection,
    config: Ga4Config,
    *,
    as_of: datetime,
    tables: Sequence[str] | None = None,
    erased: Erased | None = None,
) -> list[PullResult]:
    """Bring `raw.ga4_events` up to what the export shows.

    Args:
        connection: Open warehouse, for writing.
        config: Where the export is.
        as_of: The run's clock (aware); only decides what of the window is due for another read.
        tables: Raw tables wanted; all when None.
        erased: Who was erased: their rows are left out. None for nobody.

    Returns:
        One result, for `ga4_events`.

    Raises:
        SourceError: The export cannot be reached, or some of its tables cannot be read. The
            others are loaded and committed then; the rows loaded before from a table that cannot
            be read stay. `results` on the error says what was done.
    """
    as_of = require_aware(as_of)
    unknown = sorted(set(tables or ()) - set(TABLES))
    if unknown:
        raise SourceConfigError(
            f"GA4 source: {', '.join(unknown)}", "no such table", f"ask for {', '.join(TABLES)}"
        )
    ensure_table(connection, schema.EVENTS)
    if tables is not None and not tables:
        return []
    with _open_reader(config) as reader:
        return _pull_tables(connection, reader, config, as_of, erased)


def _pull_tables(
    connection: duckdb.DuckDBPyConnection,
    reader: ExportReader,
    config: Ga4Config,
    as_of: datetime,
    erased: Erased | None,
) -> list[PullResult]:
    listed = sorted(reader.list_tables(), key=lambda table: (table.table_date, table.name))
    newest = listed[-1].table_date
    window_start = newest - timedelta(days=config.window_days)
    states = read_states(connection, SOURCE, schema.EVENTS.name)
    in_raw = _count_by_table(connection)
    tally = _Tally()
    failures: list[SourceError] = []
    notes: dict[str, None] = {}
    for table in listed:
        state = states.get(table.name)
        if state is not None and state.row_count != in_raw.get(table.name, 0):
            state = None  # raw was changed by other hands: whatever was known does not count
        is_due = state is None or _is_due(table, state, reader, config, as_of)
        try:
            look = reader.look(
                table,
                state.fingerprint if state else None,
                is_in_window=table.table_date >= window_start and is_due,
            )
            if state is not None and look.is_known_content:
                with transaction(connection):
                    write_state(
                        connection,
                        SOURCE,
                        schema.EVENTS.name,
                        table.name,
                        PullState(
                            fingerprint=look.fingerprint,
                            row_count=state.row_count,
                            full_read_at=state.full_read_at,
                        ),
                    )
                continue
            note = _load_table(connection, reader, table, look.fingerprint, as_of, tally, erased)
            if note:
                notes[f"{table.name}: {note}"] = None
        except (SourceAuthError, SourceUnreachableError) as error:
            failures.append(error)
            break  # the server is the same for the tables that would follow
        except SourceError as error:
            _log.warning("%s", error)
            failures.append(error)
    tally.removed += _drop_superseded(connection, {table.name for table in listed})
    shown = list(notes)
    note = "; ".join(shown[:3]) + (f"; and {len(shown) - 3} more" if len(shown) > 3 else "")
    results = [
        PullResult(
            source=SOURCE,
            table=schema.EVENTS.name,
            rows_read=tally.read,
            rows_written=tally.written,
            rows_removed=tally.removed,
            rows_erased=tally.erased,
            cursor=listed[-1].name,
            note=note or None,
        )
    ]
    raise_collected(failures, results)
    return results


def _is_due(
    table: ExportTable,
    state: PullState,
    reader: ExportReader,
    config: Ga4Config,
    as_of: datetime,
) -> bool:
    """Whether a table of the window is to be read whatever its fingerprint says."""
    if reader.is_cheap_to_reread or table.is_intraday or state.full_read_at is None:
        return True
    return not timedelta(0) <= as_of - state.full_read_at < config.window_reread_every


def _load_table(
    connection: duckdb.DuckDBPyConnection,
    reader: ExportReader,
    table: ExportTable,
    fingerprint: str,
    as_of: datetime,
    tally: _Tally,
    erased: Erased | None,
) -> str | None:
    """Replace one export table's rows in raw; return a note for a person, or None."""
    thing = reader.describe(table)
    with reader.open_table(connection, table) as relation:
        try:
            shape = connection.execute(f"select * from {relation} limit 0").description or []
            plan = schema.plan_read([column[0] for column in shape], [col[1] for col in shape])
            empty = schema.check_read(connection, relation, plan, thing)
            incoming = (
                f"(select {schema.select_export_columns(plan, empty)},"
                f" {literal(table.name)} as _table,"
                f" date {literal(table.table_date.isoformat())} as _table_date,"
                f" {'true' if table.is_intraday else 'false'} as _is_intraday from {relation})"
            )
            incoming, left_out = leave_out_erased(connection, incoming, schema.EVENTS.name, erased)
            # This reads every value once, before the transaction: what fails here is the
            # export's fault, what fails later is the warehouse's.
            incoming_digest = digest(connection, incoming)
        except duckdb.Error as error:
            raise SourceFileError(
                thing,
                f"cannot be read to its end ({type(error).__name__})",
                "export or copy it again; the rows loaded from it before stay until then",
            ) from error
        with transaction(connection):
            counts = apply_replace(
                connection,
                schema.EVENTS,
                incoming,
                where=_rows_of(table),
                incoming_digest=incoming_digest,
            )
            if counts.written or counts.removed:
                note_change(connection, SOURCE, schema.EVENTS.name, table.name)
            write_state(
                connection,
                SOURCE,
                schema.EVENTS.name,
                table.name,
                PullState(
                    fingerprint=fingerprint, row_count=incoming_digest[0], full_read_at=as_of
                ),
            )
        tally.add(incoming_digest[0], counts, left_out)
        if counts.written or counts.removed:
            _log.info("ga4: %s holds %d rows now", table.name, counts.written)
        if counts.written < counts.removed:
            # Re-exports add rows. A plain JSON file cut between two lines shows nothing else.
            return f"has {counts.written} rows where it had {counts.removed}"
        return plan.note or reader.note(connection, table)


def _rows_of(table: ExportTable) -> str:
    # The date is redundant and lets DuckDB skip the row groups of other days.
    return (
        f"_table_date = date {literal(table.table_date.isoformat())}"
        f" and _table = {literal(table.name)}"
    )


def _count_by_table(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    return dict(
        connection.execute(
            f"select {quote('_table')}, count(*) from {schema.EVENTS.qualified} group by 1"
        ).fetchall()
    )


def _drop_superseded(connection: duckdb.DuckDBPyConnection, listed: set[str]) -> int:
    """Delete provisional rows whose table is gone while the day's own table is in raw."""
    states = read_states(connection, SOURCE, schema.EVENTS.name)
    removed = 0
    for name in sorted(states):
        table = parse_table_name(name)
        if table is None or not table.is_intraday or name in listed:
            continue
        if f"events_{table.table_date:%Y%m%d}" not in states:
            continue
        with transaction(connection):
            connection.execute(f"delete from {schema.EVENTS.qualified} where {_rows_of(table)}")
            delete_state(connection, SOURCE, schema.EVENTS.name, name)
            note_change(connection, SOURCE, schema.EVENTS.name, name)
        removed += states[name].row_count or 0
        _log.info("ga4: %s gave way to its daily table", name)
    return removed
