"""Runs contracts on a warehouse. What belongs: one table's measures to one result in plain words.

What does not: SQL of measuring (`measures`), Great Expectations itself (`engine`), the list of
checks (`checks`), Dagster.

`validate` judges one table and writes nothing but its quarantine; `validate_all` is the hourly
form: it makes sure the state tables are there, hands each contract its history and remembers the
new measures.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

import duckdb

from data_contracts.checks import (
    QUARANTINE_CHECK,
    ROW_KINDS,
    CheckKind,
    CheckPlan,
    plan_checks,
    reason_sql,
)
from data_contracts.clocks import naive_utc, timestamp_literal
from data_contracts.engine import Assertion, Judgement, judge, warm_up
from data_contracts.history import (
    CLEAN_FULL_LOOK,
    ROWS,
    ROWS_UNUSUAL,
    Metric,
    ensure_history_table,
    load_metrics,
    read_history,
    values_of,
)
from data_contracts.measures import (
    Count,
    Measures,
    compare_runs,
    measure_age,
    measure_days,
    measure_rows,
    read_columns,
    read_examples,
)
from data_contracts.models import Contract, Limit, Severity, fill_placeholders
from data_contracts.quarantine import (
    apply_quarantine,
    count_quarantined,
    ensure_quarantine_tables,
)

__all__ = [
    "CheckResult",
    "ContractResult",
    "Outcome",
    "validate",
    "validate_all",
    "warm_up",
]

FULL_LOOK_EVERY = timedelta(hours=24)


class Outcome(StrEnum):
    """What came of a check; `not_judged` means there is nothing to judge yet, and passes."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_JUDGED = "not_judged"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One check of one table in one run. Holds no value of the data but keys.

    Attributes:
        name: unique in the contract, the same in every run.
        kind: what it looks at.
        expectation: the name of the Great Expectations expectation that judged it, "" if none did.
        severity: of this result: how far a failure went, else the most it could have mattered.
            Critical stops what depends on the table.
        outcome: see `Outcome`.
        observed: what was seen, in words.
        expected: what was promised, in words.
        message: one or two sentences that name table, column, observed, expected and, when it
            failed, the next step.
        unexpected_count: bad rows, where rows were counted.
    """

    name: str
    kind: CheckKind
    expectation: str
    severity: Severity
    outcome: Outcome
    observed: str
    expected: str
    message: str
    unexpected_count: int | None = None

    @property
    def passed(self) -> bool:
        """True unless the check failed."""
        return self.outcome is not Outcome.FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractResult:
    """What one run found about one table.

    Attributes:
        contract: the contract judged.
        as_of: instant of the run, aware.
        checks: one a planned check, in their order; never fewer.
        quarantined: rows in quarantine by reason, every reason of the contract named.
        rows: rows of the table.
        looked_at_all: every row was looked at, not only those that can still change.
        metrics: measures worth remembering, for `history.load_metrics`.
        judgement: what Great Expectations said, for Data Docs; None for an absent optional table.
    """

    contract: Contract = field(repr=False)
    as_of: datetime
    checks: tuple[CheckResult, ...]
    quarantined: dict[str, int]
    rows: int
    looked_at_all: bool
    metrics: dict[str, float]
    judgement: Judgement | None = field(repr=False, compare=False)

    @property
    def passed(self) -> bool:
        """True when nothing critical failed: what depends on the table may go on."""
        return not self.blocking

    @property
    def blocking(self) -> tuple[CheckResult, ...]:
        """The critical checks that failed."""
        return tuple(
            check
            for check in self.checks
            if not check.passed and check.severity is Severity.CRITICAL
        )

    @property
    def warnings(self) -> tuple[CheckResult, ...]:
        """The checks that failed without being critical."""
        return tuple(
            check
            for check in self.checks
            if not check.passed and check.severity is Severity.WARNING
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    """One check on its way to Great Expectations: the measure, its bounds and the words.

    `severity` is that of breaking the bounds here, where it is not the plan's; `worse` is a second
    measure and the most of it that is still no more than a warning.
    """

    plan: CheckPlan
    observed: str
    expected: str
    value: float | str = math.nan
    min_value: float | None = None
    max_value: float | None = None
    accepted: str | None = None
    not_judged: bool = False
    bad_rows: int | None = None
    severity: Severity | None = None
    worse: tuple[float, float] | None = None

    @property
    def promise(self) -> str:
        """What was promised, in words, with the number where the description leaves it open."""
        if self.plan.kind in (CheckKind.COLUMNS, CheckKind.TYPES, CheckKind.ROWS):
            return self.plan.description
        return f"{self.plan.description} ({self.expected})"

    @property
    def worse_name(self) -> str:
        """Name of the second assertion: has it gone so far that it is critical?"""
        return f"{self.plan.name} (critical)"

    def assertions(self) -> list[Assertion]:
        """Returns what Great Expectations has to judge: nothing, one bound, or two."""
        if self.not_judged:
            return []
        first = Assertion(
            name=self.plan.name,
            description=self.promise,
            severity=self.severity or self.plan.severity,
            value=self.value,
            min_value=self.min_value,
            max_value=self.max_value,
            accepted=self.accepted,
        )
        if self.worse is None:
            return [first]
        value, allowed = self.worse
        second = Assertion(
            name=self.worse_name,
            description=f"{self.plan.description} (critical above {allowed:,.0f} bad rows)",
            severity=Severity.CRITICAL,
            value=value,
            max_value=allowed,
        )
        return [first, second]


def validate(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    *,
    as_of: datetime,
    history: Iterable[Metric] = (),
    full: bool = False,
) -> ContractResult:
    """Judges one table and brings its quarantine up to date.

    Reads the table; writes only `quarantine.<table>`, and that idempotently.

    Args:
        connection: the warehouse, open for writing.
        contract: what the table promises.
        as_of: instant of the run, aware; rows after it do not count as fresh or as volume.
        history: measures of earlier runs of this contract (`history.read_history`); those at or
            after `as_of` are ignored.
        full: look at every row even where the contract's scope would do.

    Raises:
        ValueError: `as_of` has no zone.
        ContractQueryError: the quarantine table could not be written.
        ContractEngineError: Great Expectations did not answer for every check.
    """
    naive_utc(as_of)
    past = tuple(history)
    plans = plan_checks(contract)
    columns = read_columns(connection, contract)
    if contract.quarantine is not None:
        ensure_quarantine_tables(connection, (contract,))
    if not columns.exists and contract.optional:
        return _absent(contract, plans, as_of, count_quarantined(connection, contract))
    since = None if full else _since(contract, past, as_of)
    if contract.scope is not None and contract.scope.column in columns.unusable():
        since = None
    measures = Measures(columns=columns)
    if columns.exists:
        measures = measure_rows(connection, contract, plans, columns, as_of=as_of, since=since)
        if _must_quarantine(connection, contract, measures):
            reason = fill_placeholders(reason_sql(contract), {"as_of": timestamp_literal(as_of)})
            apply_quarantine(connection, contract, reason_sql=reason, as_of=as_of, since=since)
    quarantined = count_quarantined(connection, contract)
    findings = [
        _find(connection, contract, plan, measures, quarantined, as_of=as_of, past=past)
        for plan in plans
    ]
    judgement = judge(
        contract.table,
        [assertion for finding in findings for assertion in finding.assertions()],
        notes=contract.description,
    )
    checks = []
    for finding in findings:
        examples: tuple[str, ...] = ()
        failed = not finding.not_judged and not judgement.passed[finding.plan.name]
        if failed and finding.bad_rows:
            examples = read_examples(
                connection, contract, finding.plan, columns, as_of=as_of, since=since
            )
        checks.append(_result(contract, finding, judgement, examples))
    return ContractResult(
        contract=contract,
        as_of=as_of,
        checks=tuple(checks),
        quarantined=quarantined,
        rows=measures.rows,
        looked_at_all=since is None,
        metrics=_metrics(contract, checks, measures, looked_at_all=since is None),
        judgement=judgement,
    )


def validate_all(
    connection: duckdb.DuckDBPyConnection,
    contracts: Sequence[Contract],
    *,
    as_of: datetime,
    full: bool = False,
) -> tuple[ContractResult, ...]:
    """Judges tables with their history and remembers what was measured.

    Idempotent: the same `as_of` on the same tables leaves the same warehouse.

    Args:
        connection: the warehouse, open for writing.
        contracts: which ones; any selection of them, in any order.
        as_of: instant of the run, aware.
        full: look at every row even where a contract's scope would do.

    Raises:
        ContractQueryError: a state or quarantine table could not be written.
        ContractEngineError: Great Expectations did not answer for every check.
    """
    ensure_history_table(connection)
    ensure_quarantine_tables(connection, contracts)
    history = read_history(connection, as_of=as_of)
    results = tuple(
        validate(
            connection,
            contract,
            as_of=as_of,
            history=history.get(contract.table, ()),
            full=full,
        )
        for contract in contracts
    )
    load_metrics(
        connection, {result.contract.table: result.metrics for result in results}, as_of=as_of
    )
    return results


def _must_quarantine(
    connection: duckdb.DuckDBPyConnection, contract: Contract, measures: Measures
) -> bool:
    """True when there are bad rows, or lines that may have to leave."""
    count = measures.counts.get(QUARANTINE_CHECK)
    if count is None:
        # No rules, or rules that could not be read on this table: what stands there stays.
        return False
    return count.bad > 0 or any(count_quarantined(connection, contract).values())


def fingerprint(contract: Contract) -> int:
    """Returns a 32-bit number that changes when the contract says something else."""
    return zlib.crc32(contract.model_dump_json().encode())


def _since(contract: Contract, past: Sequence[Metric], as_of: datetime) -> datetime | None:
    """Returns from when on rows have to be looked at; None when all of them."""
    if contract.scope is None:
        return None
    looks = [
        entry
        for entry in past
        if entry.metric == CLEAN_FULL_LOOK and as_of - FULL_LOOK_EVERY < entry.as_of < as_of
    ]
    if not any(entry.value == fingerprint(contract) for entry in looks):
        return None
    return as_of - timedelta(days=contract.scope.days)


def _find(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    plan: CheckPlan,
    measures: Measures,
    quarantined: dict[str, int],
    *,
    as_of: datetime,
    past: Sequence[Metric],
) -> _Finding:
    columns = measures.columns
    if plan.kind is CheckKind.COLUMNS:
        observed = "all there"
        if not columns.exists:
            observed = "no such table"
        elif columns.missing:
            observed = "missing: " + ", ".join(columns.missing)
        accepted = "all there"
        return _Finding(
            plan=plan, observed=observed, expected=accepted, value=observed, accepted=accepted
        )
    if not columns.exists:
        return _Finding(
            plan=plan, observed="could not be judged: no such table", expected="a table"
        )
    if plan.kind is CheckKind.TYPES:
        flipped = [f"{name} {what}" for name, what in columns.mistyped.items()]
        observed = "; ".join(flipped) or "as declared"
        return _Finding(
            plan=plan,
            observed=observed,
            expected="as declared",
            value=observed,
            accepted="as declared",
        )
    if plan.kind is CheckKind.ROWS:
        least = contract.rows.min if contract.rows else 1
        return _Finding(
            plan=plan,
            observed=f"{measures.rows:,} rows",
            expected=f"at least {least:,} rows",
            value=float(measures.rows),
            min_value=float(least),
        )
    unusable = sorted(plan.columns & columns.unusable())
    if unusable and all(
        name in columns.absent and not contract.columns[name].required for name in unusable
    ):
        return _Finding(
            plan=plan,
            observed=f"the optional column {', '.join(unusable)} is not there",
            expected="nothing without it",
            not_judged=True,
        )
    if unusable:
        return _Finding(
            plan=plan,
            observed="could not be judged: " + ", ".join(unusable) + " missing or of another type",
            expected="usable columns",
        )
    if plan.name in measures.broken:
        return _Finding(
            plan=plan,
            observed=f"could not be measured ({measures.broken[plan.name]})",
            expected="a value the check can read",
        )
    if plan.freshness is not None:
        return _find_age(connection, contract, plan, measures, as_of=as_of)
    if plan.volume is not None:
        return _find_volume(connection, contract, plan, measures, as_of=as_of, past=past)
    return _find_count(plan, measures, quarantined)


def _find_count(plan: CheckPlan, measures: Measures, quarantined: dict[str, int]) -> _Finding:
    count = measures.counts[plan.name]
    bounds = [_bound(limit, count) for _, limit in plan.limits]
    severity, limit = plan.limits[0]
    bad, looked_at, allowed = bounds[0]
    expected = f"at most {allowed:,} bad rows"
    if limit.share is not None:
        expected += f" ({limit})"
    observed = f"{bad:,} bad of {looked_at:,} rows"
    if plan.kind is CheckKind.QUARANTINE and any(quarantined.values()):
        reasons = [f"{reason} {rows:,}" for reason, rows in quarantined.items() if rows]
        observed += f" (in quarantine: {', '.join(reasons)})"
    # The second bound is looser: it says something only where there is something bad at all.
    worse = bounds[1] if len(bounds) > 1 and count.bad > 0 else None
    return _Finding(
        plan=plan,
        observed=observed,
        expected=expected,
        value=float(bad),
        max_value=float(allowed),
        bad_rows=bad,
        severity=severity,
        worse=(float(worse[0]), float(worse[2])) if worse else None,
    )


def _bound(limit: Limit, count: Count) -> tuple[int, int, int]:
    """Returns bad rows, rows looked at and bad rows allowed, as the limit sees them."""
    if limit.share is None:
        return count.bad, count.looked_at, limit.allowed_rows(count.looked_at)
    seen = count.recent_looked_at
    return count.recent_bad, seen, limit.allowed_rows(seen)


def _find_age(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    plan: CheckPlan,
    measures: Measures,
    *,
    as_of: datetime,
) -> _Finding:
    rule = plan.freshness
    assert rule is not None  # noqa: S101 - the caller asked
    age = measure_age(connection, contract, rule, measures.newest[plan.name], as_of=as_of)
    expected = f"at most {rule.max_age_hours:g} hours old"
    if age.newest is None:
        return _Finding(
            plan=plan, observed="no event up to now", expected=expected, not_judged=True
        )
    observed = f"{age.hours:,.1f} hours old at {as_of:%Y-%m-%d %H:%M %Z}"
    if age.expected_rows is not None:
        observed += f"; {age.expected_rows:,.0f} rows would be usual meanwhile"
        if age.expected_rows < rule.expected_rows:
            return _Finding(
                plan=plan,
                observed=f"{observed}, too few to tell silence from a pause",
                expected=expected,
                not_judged=True,
            )
    return _Finding(
        plan=plan,
        observed=observed,
        expected=expected,
        value=round(age.hours, 3),
        max_value=rule.max_age_hours,
    )


def _find_volume(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    plan: CheckPlan,
    measures: Measures,
    *,
    as_of: datetime,
    past: Sequence[Metric],
) -> _Finding:
    rule = plan.volume
    assert rule is not None  # noqa: S101 - the caller asked
    if rule.per == "run":
        ratio = compare_runs(rule, measures.rows, values_of(past, ROWS, as_of=as_of))
    else:
        ratio = measure_days(connection, contract, rule, as_of=as_of)
    ends = []
    if rule.min_ratio is not None:
        ends.append(f"at least {rule.min_ratio:g} times")
    if rule.max_ratio is not None:
        ends.append(f"at most {rule.max_ratio:g} times")
    expected = " and ".join(ends) + " the usual"
    if ratio.usual is None:
        return _Finding(
            plan=plan,
            observed=f"{ratio.now:,.0f} rows; nothing to compare with yet ({ratio.why_not})",
            expected=expected,
            not_judged=True,
        )
    value = ratio.now / ratio.usual
    return _Finding(
        plan=plan,
        observed=f"{ratio.now:,.0f} rows, {value:.2f} times the usual {ratio.usual:,.0f}",
        expected=expected,
        value=round(value, 6),
        min_value=rule.min_ratio,
        max_value=rule.max_ratio,
    )


def _result(
    contract: Contract, finding: _Finding, judgement: Judgement, examples: Sequence[str]
) -> CheckResult:
    plan = finding.plan
    severity = plan.severity
    subject = "" if plan.subject == "table" else f", column {plan.subject}"
    if finding.not_judged:
        outcome = Outcome.NOT_JUDGED
        message = f"{contract.table}{subject}: not judged: {finding.observed}."
    elif judgement.passed[plan.name]:
        outcome = Outcome.PASSED
        message = f"{contract.table}{subject}: {plan.description}: {finding.observed}."
        if plan.kind in ROW_KINDS or plan.kind is CheckKind.KEY:
            message += f" {finding.expected.capitalize()} pass."
    else:
        outcome = Outcome.FAILED
        severity = finding.severity or plan.severity
        if finding.worse is not None and not judgement.passed[finding.worse_name]:
            severity = Severity.CRITICAL
        shown = f", for example {'; '.join(examples)}" if examples else ""
        message = (
            f"{contract.table}{subject}: expected that {finding.promise}, "
            f"found {finding.observed}{shown}. Next: {plan.next_step} ({contract.owner})."
        )
    return CheckResult(
        name=plan.name,
        kind=plan.kind,
        expectation=judgement.expectation.get(plan.name, ""),
        severity=severity,
        outcome=outcome,
        observed=finding.observed,
        expected=finding.expected,
        message=message,
        unexpected_count=finding.bad_rows,
    )


def _metrics(
    contract: Contract,
    checks: Sequence[CheckResult],
    measures: Measures,
    *,
    looked_at_all: bool,
) -> dict[str, float]:
    metrics: dict[str, float] = {}
    if measures.columns.exists:
        usual = all(check.passed for check in checks if check.name.startswith("volume_per_run"))
        metrics[ROWS if usual else ROWS_UNUSUAL] = float(measures.rows)
    judged_rows = {*ROW_KINDS, CheckKind.KEY, CheckKind.QUARANTINE}
    clean = all(check.passed for check in checks if check.kind in judged_rows)
    if contract.scope is not None and looked_at_all and clean:
        metrics[CLEAN_FULL_LOOK] = float(fingerprint(contract))
    return metrics


def _absent(
    contract: Contract,
    plans: Sequence[CheckPlan],
    as_of: datetime,
    quarantined: dict[str, int],
) -> ContractResult:
    """Returns the result for an optional table that this installation does not have."""
    checks = tuple(
        CheckResult(
            name=plan.name,
            kind=plan.kind,
            expectation="",
            severity=plan.severity,
            outcome=Outcome.NOT_JUDGED,
            observed="no such table here",
            expected="nothing: the table is optional",
            message=f"{contract.table}: not judged: this installation has no such table, and it "
            "is optional.",
        )
        for plan in plans
    )
    return ContractResult(
        contract=contract,
        as_of=as_of,
        checks=checks,
        quarantined=quarantined,
        rows=0,
        looked_at_all=True,
        metrics={},
        judgement=None,
    )
