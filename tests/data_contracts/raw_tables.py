"""Raw tables made by hand for the contract tests: the shared example world and small invented ones.

What belongs: bringing rows into the raw shape the contracts speak of, without the pipeline's own
sources (they have their tests). What does not: assertions.
"""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from data_contracts.clocks import BUSINESS_ZONE, Clock, business_day, naive_utc, quote
from data_contracts.loader import CONTRACTS_FOLDER, load_contract
from data_contracts.models import Column, ColumnType, Contract

# The last moment of the shared example world.
RECOMMERCE_AS_OF = datetime(2026, 10, 31, 18, 30, tzinfo=UTC)

_SQL_TYPES = {
    ColumnType.TEXT: "varchar",
    ColumnType.INTEGER: "bigint",
    ColumnType.NUMBER: "double",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.TIMESTAMP: "timestamp",
    ColumnType.DATE: "date",
}


def write_value(instant: datetime, clock: Clock) -> str | int | datetime | date:
    """The instant the way a source with that clock stores it, to the precision of the clock."""
    aware = instant.astimezone(UTC)
    since_1970 = aware - datetime(1970, 1, 1, tzinfo=UTC)
    match clock:
        case Clock.ISO_Z:
            return aware.strftime("%Y-%m-%dT%H:%M:%SZ")
        case Clock.IST_TEXT:
            return aware.astimezone(BUSINESS_ZONE).strftime("%Y-%m-%d %H:%M:%S")
        case Clock.EPOCH_US:
            return since_1970 // timedelta(microseconds=1)
        case Clock.EPOCH_MS:
            return since_1970 // timedelta(milliseconds=1)
        case Clock.BUSINESS_DATE:
            return business_day(aware)
        case Clock.UTC:
            return naive_utc(aware)


def sql_type(column: Column) -> str:
    """A column type of the declared family, with the fields the contract asks for."""
    family = column.types[0]
    if family in (ColumnType.STRUCT, ColumnType.LIST):
        struct = _struct_type(column.fields or ("part",))
        return struct + ("[]" if family is ColumnType.LIST else "")
    return _SQL_TYPES[family]


def _struct_type(paths: tuple[str, ...]) -> str:
    heads: dict[str, list[str]] = {}
    for path in paths:
        head, _, rest = path.partition(".")
        heads.setdefault(head, [])
        if rest:
            heads[head].append(rest)
    parts = [
        f"{quote(head)} {_struct_type(tuple(rest)) if rest else 'varchar'}"
        for head, rest in heads.items()
    ]
    return f"struct({', '.join(parts)})"


def create_table(connection: duckdb.DuckDBPyConnection, contract: Contract) -> None:
    """Creates the contract's table empty, with its declared columns."""
    connection.execute(f"create schema if not exists {contract.table.split('.')[0]}")
    columns = ", ".join(
        f"{quote(name)} {sql_type(column)}" for name, column in contract.columns.items()
    )
    connection.execute(f"create or replace table {contract.table} ({columns})")


def load_recommerce(
    connection: duckdb.DuckDBPyConnection, shared_data: Path, contracts: tuple[Contract, ...]
) -> None:
    """Loads the shared example world into every raw table; sync and ledger tables are empty."""
    for contract in contracts:
        create_table(connection, contract)
    folder = shared_data / "recommerce"
    admin = sqlite3.connect(f"file:{folder / 'admin' / 'admin.sqlite'}?mode=ro", uri=True)
    try:
        for contract in contracts:
            name = contract.name.removeprefix("admin_")
            exists = admin.execute(
                "select 1 from sqlite_master where type = 'table' and name = ?", [name]
            ).fetchone()
            if contract.name.startswith("admin_") and exists:
                rows = admin.execute(f"select {', '.join(contract.columns)} from {name}").fetchall()
                _insert(connection, contract, rows)
    finally:
        admin.close()
    for path in sorted((folder / "crm").glob("*.parquet")):
        connection.execute(f"create or replace table raw.crm_{path.stem} as select * from '{path}'")
    load_ga4_export(
        connection,
        shared_data,
        f"read_parquet('{folder}/ga4/*.parquet', union_by_name=true, filename=true)",
    )


def _insert(
    connection: duckdb.DuckDBPyConnection, contract: Contract, rows: list[tuple[object, ...]]
) -> None:
    by_column = zip(contract.columns, zip(*rows, strict=True), strict=True)
    batch = pa.table({name: list(values) for name, values in by_column})
    connection.register("batch", batch)
    connection.execute(f"insert into {contract.table} from batch")
    connection.unregister("batch")


def load_ga4_export(connection: duckdb.DuckDBPyConnection, shared_data: Path, source: str) -> None:
    """Creates raw.ga4_events from a relation with `filename`, by the current export schema."""
    schema: dict[str, str] = json.loads(
        (shared_data / "ga4_raw" / "ga4_export_schema_current.duckdb_columns.json").read_text()
    )
    connection.execute("create schema if not exists raw")
    columns = ", ".join(f"{quote(name)} {kind}" for name, kind in schema.items())
    connection.execute(
        f"create or replace table raw.ga4_events ({columns}, _table varchar, _table_date date, "
        "_is_intraday boolean)"
    )
    connection.execute(
        "insert into raw.ga4_events by name select * exclude (filename), "
        "parse_filename(filename, true) as _table, "
        "cast(strptime(right(parse_filename(filename, true), 8), '%Y%m%d') as date) as _table_date,"
        " parse_filename(filename, true) like '%intraday%' as _is_intraday "
        f"from {source}"
    )


def contract_of(table: str) -> Contract:
    """The product's contract for a table."""
    schema, name = table.split(".")
    return load_contract(CONTRACTS_FOLDER / schema / f"{name}.yml")
