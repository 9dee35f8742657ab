"""Measures of earlier runs. What belongs: the table `state.contract_metrics`, read and written.

What does not: judging them (`checks`).

    contract  VARCHAR    table the contract speaks of
    metric    VARCHAR    `rows`: rows of the table in a run whose volume was as usual ·
                         `rows_unusual`: rows in a run whose volume was refused ·
                         `clean_full_look`: fingerprint of the contract in a run that looked at
                         every row and found nothing
    as_of     TIMESTAMP  instant of the run, UTC
    value     DOUBLE

One line a contract, metric and `as_of`; the same run told again replaces its lines. A refused
volume is kept out of `rows`, or a table that stays half empty would become its own yardstick and
unblock itself; when the change is meant, `forget_history` says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb

from data_contracts.clocks import naive_utc
from data_contracts.errors import ContractQueryError
from data_contracts.transactions import transaction

HISTORY_WINDOW = timedelta(days=28)
# Lines older than this are never read again; a second window is kept for people who look back.
KEPT_FOR = 2 * HISTORY_WINDOW

ROWS = "rows"
ROWS_UNUSUAL = "rows_unusual"
CLEAN_FULL_LOOK = "clean_full_look"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One measure of one run.

    Attributes:
        metric: its name, one of the constants of this module.
        as_of: instant of the run, aware UTC.
        value: the number.
    """

    metric: str
    as_of: datetime
    value: float


def ensure_history_table(connection: duckdb.DuckDBPyConnection) -> None:
    """Creates `state.contract_metrics` where it is not there yet.

    Raises:
        ContractQueryError: the warehouse refused.
    """
    try:
        connection.execute("create schema if not exists state")
        connection.execute(
            "create table if not exists state.contract_metrics (contract varchar not null, "
            "metric varchar not null, as_of timestamp not null, value double not null)"
        )
    except duckdb.Error as error:
        raise ContractQueryError(f"state.contract_metrics cannot be created: {error}") from error


def read_history(
    connection: duckdb.DuckDBPyConnection, *, as_of: datetime
) -> dict[str, tuple[Metric, ...]]:
    """Returns the measures of the runs before `as_of`, by contract, oldest first.

    Args:
        connection: a warehouse in which `ensure_history_table` ran.
        as_of: instant of the run; itself and everything after it are left out, so that a run done
            again sees what it saw the first time.
    """
    rows = connection.execute(
        "select contract, metric, as_of, value from state.contract_metrics "
        "where as_of < ? and as_of >= ? order by as_of, metric",
        [naive_utc(as_of), naive_utc(as_of - HISTORY_WINDOW)],
    ).fetchall()
    history: dict[str, list[Metric]] = {}
    for contract, metric, at, value in rows:
        entry = Metric(metric=metric, as_of=at.replace(tzinfo=UTC), value=value)
        history.setdefault(contract, []).append(entry)
    return {contract: tuple(entries) for contract, entries in history.items()}


def load_metrics(
    connection: duckdb.DuckDBPyConnection,
    metrics: Mapping[str, Mapping[str, float]],
    *,
    as_of: datetime,
) -> None:
    """Writes the measures of one run, replacing what the same run wrote before.

    Args:
        connection: open for writing; `ensure_history_table` ran in it.
        metrics: by contract, then by metric.
        as_of: instant of the run, aware.

    Raises:
        ContractQueryError: the warehouse refused; nothing was changed.
    """
    at = naive_utc(as_of)
    rows = [
        [contract, metric, at, value]
        for contract, values in metrics.items()
        for metric, value in values.items()
    ]
    try:
        with transaction(connection):
            for contract in metrics:
                connection.execute(
                    "delete from state.contract_metrics "
                    "where contract = ? and (as_of = ? or as_of < ?)",
                    [contract, at, naive_utc(as_of - KEPT_FOR)],
                )
            if rows:
                connection.executemany(
                    "insert into state.contract_metrics values (?, ?, ?, ?)", rows
                )
    except duckdb.Error as error:
        raise ContractQueryError(f"state.contract_metrics cannot be written: {error}") from error


def forget_history(connection: duckdb.DuckDBPyConnection, contract: str) -> int:
    """Forgets a table's past, so that today's volume becomes the new usual one.

    For a person who has looked and found the change real.

    Args:
        connection: open for writing.
        contract: the table, such as `raw.admin_users`.

    Returns:
        How many lines were forgotten.
    """
    row = connection.execute(
        "delete from state.contract_metrics where contract = ?", [contract]
    ).fetchone()
    return int(row[0]) if row else 0


def lower_history(connection: duckdb.DuckDBPyConnection, contract: str, rows: int) -> None:
    """Tells a table's past as if some rows had never been there: an erasure is no loss of data.

    Args:
        connection: open for writing.
        contract: the table, such as `raw.admin_users`.
        rows: how many were deleted on purpose.
    """
    connection.execute(
        "update state.contract_metrics set value = greatest(value - ?, 0) "
        "where contract = ? and metric in (?, ?)",
        [rows, contract, ROWS, ROWS_UNUSUAL],
    )


def values_of(history: Iterable[Metric], metric: str, *, as_of: datetime) -> Sequence[float]:
    """Returns the values of one metric in the window before `as_of`, oldest first."""
    return [
        entry.value
        for entry in sorted(history, key=lambda entry: entry.as_of)
        if entry.metric == metric and as_of - HISTORY_WINDOW <= entry.as_of < as_of
    ]
