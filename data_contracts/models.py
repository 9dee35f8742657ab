"""What a contract file may say, as strict pydantic models.

What belongs: the shape of the YAML and its meaning. What does not: reading files (`loader`),
turning a contract into checks (`checks`), and judging data (`validator`).

A row-level rule carries up to two limits, `warning_above` and `critical_above`: one check, whose
failure is a warning or critical by how far it goes. A limit is a number of rows (`0`, `20`) or a
share of the rows (`5%`). A share only bites from more than `SHARE_FLOOR_ROWS` bad rows on, so that
one odd row in a table of ten is not a flood.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from data_contracts.clocks import TEXT_CLOCKS, Clock

SHARE_FLOOR_ROWS = 5

_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_SHARE = re.compile(r"^(\d+(?:\.\d+)?)%$")
_STRING_LITERAL = re.compile(r"'(?:[^']|'')*'")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Severity(StrEnum):
    """How much a failed check matters: critical stops what depends on the table."""

    CRITICAL = "critical"
    WARNING = "warning"


class Strict(BaseModel):
    """Base of every model here: an unknown key is an error, a loaded contract never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Limit(Strict):
    """The most bad rows a check lets pass: a number of rows, or a share of the rows looked at."""

    rows: int = Field(default=0, ge=0)
    share: float | None = Field(default=None, ge=0, le=1)

    def allowed_rows(self, looked_at: int) -> int:
        """Returns how many bad rows pass among `looked_at` rows."""
        if self.share is None:
            return self.rows
        return max(SHARE_FLOOR_ROWS, int(self.share * looked_at))

    def __str__(self) -> str:
        if self.share is None:
            return f"{self.rows} rows"
        return f"{self.share * 100:g} % of the rows"


def _read_limit(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError('a limit is a number of rows such as 0, or a share such as "5%"')
    if isinstance(value, int):
        return {"rows": value}
    if isinstance(value, str):
        match = _SHARE.match(value.strip())
        if match:
            return {"share": float(match.group(1)) / 100}
    if isinstance(value, Limit):
        return value
    raise ValueError('a limit is a number of rows such as 0, or a share such as "5%"')


LimitField = Annotated[Limit, BeforeValidator(_read_limit)]
ColumnName = Annotated[str, Field(pattern=_NAME.pattern)]


class RowRule(Strict):
    """A rule every row should keep, with the limits above which breaking it matters."""

    warning_above: LimitField | None = None
    critical_above: LimitField | None = None

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.warning_above is None and self.critical_above is None:
            raise ValueError("say when it matters: warning_above and/or critical_above")
        if self.warning_above is not None and self.critical_above is not None:
            small, large = 0, 1_000_000
            for rows in (small, large):
                if self.warning_above.allowed_rows(rows) > self.critical_above.allowed_rows(rows):
                    raise ValueError("warning_above is looser than critical_above")
        return self

    @property
    def severity(self) -> Severity:
        """The most that breaking the rule can matter."""
        return Severity.CRITICAL if self.critical_above is not None else Severity.WARNING


class Allowed(RowRule):
    """The values a column may hold; NULL is the business of `nullable` and `nulls`.

    With `ignore_case`, capitals and spaces around a text do not matter (staging folds them too).
    """

    values: tuple[str | int, ...] = Field(min_length=1)
    ignore_case: bool = False

    @model_validator(mode="after")
    def _folded_values_are_folded(self) -> Self:
        if self.ignore_case and any(str(value) != str(value).lower() for value in self.values):
            raise ValueError("with ignore_case, write the values in small letters")
        return self


class Range(RowRule):
    """The numbers a column may hold, ends included; at least one end is given."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is above max")
        return self


class Pattern(RowRule):
    """The regular expression (RE2) a whole value must match."""

    regex: str

    @field_validator("regex")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return value


class ColumnType(StrEnum):
    """Families of column types; a contract names the family, not a width."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    DATE = "date"
    STRUCT = "struct"
    LIST = "list"


class Column(Strict):
    """One column: its type and what its values must keep."""

    type: ColumnType | tuple[ColumnType, ...]
    description: str | None = None
    required: bool = True
    personal: bool = False
    nullable: bool = True
    nulls: RowRule | None = None
    clock: Clock | None = None
    unreadable: RowRule | None = None
    allowed: Allowed | None = None
    range: Range | None = None
    pattern: Pattern | None = None
    fields: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if not self.nullable and self.nulls is not None:
            raise ValueError("nullable: false already forbids every NULL; leave nulls out")
        if self.unreadable is not None and self.clock not in TEXT_CLOCKS:
            raise ValueError("unreadable needs a text clock (iso_z or ist_text)")
        if self.clock in TEXT_CLOCKS and self.types != (ColumnType.TEXT,):
            raise ValueError(f"clock {self.clock} is kept in a text column")
        if self.fields and not set(self.types) <= {ColumnType.STRUCT, ColumnType.LIST}:
            raise ValueError("only a struct or a list has fields")
        return self

    @property
    def types(self) -> tuple[ColumnType, ...]:
        """The families accepted."""
        return self.type if isinstance(self.type, tuple) else (self.type,)

    def null_rule(self) -> RowRule | None:
        """Returns the rule on NULLs, if there is one."""
        if not self.nullable:
            return RowRule(critical_above=Limit(rows=0))
        return self.nulls


class Rows(Strict):
    """The fewest rows the table may have."""

    min: int = Field(ge=1)
    severity: Severity


class Condition(RowRule):
    """A rule over several columns: SQL that must not be false (NULL passes).

    `{column}` stands for the instant of a column that has a clock (naive UTC, NULL when it cannot
    be read), `{as_of}` for the instant of the run.
    """

    check: str
    description: str


class Freshness(Strict):
    """The newest event up to `as_of` must not be too old.

    Silence counts only where it means something: the check fails when the newest instant is older
    than `max_age_hours` **and** the table's usual pace (the 28 days before that instant) would
    have brought `expected_rows` rows meanwhile. So a shop of a hundred people may sleep a night.
    """

    column: ColumnName
    max_age_hours: float = Field(gt=0)
    expected_rows: int = Field(ge=0)
    severity: Severity
    where: str | None = None


class Volume(Strict):
    """Rows compared with the table's own past.

    `per: run` compares the row count with the runs before it (28 days of `state.contract_metrics`);
    `per: day` compares the mean of the `days` newest complete business days with the median of the
    `history` days before them, read from the table itself. Not judged with less than `min_history`
    runs or days, nor where `min_rows` rows were never usual: small numbers wander.
    """

    per: Literal["run", "day"]
    severity: Severity
    min_ratio: float | None = Field(default=None, gt=0, lt=1)
    max_ratio: float | None = Field(default=None, gt=1)
    against: Literal["median", "max"] = "median"
    min_history: int = Field(ge=1)
    min_rows: int = Field(ge=1)
    column: ColumnName | None = None
    days: int = Field(default=1, ge=1)
    history: int = Field(default=28, ge=7)
    lag_days: int = Field(default=0, ge=0)
    where: str | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.min_ratio is None and self.max_ratio is None:
            raise ValueError("give min_ratio, max_ratio or both")
        if self.per == "day" and self.column is None:
            raise ValueError("per: day needs the column that tells the day")
        if self.per == "run" and (self.column, self.days, self.where) != (None, 1, None):
            raise ValueError("column, days and where belong to per: day")
        if self.per == "day" and self.against != "median":
            raise ValueError("per: day compares with the median")
        return self


class QuarantineRule(Strict):
    """One kind of row that cannot be used: SQL that is true for it, and the reason code."""

    reason: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    when: str
    description: str


class Quarantine(RowRule):
    """Rows that are kept apart, and how many of them are a flood rather than a few."""

    rules: tuple[QuarantineRule, ...] = Field(min_length=1)
    row_key: tuple[ColumnName, ...] = ()

    @model_validator(mode="after")
    def _reasons_differ(self) -> Self:
        reasons = [rule.reason for rule in self.rules]
        if len(set(reasons)) != len(reasons):
            raise ValueError("each reason names one rule")
        return self


class Scope(Strict):
    """Which rows can still change: an hourly run looks at these, a full look follows once a day.

    A full look is also taken when the contract changed, and again every run until it was clean.
    """

    column: ColumnName
    days: int = Field(ge=1)


class Contract(Strict):
    """What one table must look like; one YAML file."""

    table: str = Field(pattern=r"^[a-z_]+\.[a-z_0-9]+$")
    version: int = Field(ge=1)
    description: str = Field(min_length=20)
    owner: str = Field(pattern=r"^team:[a-z][a-z-]*$")
    optional: bool = False
    rows: Rows | None = None
    key: tuple[ColumnName, ...] = ()
    key_severity: Severity = Severity.CRITICAL
    examples: tuple[ColumnName, ...] = ()
    scope: Scope | None = None
    columns: dict[ColumnName, Column] = Field(min_length=1)
    conditions: dict[ColumnName, Condition] = Field(default_factory=dict)
    freshness: tuple[Freshness, ...] = ()
    volume: tuple[Volume, ...] = ()
    quarantine: Quarantine | None = None
    file: str = Field(default="", exclude=True)

    @model_validator(mode="after")
    def _names_its_own_columns(self) -> Self:
        places: list[tuple[str, tuple[str, ...]]] = [
            ("key", self.key),
            ("examples", self.examples),
            ("scope", (self.scope.column,) if self.scope else ()),
            ("freshness", tuple(entry.column for entry in self.freshness)),
            ("volume", tuple(entry.column for entry in self.volume if entry.column)),
            ("quarantine.row_key", self.quarantine.row_key if self.quarantine else ()),
        ]
        for place, names in places:
            for name in names:
                if name not in self.columns:
                    raise ValueError(f"{place} names the column {name}, which is not declared")
                if place in ("freshness", "volume", "scope") and not self.columns[name].clock:
                    raise ValueError(f"{place} reads {name} as a time: give the column a clock")
                if place == "examples" and self.columns[name].personal:
                    raise ValueError(f"examples would show {name}, which is personal")
        for place, snippet in self._snippets():
            for name in placeholders(snippet) - {"as_of"}:
                if name not in self.columns or not self.columns[name].clock:
                    raise ValueError(f"{place}: {{{name}}} needs a declared column with a clock")
        if self.quarantine and self.quarantine.row_key:
            judged = set().union(*(self.columns_in(rule.when) for rule in self.quarantine.rules))
            missing = judged - set(self.quarantine.row_key)
            if missing:
                raise ValueError(
                    "quarantine.row_key must hold every column its rules judge; add "
                    + ", ".join(sorted(missing))
                )
        return self

    @property
    def name(self) -> str:
        """The table without its schema; the quarantine table has the same name."""
        return self.table.split(".", 1)[1]

    @property
    def row_key_columns(self) -> tuple[str, ...]:
        """Columns whose values make the quarantine row key; empty without quarantine rules."""
        if self.quarantine is None:
            return ()
        if self.quarantine.row_key:
            return self.quarantine.row_key
        return tuple(name for name, column in self.columns.items() if column.required)

    def scope_clock(self) -> Clock:
        """Returns the clock of the scope column.

        Raises:
            ValueError: the contract has no scope.
        """
        clock = self.columns[self.scope.column].clock if self.scope else None
        if clock is None:
            raise ValueError(f"{self.table} has no scope")
        return clock

    def columns_in(self, snippet: str) -> set[str]:
        """Returns the declared columns a piece of SQL speaks about."""
        words = set(_WORD.findall(_STRING_LITERAL.sub("", snippet)))
        return words & set(self.columns)

    def _snippets(self) -> list[tuple[str, str]]:
        found = [(f"conditions.{name}", rule.check) for name, rule in self.conditions.items()]
        found += [("freshness.where", entry.where) for entry in self.freshness if entry.where]
        found += [("volume.where", entry.where) for entry in self.volume if entry.where]
        if self.quarantine:
            found += [(f"quarantine.{rule.reason}", rule.when) for rule in self.quarantine.rules]
        return found

    def snippets(self) -> list[tuple[str, str]]:
        """Returns every piece of SQL in the contract with the key it stands under."""
        return self._snippets()


def placeholders(snippet: str) -> set[str]:
    """Returns the names in braces in a piece of SQL, outside its string literals."""
    return set(_PLACEHOLDER.findall(_STRING_LITERAL.sub("", snippet)))


def fill_placeholders(snippet: str, values: dict[str, str]) -> str:
    """Returns the SQL with each `{name}` outside string literals replaced by `values[name]`."""
    parts: list[str] = []
    last = 0
    for literal in _STRING_LITERAL.finditer(snippet):
        parts.append(_PLACEHOLDER.sub(lambda m: values[m[1]], snippet[last : literal.start()]))
        parts.append(literal.group())
        last = literal.end()
    parts.append(_PLACEHOLDER.sub(lambda m: values[m[1]], snippet[last:]))
    return "".join(parts)
