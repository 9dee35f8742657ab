"""The CRM as an export folder: the way in for the history of an older tool.

What belongs here: finding each table's files (Parquet, CSV or JSON lines; one file `contacts.csv`
or a folder `contacts/` of files) and making raw equal to them. What does not: a CRM's API
(`hubspot`).

An export is the whole truth about its tables: raw becomes the rows of the files, doubles included
(a webhook that came twice is two rows; staging decides), and rows no longer in them go.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
from duckdb.sqltypes import DuckDBPyType

from orchestration.sources.casting import SCALAR_KINDS, says_the_same
from orchestration.sources.crm.tables import BY_NAME, CRM_TABLES
from orchestration.sources.erased import Erased, leave_out_erased
from orchestration.sources.errors import (
    SourceConfigError,
    SourceError,
    SourceFileError,
    SourceSchemaError,
    SourceUnreachableError,
    raise_collected,
)
from orchestration.sources.file_content import broken_file, checksum_to_the_end
from orchestration.sources.landing import (
    Column,
    PullResult,
    PullState,
    TableSpec,
    apply_replace,
    delete_state,
    digest,
    ensure_table,
    literal,
    quote,
    read_states,
    require_aware,
    transaction,
    write_state,
)

SOURCE = "crm"
UNIT = "folder"
TABLES = tuple(spec.name for spec in CRM_TABLES)

_log = logging.getLogger(__name__)

_PARQUET = (".parquet",)
_CSV = (".csv", ".csv.gz")
_JSON = tuple(f".{name}{packed}" for name in ("json", "jsonl", "ndjson") for packed in ("", ".gz"))
_ENDINGS = _PARQUET + _CSV + _JSON
_SHOWN_ENDINGS = (".parquet", ".csv", ".jsonl")
_READER_VERSION = "1"
_SCHEMA_STEP = (
    "export the table again with the columns of the agreed format, then start another pull"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderConfig:
    """Where the export is.

    Attributes:
        folder: Folder that holds `contacts`, `journey_entries`, `assignments`, `messages` and
            `channel_events`, each as one file or as a folder of files.
    """

    folder: Path


def pull(
    connection: duckdb.DuckDBPyConnection,
    config: FolderConfig,
    *,
    as_of: datetime,
    tables: Sequence[str] | None = None,
    erased: Erased | None = None,
) -> list[PullResult]:
    """Make `raw.crm_*` equal to the export.

    Args:
        connection: Open warehouse, for writing.
        config: Where the export is.
        as_of: The run's clock (aware), kept as the time of the last read that changed something.
        tables: Raw tables wanted; all when None. Each is a transaction of its own.
        erased: Who was erased: their rows are left out. None for nobody.

    Returns:
        One result a table.

    Raises:
        SourceError: The folder is not there or some tables cannot be read. The others are loaded
            and committed then; `results` on the error says what was done.
    """
    as_of = require_aware(as_of)
    wanted = [_declared(name) for name in (TABLES if tables is None else tables)]
    for spec in wanted:
        ensure_table(connection, spec)
    if not config.folder.is_dir():
        raise SourceUnreachableError(
            f"CRM export folder {config.folder.name}",
            "is not there",
            "check CRM_SOURCE_URI and that the folder is mounted and readable",
        )
    results: list[PullResult] = []
    failures: list[SourceError] = []
    for spec in wanted:
        try:
            results.append(_pull_table(connection, config.folder, spec, as_of, erased))
        except SourceError as error:
            _log.warning("%s", error)
            failures.append(error)
    raise_collected(failures, results)
    return results


def _declared(name: str) -> TableSpec:
    try:
        return BY_NAME[name]
    except KeyError as error:
        raise SourceConfigError(
            f"CRM source: {name}", "no such table", f"ask for one of {', '.join(TABLES)}"
        ) from error


def _find_files(folder: Path, table: str) -> list[Path]:
    inside = folder / table
    if inside.is_dir():
        found = [path for path in sorted(inside.iterdir()) if path.name.endswith(_ENDINGS)]
        if not found:
            raise SourceFileError(
                f"CRM export folder {table}/",
                "holds no Parquet, CSV or JSON-lines file",
                "export the table again",
            )
        return found
    found = [path for ending in _ENDINGS if (path := folder / f"{table}{ending}").is_file()]
    if not found:
        raise SourceFileError(
            f"CRM export file {table}",
            f"is not in the folder (as {', '.join(_SHOWN_ENDINGS)} or as a folder)",
            "export the table, with its header line and no rows if there is nothing in it",
        )
    if len(found) > 1:
        raise SourceConfigError(
            f"CRM export files {', '.join(path.name for path in found)}",
            f"are both table {table}",
            "remove the file that is not the export",
        )
    return found


def _pull_table(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    spec: TableSpec,
    as_of: datetime,
    erased: Erased | None,
) -> PullResult:
    files = _find_files(folder, spec.name.removeprefix("crm_"))
    marks = [_READER_VERSION]
    for path in files:
        stat = path.stat()
        marks.append(f"{path.name}:{stat.st_size}:{stat.st_mtime_ns}")
    fingerprint = "|".join(marks)
    state = read_states(connection, SOURCE, spec.name).get(UNIT)
    if state is not None and state.fingerprint == fingerprint:
        return PullResult(source=SOURCE, table=spec.name, cursor=files[-1].name)
    selects: list[str] = []
    unknown: set[str] = set()
    for path in files:
        select, others = _plan_file(connection, path, spec)
        selects.append(select)
        unknown |= others
    incoming = f"({' union all '.join(selects)})"
    thing = f"CRM export file {', '.join(path.name for path in files[:3])}"
    try:
        incoming, left_out = leave_out_erased(connection, incoming, spec.name, erased)
        incoming_digest = digest(connection, incoming)
    except duckdb.Error as error:
        raise broken_file(thing, f"cannot be read to its end ({type(error).__name__})") from None
    with transaction(connection):
        counts = apply_replace(connection, spec, incoming, incoming_digest=incoming_digest)
        write_state(
            connection,
            SOURCE,
            spec.name,
            UNIT,
            PullState(fingerprint=fingerprint, row_count=incoming_digest[0], full_read_at=as_of),
        )
        # Rows of an API that filled the table before are gone now, so is what it knew of them.
        for unit in read_states(connection, SOURCE, spec.name):
            if unit != UNIT:
                delete_state(connection, SOURCE, spec.name, unit)
    if counts.written or counts.removed:
        _log.info("crm: %s holds %d rows now", spec.name, counts.written)
    return PullResult(
        source=SOURCE,
        table=spec.name,
        rows_read=incoming_digest[0] + left_out,
        rows_written=counts.written,
        rows_removed=counts.removed,
        rows_erased=left_out,
        cursor=files[-1].name,
        note=f"columns unknown to us, left out: {', '.join(sorted(unknown))}" if unknown else None,
    )


def _plan_file(
    connection: duckdb.DuckDBPyConnection, path: Path, spec: TableSpec
) -> tuple[str, set[str]]:
    """Return SQL that reads one file as the columns of `spec`, and the columns left out.

    Raises:
        SourceFileError: The file is cut short or not what its ending says.
        SourceSchemaError: A column is missing or a value does not fit.
    """
    thing = f"CRM export file {path.name}"
    try:
        if path.stat().st_size == 0:
            raise broken_file(thing, "is empty")
        if path.name.endswith(".gz"):
            checksum_to_the_end(path, thing)
        relation = _relation_of(path, spec)
        shape = connection.execute(f"select * from {relation} limit 0").description or []
        types: dict[str, DuckDBPyType] = {column[0]: column[1] for column in shape}
        missing = [column.name for column in spec.columns if column.name not in types]
        if path.name.endswith(_JSON):
            missing = _missing_from_json(connection, relation, spec)
        if missing:
            raise SourceSchemaError(thing, f"has no column {', '.join(missing)}", _SCHEMA_STEP)
        _check_values(connection, relation, spec, types, thing)
    except (duckdb.Error, OSError) as error:
        # `from None`: DuckDB quotes rows in its messages, and rows hold people's data.
        raise broken_file(
            thing, f"is cut short or not what its ending says ({type(error).__name__})"
        ) from None
    columns = ", ".join(
        f"{_read_as(column, types[column.name])} as {quote(column.name)}" for column in spec.columns
    )
    return f"select {columns} from {relation}", set(types) - set(spec.column_names)


def _relation_of(path: Path, spec: TableSpec) -> str:
    file = literal(str(path))
    if path.name.endswith(_PARQUET):
        return f"read_parquet({file})"
    if path.name.endswith(_CSV):
        # Nothing is guessed: a guess from a cut file would be a guess about the wrong file.
        return (
            f"read_csv({file}, header = true, all_varchar = true, delim = ',', quote = '\"',"
            " escape = '\"', strict_mode = true, null_padding = false)"
        )
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in spec.column_names)
    return f"read_json({file}, format = 'newline_delimited', columns = {{{columns}}})"


def _missing_from_json(
    connection: duckdb.DuckDBPyConnection, relation: str, spec: TableSpec
) -> list[str]:
    """Return the key column if no line has it: JSON lines may leave out any empty column."""
    first = spec.columns[0].name
    row = connection.execute(f"select count(*), count({quote(first)}) from {relation}").fetchone()
    return [first] if row and row[0] and not row[1] else []


def _check_values(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    spec: TableSpec,
    types: dict[str, DuckDBPyType],
    thing: str,
) -> None:
    checked: list[Column] = []
    counts: list[str] = []
    for column in spec.columns:
        type_ = types[column.name]
        if str(type_) == column.type or (column.is_time and type_.id.startswith("timestamp")):
            continue
        name = quote(column.name)
        is_time_as_number = column.is_time and type_.id != "varchar"
        fits = (
            says_the_same(name, str(type_), column.type)
            if type_.id in SCALAR_KINDS and not is_time_as_number
            else "false"
        )
        checked.append(column)
        counts.append(
            f"coalesce(sum(case when {name} is not null and not coalesce({fits}, false)"
            " then 1 else 0 end), 0)"
        )
    if not checked:
        return
    row = connection.execute(f"select {', '.join(counts)} from {relation}").fetchone() or ()
    for column, count in zip(checked, row, strict=True):
        if count:
            raise SourceSchemaError(
                thing,
                f"column {column.name} has type {types[column.name]} and {count} values that"
                f" cannot be read as {'ISO time text' if column.is_time else column.type}",
                _SCHEMA_STEP,
            )


def _read_as(column: Column, type_: DuckDBPyType) -> str:
    name = quote(column.name)
    if column.is_time and type_.id.startswith("timestamp"):
        moment = f"timezone('UTC', {name})" if type_.id == "timestamp with time zone" else name
        moment = f"cast({moment} as timestamp)"
        return (
            f"case when microsecond({moment}) % 1000000 = 0"
            f" then strftime({moment}, '%Y-%m-%dT%H:%M:%SZ')"
            f" else strftime({moment}, '%Y-%m-%dT%H:%M:%S.%fZ') end"
        )
    return f"cast({name} as {column.type})"
