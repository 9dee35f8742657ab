"""Reading an export file to its end to know that it is whole, and what it holds.

What belongs here: the checksum and the error for a file that is not whole. What does not: formats
other than gzip, which DuckDB proves whole itself.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path

from orchestration.sources.errors import SourceFileError

_BLOCK_BYTES = 1 << 20


def broken_file(thing: str, problem: str) -> SourceFileError:
    """Return the error for an export file that is not whole or not what its name says."""
    return SourceFileError(
        thing,
        problem,
        "export or copy this file again; the rows loaded from it before stay until then",
    )


def checksum_to_the_end(path: Path, thing: str) -> str:
    """Return the md5 of a file, having read it, and unpacked it, to its end.

    DuckDB takes a gzip file whose end is missing as complete when the cut falls between two lines;
    the checksum at the end of the file is the only proof, so it is checked here.

    Raises:
        SourceFileError: A gzip file is cut short or damaged.
        OSError: The file cannot be read.
    """
    checksum = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            checksum.update(block)
    if path.name.endswith(".gz"):
        try:
            with gzip.open(path) as packed:
                while packed.read(_BLOCK_BYTES):
                    pass
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise broken_file(thing, "is cut short or not gzip") from error
    return checksum.hexdigest()
