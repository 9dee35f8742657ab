"""From a contract to its checks, purely. What belongs: names, SQL of a bad row, words, next steps.

What does not: running anything. The list depends on the contract alone, never on data, so that
asset checks can be declared before the first run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from data_contracts.clocks import instant_sql, quote
from data_contracts.errors import ContractFileError
from data_contracts.models import (
    Column,
    Contract,
    Freshness,
    Limit,
    RowRule,
    Severity,
    Volume,
    fill_placeholders,
    placeholders,
)

QUARANTINE_CHECK = "quarantined_rows"


class CheckKind(StrEnum):
    """What a check looks at."""

    COLUMNS = "columns"
    TYPES = "types"
    ROWS = "rows"
    KEY = "key"
    NULLS = "nulls"
    UNREADABLE = "unreadable"
    ALLOWED = "allowed"
    RANGE = "range"
    PATTERN = "pattern"
    CONDITION = "condition"
    FRESHNESS = "freshness"
    VOLUME = "volume"
    QUARANTINE = "quarantine"


ROW_KINDS = frozenset(
    {
        CheckKind.NULLS,
        CheckKind.UNREADABLE,
        CheckKind.ALLOWED,
        CheckKind.RANGE,
        CheckKind.PATTERN,
        CheckKind.CONDITION,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPlan:
    """One check of a contract, before any data is seen.

    Attributes:
        name: unique in the contract; letters, digits and underscores.
        kind: what it looks at.
        severity: the most a failure can matter: critical stops what depends on the table, warning
            only says so.
        subject: the column it is about, or "table".
        description: the promise in plain words.
        next_step: what a person does when it fails, one sentence.
        columns: declared columns it needs; with one missing it cannot be judged and fails.
        bad_row_sql: SQL that is true for a bad row (row kinds only), `{as_of}` not yet filled in.
        limits: how many bad rows pass, by severity of the failure, the stricter first (row kinds,
            key and quarantine).
        freshness: the rule of a freshness check.
        volume: the rule of a volume check.
    """

    name: str
    kind: CheckKind
    severity: Severity
    subject: str
    description: str
    next_step: str
    columns: frozenset[str] = frozenset()
    bad_row_sql: str | None = None
    limits: tuple[tuple[Severity, Limit], ...] = ()
    freshness: Freshness | None = None
    volume: Volume | None = None


def plan_checks(contract: Contract) -> tuple[CheckPlan, ...]:
    """Returns the checks of a contract in the order people read them: table, columns, times.

    Raises:
        ContractFileError: two rules of the contract would be the same check.
    """
    plans = [
        *_plan_table(contract),
        *(plan for name, column in contract.columns.items() for plan in _plan_column(name, column)),
        *_plan_conditions(contract),
        *_plan_freshness(contract),
        *_plan_volume(contract),
    ]
    doubled = [name for name, count in Counter(plan.name for plan in plans).items() if count > 1]
    if doubled:
        raise ContractFileError(
            f"{contract.file or contract.table}: two rules are the same check {doubled[0]}: "
            "give them different severities, or keep one"
        )
    return tuple(plans)


def reason_sql(contract: Contract) -> str:
    """Returns SQL for the quarantine reason of a row: the first rule true for it, else NULL."""
    if contract.quarantine is None:
        return "cast(null as varchar)"
    branches = " ".join(
        f"when ({fill_clocks(contract, rule.when)}) then '{rule.reason}'"
        for rule in contract.quarantine.rules
    )
    return f"(case {branches} end)"


def fill_clocks(contract: Contract, snippet: str) -> str:
    """Returns the SQL with `{column}` read as an instant and `{as_of}` left as it is."""
    values = {"as_of": "{as_of}"}
    for name in placeholders(snippet) - {"as_of"}:
        clock = contract.columns[name].clock
        if clock is not None:
            values[name] = instant_sql(name, clock)
    return fill_placeholders(snippet, values)


def _plan_table(contract: Contract) -> Iterable[CheckPlan]:
    where = f"data_contracts/{contract.file}" if contract.file else "its contract"
    yield CheckPlan(
        name="columns_present",
        kind=CheckKind.COLUMNS,
        severity=Severity.CRITICAL,
        subject="table",
        description="every declared column is there",
        next_step=f"see whether the source renamed or dropped it; if it is meant, change {where}",
    )
    yield CheckPlan(
        name="column_types",
        kind=CheckKind.TYPES,
        severity=Severity.CRITICAL,
        subject="table",
        description="every column has the declared type",
        next_step=f"see whether the source changed the type; if it is meant, change {where}",
    )
    if contract.rows is not None:
        yield CheckPlan(
            name="rows_present",
            kind=CheckKind.ROWS,
            severity=contract.rows.severity,
            subject="table",
            description=f"the table has at least {contract.rows.min:,} "
            + ("row" if contract.rows.min == 1 else "rows"),
            next_step="see whether the pull reached the source, and the source has rows",
        )
    if contract.key:
        key = " + ".join(contract.key)
        yield CheckPlan(
            name="key_unique",
            kind=CheckKind.KEY,
            severity=contract.key_severity,
            subject="table",
            description=f"{key} is never empty and names one row only",
            next_step="pull the table again from the start; if it stays, ask the source's owner",
            columns=frozenset(contract.key),
            limits=((contract.key_severity, Limit(rows=0)),),
        )
    if contract.quarantine is not None:
        columns = set(contract.row_key_columns).union(
            *(contract.columns_in(rule.when) for rule in contract.quarantine.rules)
        )
        yield CheckPlan(
            name=QUARANTINE_CHECK,
            kind=CheckKind.QUARANTINE,
            severity=contract.quarantine.severity,
            subject="table",
            description="rows that cannot be used are few",
            next_step=f"read the reasons in quarantine.{contract.name}, mend the source",
            columns=frozenset(columns),
            limits=_limits(contract.quarantine),
        )


def _plan_column(name: str, column: Column) -> Iterable[CheckPlan]:
    quoted = quote(name)
    null_rule = column.null_rule()
    if null_rule is not None:
        yield from _plan_rows(
            f"{name}_not_null",
            CheckKind.NULLS,
            null_rule,
            subject=name,
            description=f"{name} has a value",
            next_step="ask the source's owner why the value is missing",
            bad_row_sql=f"{quoted} is null",
        )
    if column.unreadable is not None and column.clock is not None:
        instant = instant_sql(name, column.clock)
        yield from _plan_rows(
            f"{name}_readable",
            CheckKind.UNREADABLE,
            column.unreadable,
            subject=name,
            description=f"{name} is a time written as {column.clock}",
            next_step="ask the source's owner whether the clock or its format changed",
            bad_row_sql=f"{quoted} is not null and {instant} is null",
        )
    if column.allowed is not None:
        values = ", ".join(_literal(value) for value in column.allowed.values)
        shown = ", ".join(str(value) for value in column.allowed.values)
        stored = f"lower(trim({quoted}))" if column.allowed.ignore_case else quoted
        yield from _plan_rows(
            f"{name}_allowed",
            CheckKind.ALLOWED,
            column.allowed,
            subject=name,
            description=f"{name} is one of: {shown}",
            next_step="ask the owner whether the value is new; if so add it to the contract and "
            "to the models that read it",
            bad_row_sql=f"{stored} not in ({values})",
        )
    if column.range is not None:
        ends = []
        if column.range.min is not None:
            ends.append(f"{quoted} < {column.range.min!r}")
        if column.range.max is not None:
            ends.append(f"{quoted} > {column.range.max!r}")
        yield from _plan_rows(
            f"{name}_in_range",
            CheckKind.RANGE,
            column.range,
            subject=name,
            description=f"{name} lies {_range_words(column.range.min, column.range.max)}",
            next_step="ask the source's owner whether the unit changed",
            bad_row_sql=" or ".join(ends),
        )
    if column.pattern is not None:
        yield from _plan_rows(
            f"{name}_well_formed",
            CheckKind.PATTERN,
            column.pattern,
            subject=name,
            description=f"{name} has the form {column.pattern.regex}",
            next_step="ask the source's owner whether the form changed",
            bad_row_sql=f"not regexp_full_match({quoted}, {_literal(column.pattern.regex)})",
        )


def _plan_conditions(contract: Contract) -> Iterable[CheckPlan]:
    for name, condition in contract.conditions.items():
        yield from _plan_rows(
            name,
            CheckKind.CONDITION,
            condition,
            subject="table",
            description=condition.description,
            next_step="ask the source's owner; until then read the rows with care",
            bad_row_sql=f"not ({fill_clocks(contract, condition.check)})",
            columns=frozenset(contract.columns_in(condition.check)),
        )


def _plan_rows(
    name: str,
    kind: CheckKind,
    rule: RowRule,
    *,
    subject: str,
    description: str,
    next_step: str,
    bad_row_sql: str,
    columns: frozenset[str] | None = None,
) -> Iterable[CheckPlan]:
    yield CheckPlan(
        name=name,
        kind=kind,
        severity=rule.severity,
        subject=subject,
        description=description,
        next_step=next_step,
        columns=columns if columns is not None else frozenset({subject}),
        bad_row_sql=bad_row_sql,
        limits=_limits(rule),
    )


def _plan_freshness(contract: Contract) -> Iterable[CheckPlan]:
    blocking = {rule.column for rule in contract.freshness if rule.severity is Severity.CRITICAL}
    for rule in contract.freshness:
        doubled = rule.severity is Severity.WARNING and rule.column in blocking
        where = contract.columns_in(rule.where) if rule.where else set()
        yield CheckPlan(
            name=f"{rule.column}_fresh" + ("_warning" if doubled else ""),
            kind=CheckKind.FRESHNESS,
            severity=rule.severity,
            subject=rule.column,
            description=f"the newest {rule.column} is at most {rule.max_age_hours:g} hours old",
            next_step="see whether the source and its pull are running",
            columns=frozenset({rule.column} | where),
            freshness=rule,
        )


def _plan_volume(contract: Contract) -> Iterable[CheckPlan]:
    def base_name(rule: Volume) -> str:
        return f"volume_per_{rule.per}" + (f"_{rule.days}d" if rule.days > 1 else "")

    blocking = {base_name(rule) for rule in contract.volume if rule.severity is Severity.CRITICAL}
    for rule in contract.volume:
        name = base_name(rule)
        doubled = rule.severity is Severity.WARNING and name in blocking
        usual = "biggest" if rule.against == "max" else "median"
        if rule.per == "run":
            text = f"rows against the {usual} of the runs before"
        else:
            span = "the newest full day" if rule.days == 1 else f"the {rule.days} newest full days"
            text = f"rows of {span} against the median of the {rule.history} days before"
        where = contract.columns_in(rule.where) if rule.where else set()
        column = {rule.column} if rule.column else set()
        yield CheckPlan(
            name=name + ("_warning" if doubled else ""),
            kind=CheckKind.VOLUME,
            severity=rule.severity,
            subject="table",
            description=f"{text}: {_range_words(rule.min_ratio, rule.max_ratio)} times",
            next_step="see whether the source lost or doubled rows; if the change is real, "
            f"forget the history of {contract.table}"
            if rule.per == "run"
            else "see whether the source lost or doubled rows of these days, and pull them again",
            columns=frozenset(column | where),
            volume=rule,
        )


def _limits(rule: RowRule) -> tuple[tuple[Severity, Limit], ...]:
    pairs = (
        (Severity.WARNING, rule.warning_above),
        (Severity.CRITICAL, rule.critical_above),
    )
    return tuple((severity, limit) for severity, limit in pairs if limit is not None)


def _range_words(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"between {_number(low)} and {_number(high)}"
    return f"at least {_number(low)}" if low is not None else f"at most {_number(high)}"


def _literal(value: str | int) -> str:
    if isinstance(value, int):
        return str(value)
    return "'" + value.replace("'", "''") + "'"


def _number(value: float | None) -> str:
    return f"{value:,.10g}"
