"""A table as a dictionary of numpy arrays: the world's memory between two instants.

Belongs here: appending, selecting and (de)serialising columns. Does not belong here: meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Frame:
    """Columns of equal length with fixed types; missing columns of an append become zero.

    Appended blocks are joined when a column is next looked at: the history of a million people
    arrives in a hundred appends, and copying all rows at each of them would take minutes.
    """

    __slots__ = ("_blocks", "_columns", "schema")

    def __init__(
        self, schema: Mapping[str, str], columns: dict[str, NDArray[Any]] | None = None
    ) -> None:
        self.schema = schema
        self._blocks: list[dict[str, NDArray[Any]]] = []
        self._columns = (
            columns
            if columns is not None
            else {name: np.empty(0, dtype=kind) for name, kind in schema.items()}
        )

    @property
    def columns(self) -> dict[str, NDArray[Any]]:
        """All columns, joined; assigning to an element of a column changes the frame."""
        if self._blocks:
            blocks, self._blocks = [self._columns, *self._blocks], []
            # Column by column, so that only one column exists twice at a time.
            for name in self.schema:
                self._columns[name] = np.concatenate([block.pop(name) for block in blocks])
        return self._columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def __setitem__(self, name: str, values: NDArray[Any]) -> None:
        self.columns[name] = values.astype(self.schema[name], copy=False)

    def take(self, selection: NDArray[Any]) -> Frame:
        """Rows by mask or by index, in that order, as a new frame."""
        taken = {name: values[selection] for name, values in self.columns.items()}
        return Frame(self.schema, taken)

    def append(self, size: int, **values: ArrayLike) -> None:
        """Add ``size`` rows; scalars are repeated, columns not named are zero.

        Raises:
            KeyError: a column is not in the schema.
        """
        unknown = values.keys() - self.schema.keys()
        if unknown:
            raise KeyError(f"no such column: {', '.join(sorted(unknown))}")
        if not size:
            return
        block = {}
        for name, kind in self.schema.items():
            given = values.get(name, 0)
            column = np.empty(size, dtype=kind)
            column[:] = np.asarray(given)
            block[name] = column
        self._blocks.append(block)

    def extend(self, other: Frame) -> None:
        """Add the rows of a frame of the same schema."""
        if len(other):
            self._blocks.append(dict(other.columns))

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Drop the rows outside the mask."""
        if not mask.all():
            columns = self.columns
            for name in self.schema:
                columns[name] = columns[name][mask]
