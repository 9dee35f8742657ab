"""GA4 export tables as files in a folder: Parquet, or newline-JSON, gzipped or not.

What belongs here: finding the files, noticing that one changed, and giving its rows to DuckDB,
which reads them itself. What does not: the export's columns (`schema`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from orchestration.sources.errors import (
    SourceConfigError,
    SourceError,
    SourceFileError,
    SourceSchemaError,
    SourceUnreachableError,
)
from orchestration.sources.file_content import broken_file, checksum_to_the_end
from orchestration.sources.ga4 import schema
from orchestration.sources.ga4.export import ExportTable, Look, parse_table_name
from orchestration.sources.landing import literal

PARQUET_SUFFIXES = (".parquet",)
JSON_SUFFIXES = tuple(
    ending + packed for ending in (".json", ".ndjson", ".jsonl") for packed in ("", ".gz")
)
# Raised when the way of reading changes, so that tables read the old way are read again.
_READER_VERSION = "1"


class FolderReader:
    """Export tables in one folder, one file a table."""

    is_cheap_to_reread = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._paths: dict[str, Path] = {}

    def describe(self, table: ExportTable) -> str:
        """Name the file of a table."""
        return f"GA4 export file {self._paths[table.name].name}"

    def list_tables(self) -> list[ExportTable]:
        """Return the tables that have a file.

        Raises:
            SourceUnreachableError: The folder is not there or cannot be listed.
            SourceFileError: It holds no export table.
            SourceConfigError: Two files claim to be the same table.
        """
        thing = f"GA4 export folder {self.folder.name}"
        try:
            paths = sorted(path for path in self.folder.iterdir() if path.is_file())
        except OSError as error:
            raise SourceUnreachableError(
                thing,
                f"cannot be listed ({error.strerror or type(error).__name__})",
                "check GA4_EXPORT_URI and that the folder is mounted and readable",
            ) from error
        tables = []
        self._paths = {}
        for path in paths:
            suffix = next(
                (end for end in PARQUET_SUFFIXES + JSON_SUFFIXES if path.name.endswith(end)), None
            )
            table = parse_table_name(path.name.removesuffix(suffix)) if suffix else None
            if table is None:
                continue
            if table.name in self._paths:
                raise SourceConfigError(
                    thing,
                    f"{self._paths[table.name].name} and {path.name} are both table {table.name}",
                    "remove the file that is not the export",
                )
            self._paths[table.name] = path
            tables.append(table)
        if not tables:
            raise SourceFileError(
                thing,
                "holds no file called events_YYYYMMDD or events_intraday_YYYYMMDD"
                " (.parquet, .json, .ndjson, .jsonl, the last three also .gz)",
                "check GA4_EXPORT_URI",
            )
        return tables

    def look(self, table: ExportTable, known: str | None, *, is_in_window: bool) -> Look:
        """Compare a file with what is known of it; in the window its bytes, not only its time.

        The fingerprint is `version|size|time of change in ns|md5`.
        """
        path = self._paths[table.name]
        try:
            stat = path.stat()
            marks = [_READER_VERSION, str(stat.st_size), str(stat.st_mtime_ns)]
            known_marks = (known or "").split("|")
            if known_marks[:3] == marks and not is_in_window:
                return Look(fingerprint=known or "", is_known_content=True)
            content = checksum_to_the_end(path, self.describe(table))
        except OSError as error:
            raise SourceFileError(
                self.describe(table),
                f"cannot be read ({error.strerror or type(error).__name__})",
                "make the file readable for this user, then start another pull",
            ) from error
        return Look(
            fingerprint="|".join([*marks, content]),
            is_known_content=known_marks[0] == _READER_VERSION and known_marks[-1] == content,
        )

    @contextmanager
    def open_table(
        self, connection: duckdb.DuckDBPyConnection, table: ExportTable
    ) -> Iterator[str]:
        """Give the rows of a file: Parquet as it is, JSON with every value still as text.

        Raises:
            SourceFileError: The file is cut short or not what its ending says.
            SourceSchemaError: A JSON value is nested where a plain one should be, or the reverse.
        """
        path = self._paths[table.name]
        thing = self.describe(table)
        if path.stat().st_size == 0:
            raise broken_file(thing, "is empty")
        if path.name.endswith(PARQUET_SUFFIXES):
            relation = f"read_parquet({literal(str(path))})"
            try:
                connection.execute(f"select * from {relation} limit 0")
            except duckdb.Error as error:
                raise broken_file(thing, "is cut short or not a Parquet file") from error
            yield relation
            return
        relation = "_ga4_json"
        try:
            try:
                connection.execute(
                    f"create or replace temp table {relation} as select * from"
                    f" {_read_json(path, schema.loose_columns())}"
                )
            except duckdb.Error as error:
                # `from None`: DuckDB quotes the row in its message, and rows hold people's data.
                raise _explain_json(connection, path, thing, error) from None
            yield relation
        finally:
            connection.execute(f"drop table if exists {relation}")

    def note(self, connection: duckdb.DuckDBPyConnection, table: ExportTable) -> str | None:
        """Name the columns of a JSON file that we do not know, judging by its first rows."""
        path = self._paths[table.name]
        if path.name.endswith(PARQUET_SUFFIXES):
            return None
        plan = _sniff(connection, path, rows=1_000)
        return plan.note if plan else None


def _read_json(path: Path, columns: dict[str, str]) -> str:
    listed = ", ".join(f"{literal(name)}: {literal(type_)}" for name, type_ in columns.items())
    return f"read_json({literal(str(path))}, format = 'newline_delimited', columns = {{{listed}}})"


def _sniff(
    connection: duckdb.DuckDBPyConnection, path: Path, *, rows: int
) -> schema.ReadPlan | None:
    """Compare the columns that a JSON file's rows show with the export's; None if unreadable."""
    try:
        found = connection.execute(
            f"select * from read_json({literal(str(path))}, format = 'newline_delimited',"
            f" sample_size = {rows}, map_inference_threshold = -1,"
            " field_appearance_threshold = 0) limit 0"
        )
        description = found.description or []
        return schema.plan_read(
            [column[0] for column in description], [column[1] for column in description]
        )
    except duckdb.Error:
        return None


def _explain_json(
    connection: duckdb.DuckDBPyConnection, path: Path, thing: str, error: duckdb.Error
) -> SourceError:
    if "JSON transform error" not in str(error):
        return broken_file(thing, "is cut short or holds a line that is not JSON")
    plan = _sniff(connection, path, rows=-1)
    for name, type_ in schema.loose_columns().items():
        try:
            connection.execute(f"select count({name}) from {_read_json(path, {name: type_})}")
        except duckdb.Error:
            places = plan.contradictions if plan else ()
            place = next((at for at in places if at.column == name), None)
            return SourceSchemaError(
                thing,
                f"column {place.name if place else name} has type"
                f" {place.actual if place and place.actual != 'JSON' else 'of mixed nesting'}"
                f" and not {place.expected if place else schema.EXPORT_COLUMNS[name]}",
                "compare the export's columns with Google's schema, export the table again,"
                " and start another pull",
            )
    return broken_file(thing, "holds a line that is not a JSON object")
