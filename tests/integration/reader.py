"""A marketer's session: the published copy open in a process of its own, asked again and again until told to stop.

Prints `reading` once it has its first answer; after a line on stdin, what it saw: the number of answers, the moment
they told, and the moment the file tells when it is opened anew.
"""

from __future__ import annotations

import select
import sys

import duckdb

LATEST = "select max(decided_at) from marts.journey_decisions"


def main(path: str) -> None:
    """Read until stdin has something."""
    with duckdb.connect(path, read_only=True) as held:
        first = held.execute(LATEST).fetchall()
        print("reading", flush=True)
        answers = 0
        while not select.select([sys.stdin], [], [], 0.05)[0]:
            if held.execute(LATEST).fetchall() != first:
                sys.exit("an open session saw the file change under it")
            answers += 1
    with duckdb.connect(path, read_only=True) as fresh:
        print(answers, first[0][0].isoformat(), fresh.execute(LATEST).fetchall()[0][0].isoformat())


if __name__ == "__main__":
    main(sys.argv[1])
