"""Great Expectations, and nothing but it. What belongs: suites, validation definitions, answers.

What does not: measuring (`validator`), words and rules (`checks`).

DuckDB measures a table in one pass (a count of bad rows a check, the age of the newest row, ...);
the measures are one row of a data frame, one column a check, and a suite asserts on that row. So a
table of a hundred million rows costs GX as little as an empty one, and GX stays the judge: what it
says passed, passed.

The import of GX costs 5 to 15 CPU seconds, so it happens inside `_load_gx`, once a process.
"""

from __future__ import annotations

import functools
import os
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from data_contracts.errors import ContractEngineError
from data_contracts.models import Severity

# GX keeps one current project a process: two threads that judge at once would mix theirs.
_LOCK = threading.RLock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """One measure and its bounds, ready for GX.

    Attributes:
        name: of the check; the column of the frame and the way back from GX's answer.
        description: the promise in plain words, shown in Data Docs.
        severity: handed to GX as its own.
        value: the measure; NaN when it could not be taken, which never passes. A text is judged
            by `accepted`, a number by the ends.
        min_value: lowest number that passes, or None.
        max_value: highest number that passes, or None.
        accepted: the one text that passes, or None.
    """

    name: str
    description: str
    severity: Severity
    value: float | str
    min_value: float | None = None
    max_value: float | None = None
    accepted: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """GX's answer to one suite.

    Attributes:
        passed: by check name.
        expectation: GX's name of the expectation, by check name.
        suite: the suite as GX holds it; for Data Docs.
        result: the validation result as GX holds it; for Data Docs.
    """

    passed: dict[str, bool]
    expectation: dict[str, str]
    suite: Any = field(repr=False)
    result: Any = field(repr=False)


def judge(table: str, assertions: Sequence[Assertion], *, notes: str = "") -> Judgement:
    """Lets GX judge the measures of one table.

    Args:
        table: name of the suite and of the data asset.
        assertions: at least one.
        notes: about the table, shown in Data Docs.

    Raises:
        ContractEngineError: GX did not answer for every assertion, or answered twice for one.
    """
    with _LOCK:
        gx = _load_gx()
        context = _context()
        frame = gx.DataFrame({item.name: [item.value] for item in assertions})
        try:
            suite = context.suites.add(
                gx.ExpectationSuite(
                    name=table,
                    notes=notes,
                    expectations=[_expectation(gx, item) for item in assertions],
                )
            )
            definition = context.validation_definitions.add(
                gx.ValidationDefinition(name=table, data=_batch(), suite=suite)
            )
            result = definition.run(batch_parameters={"dataframe": frame})
        finally:
            _forget(context, table)
    passed: dict[str, bool] = {}
    expectation: dict[str, str] = {}
    for answer in result.results:
        name = (answer.expectation_config.meta or {}).get("check")
        if name is None or name in passed:
            raise ContractEngineError(f"{table}: GX answered for a check it was not given: {name}")
        passed[name] = bool(answer.success)
        expectation[name] = answer.expectation_config.type
    # A suite drops what it does not know without a word: count instead of trusting it.
    lost = sorted({item.name for item in assertions} - set(passed))
    if lost:
        raise ContractEngineError(f"{table}: GX gave no answer for {', '.join(lost)}")
    return Judgement(passed=passed, expectation=expectation, suite=suite, result=result)


def _expectation(gx: SimpleNamespace, item: Assertion) -> Any:
    common = {
        "column": item.name,
        "description": item.description,
        "severity": str(item.severity),
        "meta": {"check": item.name},
    }
    if isinstance(item.value, str):
        return gx.expectations.ExpectColumnValuesToBeInSet(value_set=[item.accepted], **common)
    # GX wants an end; a measure that could not be taken has none, and NaN passes no end.
    unbounded = item.min_value is None and item.max_value is None
    return gx.expectations.ExpectColumnMaxToBeBetween(
        min_value=item.min_value, max_value=0.0 if unbounded else item.max_value, **common
    )


@functools.cache
def _load_gx() -> SimpleNamespace:
    # Nothing leaves this machine: set before the import, where GX reads it.
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with warnings.catch_warnings():
        # GX and what it imports warn about their own deprecations; ours stay errors in tests.
        warnings.simplefilter("ignore")
        import great_expectations as gx
        import great_expectations.expectations as gxe
        from pandas import DataFrame
    return SimpleNamespace(
        get_context=gx.get_context,
        ExpectationSuite=gx.ExpectationSuite,
        ValidationDefinition=gx.ValidationDefinition,
        expectations=gxe,
        DataFrame=DataFrame,
    )


@functools.cache
def _context() -> Any:
    # One a process: a new one costs 100 ms of writing its own configuration down.
    context = _load_gx().get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    return context


@functools.cache
def _batch() -> Any:
    # One for all tables, for the same reason: each table hands it its own frame.
    source = _context().data_sources.add_pandas("warehouse")
    return source.add_dataframe_asset("measures").add_batch_definition_whole_dataframe(
        "of one table"
    )


def _forget(context: Any, table: str) -> None:
    """Takes everything about one table out of the context, which otherwise keeps it for ever."""
    context.validation_definitions.delete(table)
    context.suites.delete(table)
    store = context.validation_results_store
    for key in store.list_keys():
        store.remove_key(key)


def warm_up() -> threading.Thread:
    """Starts importing GX in the background and returns the thread, which nobody has to join.

    Worth calling at the start of a run: the import overlaps with pulls that wait for servers.
    """
    thread = threading.Thread(target=_warm_up, name="import-great-expectations", daemon=True)
    thread.start()
    return thread


def _warm_up() -> None:
    with _LOCK:
        _load_gx()
