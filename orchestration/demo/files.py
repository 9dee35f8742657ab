"""Writing a Parquet file so that a reader sees the old one or the whole new one.

Belongs here: that. Does not belong here: what is written, and where.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def save_table(path: Path, table: pa.Table) -> None:
    """Write a table under a hidden name and rename it; makes the folder if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.tmp")
    pq.write_table(table, draft, compression="zstd")
    draft.replace(path)
