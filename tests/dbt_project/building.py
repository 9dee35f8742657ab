"""Running dbt on a warehouse of a test's own, each time in a process of its own.

dbt keeps global state and its own logging; a test process should have neither.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestration.lib.dbt import NUMPY_ENVIRONMENT

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT = REPOSITORY / "dbt_project"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildReport:
    """What a dbt command did.

    Attributes:
        statuses: unique_id of each node → success, pass, warn, fail, error or skipped.
        seconds: Wall time of the command's nodes.
        output: What dbt printed.
    """

    statuses: dict[str, str]
    seconds: float
    output: str

    def named(self, *kinds: str) -> list[str]:
        """The nodes of these kinds (model, seed, test, unit_test)."""
        return [node for node in self.statuses if node.split(".")[0] in kinds]

    @property
    def bad(self) -> dict[str, str]:
        """The nodes that neither succeeded nor passed."""
        return {
            node: status
            for node, status in self.statuses.items()
            if status not in {"success", "pass", "no-op"}
        }


def run_dbt(warehouse: Path, *arguments: str, as_of: datetime | None = None) -> BuildReport:
    """Run a dbt command on a warehouse; target and logs go beside it.

    Args:
        warehouse: DuckDB file.
        *arguments: The command and its options.
        as_of: The run's clock, aware.
    """
    beside = warehouse.parent / "dbt"
    command = [
        str(Path(sys.executable).with_name("dbt")),
        *arguments,
        *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)),
        *("--target-path", str(beside / "target"), "--log-path", str(beside / "logs")),
    ]
    if as_of is not None:
        moment = as_of.strftime("%Y-%m-%d %H:%M:%S.%f")
        command += ["--vars", json.dumps({"as_of": moment})]
    done = subprocess.run(
        command,
        env={
            **os.environ,
            **NUMPY_ENVIRONMENT,
            "LIFECYCLE_WAREHOUSE": str(warehouse),
            "NO_COLOR": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    results = beside / "target" / "run_results.json"
    if done.returncode == 2 or (done.returncode and not results.exists()):
        raise AssertionError(f"dbt could not run:\n{output}")
    written: dict[str, Any] = (
        json.loads(results.read_text("utf-8")) if results.exists() else {"results": []}
    )
    return BuildReport(
        statuses={result["unique_id"]: result["status"] for result in written["results"]},
        seconds=written.get("elapsed_time", 0.0),
        output=output,
    )
