"""When a value of one type says the same in another, as SQL.

What belongs here: the rule that every source reading typed files shares. What does not: comparing
whole schemas.
"""

from __future__ import annotations

from duckdb import sqltype

INTEGER_KINDS = frozenset(
    {"tinyint", "smallint", "integer", "bigint", "hugeint"}
    | {"utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"}
)
FLOAT_KINDS = frozenset({"float", "double", "decimal"})
SCALAR_KINDS = INTEGER_KINDS | FLOAT_KINDS | {"varchar", "boolean"}
"""DuckDB type ids between which a value can keep its meaning. Moments are not among them: a
column of text dates that turned into DATE is spelled differently afterwards."""


def says_the_same(value: str, actual: str, expected: str) -> str:
    """Return SQL that is true when a non-null `value` keeps its meaning as another type.

    DuckDB's own casts are looser: they round 12.5 to 12 and read 'true' as 1.

    Args:
        value: SQL of the value.
        actual: Its DuckDB type, of `SCALAR_KINDS`.
        expected: VARCHAR, BIGINT, DOUBLE or BOOLEAN.
    """
    kind = sqltype(actual).id
    if expected == "VARCHAR":
        return "true"
    castable = f"try_cast({value} as {expected}) is not null"
    if expected == "BIGINT" and kind == "varchar":
        return f"regexp_full_match({value}, '-?[0-9]+(\\.0+)?') and {castable}"
    if expected == "BIGINT" and kind in FLOAT_KINDS:
        return f"{value} = trunc({value}) and {castable}"
    if expected in {"BIGINT", "DOUBLE"} and kind == "boolean":
        return "false"
    if expected == "BOOLEAN":
        return f"lower(cast({value} as varchar)) in ('true', 'false', '0', '1')"
    return castable
