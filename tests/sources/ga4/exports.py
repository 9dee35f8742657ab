"""Makes small GA4 exports: rows, files of them, and the same as BigQuery's REST answers."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import orjson
from duckdb import sqltype

from orchestration.sources.ga4.schema import EXPORT_COLUMNS

Row = dict[str, Any]


def param(key: str, **value: Any) -> dict[str, Any]:
    """Return one entry of `event_params`."""
    return {"key": key, "value": value}


def event(name: str, *, day: str = "20261030", second: int = 0, **fields: Any) -> Row:
    """Return one event row of some day."""
    return {
        "event_date": day,
        "event_timestamp": 1_793_300_000_000_000 + second * 1_000_000,
        "event_name": name,
        "user_pseudo_id": "1.2",
        "event_params": [param("ga_session_id", int_value=1_793_300_000)],
        **fields,
    }


def write_json(path: Path, rows: Sequence[Row]) -> Path:
    """Write newline-JSON, gzipped when the name says so."""
    content = b"".join(orjson.dumps(row) + b"\n" for row in rows)
    path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)
    return path


def write_parquet(path: Path, rows: Sequence[Row], types: Mapping[str, str] | None = None) -> Path:
    """Write Parquet with the columns that the rows have, typed as the export's or as `types`."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: (types or {}).get(name, EXPORT_COLUMNS.get(name, "VARCHAR")) for name in names}
    source = path.with_suffix(".rows")
    write_json(source, rows)
    listed = ", ".join(f"'{name}': '{type_}'" for name, type_ in columns.items())
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (select * from read_json('{source}', format = 'newline_delimited',"
            f" columns = {{{listed}}})) to '{path}' (format parquet)"
        )
    source.unlink()
    return path


_BIGQUERY_TYPES = {
    "varchar": "STRING",
    "bigint": "INTEGER",
    "double": "FLOAT",
    "boolean": "BOOLEAN",
    "struct": "RECORD",
}


def bigquery_field(name: str, type_: Any) -> dict[str, Any]:
    """Return a column of a BigQuery table's schema."""
    if type_.id == "list":
        return {**bigquery_field(name, type_.children[0][1]), "mode": "REPEATED"}
    field: dict[str, Any] = {
        "name": name,
        "type": _BIGQUERY_TYPES[type_.id],
        "mode": "NULLABLE",
    }
    if type_.id == "struct":
        field["fields"] = [bigquery_field(child, inner) for child, inner in type_.children]
    return field


def bigquery_schema(types: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return a BigQuery schema for columns given with DuckDB types."""
    return [bigquery_field(name, sqltype(type_)) for name, type_ in types.items()]


def bigquery_value(value: Any, field: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value as tabledata.list shows it."""
    if field["mode"] == "REPEATED":
        one = {**field, "mode": "NULLABLE"}
        return {"v": [bigquery_value(item, one) for item in value or []]}
    if value is None:
        return {"v": None}
    if field["type"] == "RECORD":
        return {"v": bigquery_row(value, field["fields"])}
    if field["type"] == "BOOLEAN":
        return {"v": "true" if value else "false"}
    return {"v": str(value)}


def bigquery_row(row: Mapping[str, Any], fields: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a row as tabledata.list shows it."""
    return {"f": [bigquery_value(row.get(field["name"]), field) for field in fields]}
