"""Turns what a database driver returns into the canonical types of raw.

What belongs here: one column of Python values in, one Arrow array out. What does not: which columns
there are (`tables`) and how rows are fetched (`client`).

The common case, a column of values that already have the right type, goes to Arrow in one call;
only a column that does not fit is looked at value by value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa

from orchestration.sources.landing import Column, arrow_type

_WHOLE_NUMBER = re.compile(r"^\s*[+-]?\d+(\.0+)?\s*$")


class UnfitValueError(ValueError):
    """A value has a type that its column cannot hold; the message names the type, not the value."""


def _type_name(value: object) -> str:
    return type(value).__name__


def _to_whole(value: object) -> int:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        return int(value)
    if isinstance(value, str) and _WHOLE_NUMBER.match(value):
        return int(value.split(".")[0])
    raise UnfitValueError(_type_name(value))


def _to_number(value: object) -> float:
    if isinstance(value, int | float | Decimal):
        return float(value)
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError as error:
            raise UnfitValueError(_type_name(value)) from error
    raise UnfitValueError(_type_name(value))


def _to_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        try:
            return bytes(value).decode("utf-8")
        except UnicodeDecodeError as error:
            raise UnfitValueError(_type_name(value)) from error
    if isinstance(value, list | tuple | dict | set):
        raise UnfitValueError(_type_name(value))
    return str(value)


def _to_time_text(zone: ZoneInfo) -> Callable[[object], str]:
    def convert(value: object) -> str:
        if isinstance(value, datetime):
            if value.tzinfo is not None:
                value = value.astimezone(zone).replace(tzinfo=None)
            return value.isoformat(sep=" ")
        if isinstance(value, date):
            return f"{value.isoformat()} 00:00:00"
        if isinstance(value, str):
            # As it is: a spelling nobody can read as a time is for the contract to judge, by row.
            return value
        raise UnfitValueError(_type_name(value))

    return convert


def to_array(column: Column, values: Sequence[object], zone: ZoneInfo) -> pa.Array:
    """Return the values of one column as an Arrow array of its canonical type.

    Args:
        column: What the values are.
        values: As the driver returned them; None is NULL.
        zone: Zone in which moments that carry a zone are written as text.

    Raises:
        UnfitValueError: A value cannot be the column's type; holds the Python type found.
    """
    target = arrow_type(column.type)
    convert: Callable[[object], object]
    if column.is_time:
        convert = _to_time_text(zone)
        is_plain = all(value is None or isinstance(value, str) for value in values)
    else:
        convert = {"BIGINT": _to_whole, "DOUBLE": _to_number, "VARCHAR": _to_text}[column.type]
        plain: tuple[type, ...] = {"BIGINT": (int,), "DOUBLE": (float,), "VARCHAR": (str,)}[
            column.type
        ]
        is_plain = all(value is None or type(value) in plain for value in values)
    try:
        if is_plain:
            return pa.array(values, target)
        return pa.array([None if value is None else convert(value) for value in values], target)
    except (pa.ArrowInvalid, OverflowError) as error:
        raise UnfitValueError("a value beyond the range of the column") from error
