"""Rows set apart with their reason. What belongs: the quarantine tables and the row key.

What does not: which rows are bad (the contract's `quarantine.rules` say it) and what staging does
with the list (it leaves out rows whose key stands there).

Each contract with quarantine rules has a table `quarantine.<table>`, always there, often empty:

    row_key        VARCHAR    `row_key_sql` over the contract's `row_key_columns`
    row_json       VARCHAR    the whole row; NULL beyond the first `ROW_JSON_LIMIT` rows of a flood
    reason         VARCHAR    the first rule that was true for it
    first_seen_at  TIMESTAMP  `as_of` (UTC) of the run that found it first

One line a distinct row: exact duplicates share a key, and a key holds every column the rules
judge, so rows that share it are equally bad. A row corrected at the source has another key or
meets no rule any more: its line leaves at the next look. Looking twice changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime

import duckdb

from data_contracts.clocks import quote, since_sql, stored_type, timestamp_literal
from data_contracts.errors import ContractQueryError
from data_contracts.models import Contract
from data_contracts.transactions import transaction

# A flood is judged by its share and blocks; its first rows are enough to see what happened, and
# writing millions of wide rows as JSON would take longer than the run.
ROW_JSON_LIMIT = 10_000

_SCHEMA = "quarantine"


def row_key_sql(columns: Sequence[str], *, relation: str | None = None) -> str:
    """Returns SQL for the key of a row: md5 over its values, NULL and '' told apart.

    Each value is written as `<length>:<text>`, a NULL as `~`, one after the other: no two different
    rows give the same text, whatever their values hold. A dbt macro that writes the same expression
    gives the same key.

    Args:
        columns: names, unquoted, in the contract's order (`Contract.row_key_columns`).
        relation: alias put before each column where two relations share names.

    Raises:
        ValueError: no column is given.
    """
    if not columns:
        raise ValueError("a row key needs at least one column")
    prefix = f"{quote(relation)}." if relation else ""
    parts = []
    for column in columns:
        text = f"cast({prefix}{quote(column)} as varchar)"
        parts.append(f"coalesce(cast(length({text}) as varchar) || ':' || {text}, '~')")
    return f"md5({' || '.join(parts)})"


def row_key(values: Iterable[str | None]) -> str:
    """Returns the key of a row whose values are given as the text SQL would cast them to."""
    text = "".join("~" if value is None else f"{len(value)}:{value}" for value in values)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def quarantine_table(contract: Contract) -> str:
    """Returns the quoted name of the contract's quarantine table."""
    return f"{_SCHEMA}.{quote(contract.name)}"


def ensure_quarantine_tables(
    connection: duckdb.DuckDBPyConnection, contracts: Iterable[Contract]
) -> None:
    """Creates the quarantine table of every contract that has quarantine rules, empty.

    Raises:
        ContractQueryError: the warehouse refused.
    """
    try:
        connection.execute(f"create schema if not exists {_SCHEMA}")
        for contract in contracts:
            if contract.quarantine is not None:
                connection.execute(
                    f"create table if not exists {quarantine_table(contract)} ("
                    "row_key varchar not null, row_json varchar, reason varchar not null, "
                    "first_seen_at timestamp not null)"
                )
    except duckdb.Error as error:
        raise ContractQueryError(f"quarantine tables cannot be created: {error}") from error


def apply_quarantine(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    *,
    reason_sql: str,
    as_of: datetime,
    since: datetime | None,
) -> None:
    """Makes the quarantine table hold exactly the bad rows there are now.

    Args:
        connection: open for writing; inside a transaction of the caller or not.
        contract: one with quarantine rules; its table is in the warehouse.
        reason_sql: SQL that gives a row's reason, NULL for a good row.
        as_of: instant of the run, aware.
        since: look only at rows at or after this instant of the contract's scope column, and leave
            the lines of older rows alone; None looks at all.

    Raises:
        ContractQueryError: the warehouse refused; nothing was changed.
    """
    looked_at = "true"
    lines_looked_at = "true"
    if since is not None and contract.scope is not None:
        column, clock = contract.scope.column, contract.scope_clock()
        looked_at = since_sql(quote(column), clock, since)
        # A line knows its row's scope value only through the stored row. A line without one (of a
        # flood) waits for the next full look; the flood's failed check makes sure there is one.
        stored = f"""json_extract_string(row_json, '$."{column}"')"""
        stored = f"try_cast({stored} as {stored_type(clock)})"
        lines_looked_at = f"row_json is not null and {since_sql(stored, clock, since)}"
    target = quarantine_table(contract)
    key = row_key_sql(contract.row_key_columns)
    bad_rows = f"{contract.table} where {looked_at} and {reason_sql} is not null"
    try:
        with transaction(connection):
            connection.execute(
                f"create or replace temp table _bad_rows as select {key} as row_key, "
                f"min({reason_sql}) as reason from {bad_rows} group by 1"
            )
            connection.execute(
                f"delete from {target} where {lines_looked_at} "
                "and row_key not in (select row_key from _bad_rows)"
            )
            connection.execute(
                f"update {target} as line set reason = bad.reason from _bad_rows as bad "
                "where line.row_key = bad.row_key and line.reason <> bad.reason"
            )
            connection.execute(
                f"delete from _bad_rows where row_key in (select row_key from {target})"
            )
            if connection.execute("select 1 from _bad_rows limit 1").fetchone() is not None:
                sampled = f"select row_key from _bad_rows order by row_key limit {ROW_JSON_LIMIT}"
                connection.execute(
                    f"insert into {target} (row_key, row_json, reason, first_seen_at) "
                    f"select bad.row_key, sample.row_json, bad.reason, {timestamp_literal(as_of)} "
                    "from _bad_rows as bad left join ("
                    "select row_key, min(row_json) as row_json from ("
                    f"select {key} as row_key, cast(to_json(whole) as varchar) as row_json "
                    f"from (select * from {bad_rows} and {key} in ({sampled})) as whole"
                    ") group by row_key) as sample on sample.row_key = bad.row_key"
                )
            connection.execute("drop table _bad_rows")
    except duckdb.Error as error:
        raise ContractQueryError(
            f"{contract.table}: its quarantine table cannot be brought up to date "
            f"({type(error).__name__})"
        ) from error


def count_quarantined(connection: duckdb.DuckDBPyConnection, contract: Contract) -> dict[str, int]:
    """Returns how many rows stand in quarantine, by reason, every rule of the contract named."""
    if contract.quarantine is None:
        return {}
    counted = dict(
        connection.execute(
            f"select reason, count(*) from {quarantine_table(contract)} group by reason"
        ).fetchall()
    )
    return {rule.reason: counted.get(rule.reason, 0) for rule in contract.quarantine.rules}
