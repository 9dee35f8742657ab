"""Measuring one table with DuckDB. What belongs: SQL that reads a table, and its answers.

What does not: deciding whether a measure is good enough (`validator` and GX), and any writing.

All row-level checks, the key and the newest instants are counted in one pass over the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Any, cast

import duckdb
from duckdb.sqltypes import DuckDBPyType

from data_contracts.checks import CheckKind, CheckPlan, fill_clocks, reason_sql
from data_contracts.clocks import (
    business_day,
    business_day_sql,
    instant_sql,
    quote,
    since_sql,
    timestamp_literal,
)
from data_contracts.models import ColumnType, Contract, Freshness, Volume, fill_placeholders

PACE_WINDOW = timedelta(days=28)

_FAMILIES: dict[ColumnType, frozenset[str]] = {
    ColumnType.TEXT: frozenset({"varchar"}),
    ColumnType.INTEGER: frozenset(
        {"tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint"}
        | {"uinteger", "ubigint", "uhugeint"}
    ),
    ColumnType.BOOLEAN: frozenset({"boolean"}),
    ColumnType.TIMESTAMP: frozenset({"timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns"}),
    ColumnType.DATE: frozenset({"date"}),
    ColumnType.STRUCT: frozenset({"struct"}),
    ColumnType.LIST: frozenset({"list", "array"}),
}
_FAMILIES[ColumnType.NUMBER] = _FAMILIES[ColumnType.INTEGER] | {"float", "double", "decimal"}

_LOOKS_PERSONAL = re.compile(r"@|^\+?[\d\s().-]{10,}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What the table's columns are, against what the contract says.

    Attributes:
        exists: the table is in the warehouse.
        missing: declared and required, but not there.
        absent: declared and not there, required or not.
        mistyped: there with another type: name to "is X, should be Y".
    """

    exists: bool
    missing: tuple[str, ...] = ()
    absent: frozenset[str] = frozenset()
    mistyped: dict[str, str] = field(default_factory=dict)

    def unusable(self) -> frozenset[str]:
        """Returns the columns no check can speak about."""
        return self.absent | frozenset(self.mistyped)


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Bad rows among the rows looked at.

    Attributes:
        bad: bad rows among all rows looked at; what a limit in rows judges.
        looked_at: rows looked at.
        recent_bad: bad rows among those of the contract's scope; what a share judges, so that an
            old, clean past cannot hide a flood. The same as `bad` without a scope.
        recent_looked_at: rows of the scope.
    """

    bad: int
    looked_at: int
    recent_bad: int
    recent_looked_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Age:
    """How long a table has been silent.

    Attributes:
        newest: newest instant up to `as_of`, aware UTC; None when there is none.
        hours: age of it.
        expected_rows: rows the usual pace would have brought since, at least 0; None when the age
            is within the rule, where nobody asked.
    """

    newest: datetime | None
    hours: float = 0.0
    expected_rows: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Rows against the usual.

    Attributes:
        now: rows of the run, or mean rows of the days judged.
        usual: what they are compared with; None when there is not enough to compare.
        why_not: in words, why it is not compared.
    """

    now: float
    usual: float | None = None
    why_not: str = ""


@dataclass(slots=True, kw_only=True)
class Measures:
    """Everything measured about one table in one run.

    Attributes:
        columns: see `Columns`.
        rows: all rows of the table.
        counts: by check name, row kinds, key and quarantine.
        newest: by check name of freshness checks.
        broken: by check name, why it could not be measured, without any value of the data.
    """

    columns: Columns
    rows: int = 0
    counts: dict[str, Count] = field(default_factory=dict)
    newest: dict[str, datetime | None] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)


def read_columns(connection: duckdb.DuckDBPyConnection, contract: Contract) -> Columns:
    """Reads the table's columns and compares them with the contract."""
    try:
        rows = connection.execute(f"describe {contract.table}").fetchall()
    except duckdb.CatalogException:
        return Columns(
            exists=False,
            missing=tuple(name for name, column in contract.columns.items() if column.required),
            absent=frozenset(contract.columns),
        )
    actual = {row[0]: row[1] for row in rows}
    missing = [
        name for name, column in contract.columns.items() if column.required and name not in actual
    ]
    mistyped: dict[str, str] = {}
    for name, column in contract.columns.items():
        if name not in actual:
            continue
        found = duckdb.sqltype(actual[name])
        if not any(found.id in _FAMILIES[family] for family in column.types):
            wanted = " or ".join(column.types)
            mistyped[name] = f"is {_short(actual[name])}, should be {wanted}"
            continue
        lost = [path for path in column.fields if not _has_field(found, path.split("."))]
        if lost:
            mistyped[name] = f"lacks the field {', '.join(lost)}"
    return Columns(
        exists=True,
        missing=tuple(missing),
        absent=frozenset(set(contract.columns) - set(actual)),
        mistyped=mistyped,
    )


def measure_rows(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    plans: Sequence[CheckPlan],
    columns: Columns,
    *,
    as_of: datetime,
    since: datetime | None,
) -> Measures:
    """Counts what the row checks, the key, the quarantine and the freshness checks need.

    A check whose columns are missing or mistyped is left out; `Columns` says which.

    Args:
        connection: the warehouse; nothing is written.
        contract: what the table promises.
        plans: its checks.
        columns: as `read_columns` found them.
        as_of: instant of the run; later events do not count as fresh.
        since: look only at rows at or after this instant of the scope column; None looks at all.
    """
    measures = Measures(columns=columns)
    measures.rows = _read_int(connection, f"select count(*) from {contract.table}")
    unusable = columns.unusable()
    rows_sql = _rows_sql(contract, unusable, as_of=as_of, since=since)
    wanted: dict[str, str] = {
        "_good": "count(*) filter (where _contract_reason is null)",
        "_good_recent": "count(*) filter (where _contract_reason is null and _contract_recent)",
        "_seen": "count(*)",
        "_seen_recent": "count(*) filter (where _contract_recent)",
    }
    for plan in plans:
        if plan.columns & unusable:
            continue
        if plan.freshness is not None:
            wanted[plan.name] = _newest_sql(contract, plan.freshness, as_of)
            continue
        bad = _bad_row_sql(plan, as_of)
        if plan.kind is CheckKind.KEY:
            wanted[plan.name] = _key_sql(contract)
        elif bad is not None:
            wanted[plan.name] = f"count(*) filter (where {bad})"
            if contract.scope is not None:
                wanted[_recent(plan)] = f"count(*) filter (where {bad} and _contract_recent)"
    answers = _read_all(connection, rows_sql, wanted, measures.broken)
    for plan in plans:
        if plan.name not in answers:
            continue
        value = answers[plan.name]
        if plan.freshness is not None:
            if value is None and since is not None:
                everywhere = _rows_sql(contract, unusable, as_of=as_of, since=None)
                value = _read_all(
                    connection, everywhere, {plan.name: wanted[plan.name]}, measures.broken
                ).get(plan.name)
            measures.newest[plan.name] = value.replace(tzinfo=UTC) if value is not None else None
            continue
        if plan.kind is CheckKind.KEY and value > 0:
            # The pass compares 64-bit hashes; what it reports is counted exactly here.
            value = _read_int(connection, _exact_key_sql(contract, rows_sql))
        every, recent = ("_seen", "_seen_recent")
        if plan.kind is not CheckKind.QUARANTINE:
            every, recent = ("_good", "_good_recent")
        measures.counts[plan.name] = Count(
            bad=value,
            looked_at=answers.get(every, 0),
            recent_bad=answers.get(_recent(plan), value),
            recent_looked_at=answers.get(recent, 0),
        )
    return measures


def read_examples(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    plan: CheckPlan,
    columns: Columns,
    *,
    as_of: datetime,
    since: datetime | None,
    limit: int = 3,
) -> tuple[str, ...]:
    """Returns keys of a few bad rows, such as `order_id=CK200001`; never anything personal.

    Only columns the contract lists under `examples` (its key when it lists none) are shown, and of
    those no value that looks like an address, since in a broken table columns swap places.
    """
    names = contract.examples or contract.key
    unusable = columns.unusable()
    shown = [name for name in names if name not in unusable and not contract.columns[name].personal]
    if not shown:
        return ()
    rows_sql = _rows_sql(contract, unusable, as_of=as_of, since=since)
    if plan.kind is CheckKind.KEY:
        key = ", ".join(quote(name) for name in contract.key)
        picked = (
            f"select {key} from ({rows_sql}) where _contract_reason is null "
            f"group by {key} having count(*) > 1"
        )
    elif (bad := _bad_row_sql(plan, as_of)) is not None:
        picked = f"select * from ({rows_sql}) where {bad}"
    else:
        return ()
    texts = ", ".join(f"cast({quote(name)} as varchar)" for name in shown)
    statement = f"select distinct {texts} from ({picked}) order by all limit {limit}"
    found = connection.execute(statement).fetchall()
    return tuple(
        ", ".join(f"{name}={_show(value)}" for name, value in zip(shown, row, strict=True))
        for row in found
    )


def measure_age(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    rule: Freshness,
    newest: datetime | None,
    *,
    as_of: datetime,
) -> Age:
    """Returns how long the column has been silent and how much the usual pace would have brought.

    The pace is that of the 28 days before the newest instant, or of the table's whole life where
    it is shorter (at least one day).
    """
    if newest is None:
        return Age(newest=None)
    hours = (as_of - newest).total_seconds() / 3600
    if hours <= rule.max_age_hours:
        return Age(newest=newest, hours=hours)
    clock = contract.columns[rule.column].clock
    assert clock is not None  # noqa: S101 - the model refuses freshness without a clock
    instant = instant_sql(rule.column, clock)
    start = newest - PACE_WINDOW
    where = _with_as_of(fill_clocks(contract, rule.where or "true"), as_of)
    rows, first = _read_row(
        connection,
        f"select count(*), min(_at) from (select {instant} as _at from {contract.table} "
        f"where ({where}) and {since_sql(quote(rule.column), clock, start)}) "
        f"where _at > {timestamp_literal(start)} and _at <= {timestamp_literal(newest)}",
    )
    span = timedelta(days=1)
    if first is not None:
        span = max(span, newest - first.replace(tzinfo=UTC))
    pace = rows / (span.total_seconds() / 3600)
    return Age(newest=newest, hours=hours, expected_rows=pace * hours)


def measure_days(
    connection: duckdb.DuckDBPyConnection, contract: Contract, rule: Volume, *, as_of: datetime
) -> Ratio:
    """Returns the mean rows of the newest full business days against the median before them.

    A day without rows counts as 0 rows, so that a day that never came is seen; days before the
    first row of these weeks do not count, since the table may be that young.
    """
    assert rule.column is not None  # noqa: S101 - the model refuses per: day without it
    clock = contract.columns[rule.column].clock
    assert clock is not None  # noqa: S101 - the model refuses volume without a clock
    last = business_day(as_of) - timedelta(days=1 + rule.lag_days)
    first = last - timedelta(days=rule.days + rule.history - 1)
    day = business_day_sql(rule.column, clock)
    where = _with_as_of(fill_clocks(contract, rule.where or "true"), as_of)
    start = datetime.combine(first, datetime.min.time(), tzinfo=UTC) - timedelta(days=1)
    counted = dict(
        connection.execute(
            f"select _day, count(*) from (select {day} as _day from {contract.table} "
            f"where ({where}) and {since_sql(quote(rule.column), clock, start)}) "
            f"where _day between date '{first}' and date '{last}' group by 1"
        ).fetchall()
    )
    if not counted:
        return Ratio(now=0, why_not="no rows in the last weeks")
    judged = [counted.get(last - timedelta(days=back), 0) for back in range(rule.days)]
    past = [counted.get(that, 0) for that in _days(min(counted), last - timedelta(days=rule.days))]
    now = sum(judged) / rule.days
    if len(past) < rule.min_history:
        return Ratio(now=now, why_not=f"{len(past)} of the {rule.min_history} days needed")
    usual = median(past)
    if usual * rule.days < rule.min_rows:
        return Ratio(now=now, why_not=f"usually {usual * rule.days:g} rows: too few to judge")
    return Ratio(now=now, usual=usual)


def compare_runs(rule: Volume, rows: int, past: Sequence[float]) -> Ratio:
    """Returns the rows of this run against the runs before it. Pure."""
    if len(past) < rule.min_history:
        return Ratio(now=rows, why_not=f"{len(past)} of the {rule.min_history} runs needed")
    usual = max(past) if rule.against == "max" else median(past)
    if max(usual, rows if rule.max_ratio else 0) < rule.min_rows:
        return Ratio(now=rows, why_not=f"usually {usual:g} rows: too few to judge")
    # A table that was empty until now has no ratio; one row is the smallest past there is.
    return Ratio(now=rows, usual=max(usual, 1.0))


def _days(first: date, last: date) -> Iterable[date]:
    return (first + timedelta(days=step) for step in range((last - first).days + 1))


def _rows_sql(
    contract: Contract, unusable: frozenset[str], *, as_of: datetime, since: datetime | None
) -> str:
    """Returns SQL for the rows to look at, each with its reason and whether it is recent."""
    reason = "cast(null as varchar)"
    if contract.quarantine is not None:
        judged = set().union(
            *(contract.columns_in(rule.when) for rule in contract.quarantine.rules)
        )
        if not judged & unusable:
            reason = _with_as_of(reason_sql(contract), as_of)
    recent, where = "true", "true"
    if contract.scope is not None and contract.scope.column not in unusable:
        start = as_of - timedelta(days=contract.scope.days)
        recent = since_sql(quote(contract.scope.column), contract.scope_clock(), start)
        if since is not None:
            where = recent
    return (
        f"select *, {reason} as _contract_reason, {recent} as _contract_recent "
        f"from {contract.table} where {where}"
    )


def _bad_row_sql(plan: CheckPlan, as_of: datetime) -> str | None:
    if plan.kind is CheckKind.QUARANTINE:
        return "_contract_reason is not null"
    if plan.bad_row_sql is None:
        return None
    return f"_contract_reason is null and ({_with_as_of(plan.bad_row_sql, as_of)})"


def _recent(plan: CheckPlan) -> str:
    return f"{plan.name} (recent)"


def _key_sql(contract: Contract) -> str:
    names = [quote(name) for name in contract.key]
    whole = " and ".join(f"{name} is not null" for name in names)
    good = "_contract_reason is null"
    return (
        f"count(*) filter (where {good}) "
        f"- count(distinct hash({', '.join(names)})) filter (where {good} and {whole})"
    )


def _exact_key_sql(contract: Contract, rows_sql: str) -> str:
    names = [quote(name) for name in contract.key]
    key = ", ".join(names)
    partly = " or ".join(f"{name} is null" for name in names)
    return (
        f"select coalesce(sum(case when {partly} then lines else lines - 1 end), 0) from ("
        f"select {key}, count(*) as lines from ({rows_sql}) where _contract_reason is null "
        f"group by {key})"
    )


def _newest_sql(contract: Contract, rule: Freshness, as_of: datetime) -> str:
    clock = contract.columns[rule.column].clock
    assert clock is not None  # noqa: S101 - the model refuses freshness without a clock
    instant = instant_sql(rule.column, clock)
    where = _with_as_of(fill_clocks(contract, rule.where or "true"), as_of)
    return (
        f"max({instant}) filter (where _contract_reason is null and ({where}) "
        f"and {instant} <= {timestamp_literal(as_of)})"
    )


def _with_as_of(snippet: str, as_of: datetime) -> str:
    return fill_placeholders(snippet, {"as_of": timestamp_literal(as_of)})


def _read_all(
    connection: duckdb.DuckDBPyConnection,
    rows_sql: str,
    wanted: dict[str, str],
    broken: dict[str, str],
) -> dict[str, Any]:
    """Reads all aggregates in one pass; if DuckDB refuses, one by one, naming those that break."""
    try:
        return _read_aggregates(connection, rows_sql, wanted)
    except duckdb.Error as error:
        if len(wanted) == 1:
            # DuckDB's text may quote a value of the data: the kind of error is all we pass on.
            broken[next(iter(wanted))] = type(error).__name__
            return {}
    answers: dict[str, Any] = {}
    for name, expression in wanted.items():
        answers.update(_read_all(connection, rows_sql, {name: expression}, broken))
    return answers


def _read_aggregates(
    connection: duckdb.DuckDBPyConnection, rows_sql: str, wanted: dict[str, str]
) -> dict[str, Any]:
    listed = ", ".join(wanted.values())
    row = _read_row(connection, f"select {listed} from ({rows_sql})")
    return dict(zip(wanted, row, strict=True))


def _read_row(connection: duckdb.DuckDBPyConnection, statement: str) -> tuple[Any, ...]:
    row = connection.execute(statement).fetchone()
    return row if row is not None else ()


def _read_int(connection: duckdb.DuckDBPyConnection, statement: str) -> int:
    return int(_read_row(connection, statement)[0])


def _has_field(found: DuckDBPyType, path: list[str]) -> bool:
    # The binding types children loosely: for lists and structs each is a (name, type) pair.
    if found.id in ("list", "array"):
        return _has_field(cast(DuckDBPyType, found.children[0][1]), path)
    if not path:
        return True
    if found.id != "struct":
        return False
    children = dict(found.children)
    if path[0] not in children:
        return False
    return _has_field(cast(DuckDBPyType, children[path[0]]), path[1:])


def _short(type_name: str) -> str:
    return type_name if len(type_name) <= 40 else type_name.split("(")[0] + "(...)"


def _show(value: str | None) -> str:
    if value is None:
        return "NULL"
    return "(hidden)" if _LOOKS_PERSONAL.search(value) or len(value) > 64 else value
