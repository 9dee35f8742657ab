"""Running dbt inside this process.

dbt costs four seconds to import and two to parse before it does anything; a process that runs it three times an
hour pays that once. Belongs here: invoking dbt and reading its results. What to select is the caller's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestration.lib.warehouse import DEFAULT_MEMORY, as_sql_timestamp

PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"
# numpy sets these while it is imported and takes them away again. The first Python model imports it in a thread of
# dbt's, and another thread that read the environment meanwhile failed for want of one. What is there before stays.
NUMPY_ENVIRONMENT = {"OPENBLAS_MAIN_FREE": "1", "GOTOBLAS_MAIN_FREE": "1"}
OUT_OF_MEMORY = "Out of Memory Error"
AFTER_SEND_TAG = "after_send"
OUTBOUND_TAG = "outbound"


# Parsed manifests of this process by target folder: parsing takes ten seconds and gives the same each time.
_parsed: dict[Path, Any] = {}


class DbtError(Exception):
    """dbt could not run, or models failed. The message names them; fix the model or its input and run again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeResult:
    """What dbt did with one model, seed or test.

    Attributes:
        unique_id: dbt's id, such as `model.lifecycle.dim_customers`.
        status: success, pass, warn, fail, error or skipped.
        seconds: Wall time.
        failures: Failing rows of a test.
        message: dbt's own words.
    """

    unique_id: str
    status: str
    seconds: float
    failures: int
    message: str

    @property
    def is_good(self) -> bool:
        """Whether what depends on this node may go on."""
        return self.status in ("success", "pass", "warn", "no-op")


class DbtProject:
    """The dbt project as one process uses it: parsed once, run as often as wanted."""

    def __init__(self, *, warehouse: Path, target: Path, memory: str = DEFAULT_MEMORY) -> None:
        """Bind the project to a warehouse.

        Args:
            warehouse: The DuckDB file models are built in.
            target: Folder for dbt's manifest, compiled SQL and logs.
            memory: Most memory the warehouse takes, such as 2GB.
        """
        self._target = target
        # profiles.yml reads these, the only way dbt has
        self._environment = {
            "LIFECYCLE_WAREHOUSE": str(warehouse),
            "LIFECYCLE_WAREHOUSE_MEMORY": memory,
            **NUMPY_ENVIRONMENT,
        }

    @property
    def manifest_path(self) -> Path:
        """Where the parsed manifest is written."""
        return self._target / "manifest.json"

    def parse(self) -> Path:
        """Parse the project and write its manifest; returns the manifest's path.

        Raises:
            DbtError: The project does not parse.
        """
        self._forget_another_checkout()
        with self._quiet_environment():
            from dbt.cli.main import dbtRunner

            outcome = dbtRunner().invoke(["parse", *self._where()])
        if not outcome.success:
            raise DbtError(f"the dbt project does not parse: {outcome.exception}")
        _parsed[self._target] = outcome.result
        return self.manifest_path

    def build(
        self,
        *,
        as_of: datetime,
        timezone: str,
        accept_merges: bool = False,
        select: Sequence[str] = (),
        exclude: Sequence[str] = (),
        is_full: bool = False,
    ) -> list[NodeResult]:
        """Run `dbt build` on a selection, without unit tests.

        Args:
            as_of: The run's moment, aware.
            timezone: The tenant's IANA zone.
            accept_merges: Whether somebody looked at what tripped the growth alarm of identity.
            select: dbt selection; empty for everything.
            exclude: dbt selection to leave out.
            is_full: Whether incremental models are built anew.

        Returns:
            One result a node, in the order they ran. Failed nodes are among them.

        Raises:
            DbtError: dbt itself failed before it ran any node.
        """
        variables = json.dumps(
            {
                "as_of": as_sql_timestamp(as_of),
                "tenant_timezone": timezone,
                "accept_merges": accept_merges,
            }
        )
        # The manifest does not change between runs: writing it again costs a second each time.
        arguments = ["build", *self._where(), "--no-write-json", "--vars", variables]
        arguments += ["--exclude-resource-type", "unit_test"]
        if is_full:
            arguments.append("--full-refresh")
        if select:
            arguments += ["--select", *select]
        if exclude:
            arguments += ["--exclude", *exclude]
        if self._target not in _parsed:
            self.parse()
        with self._quiet_environment():
            from dbt.cli.main import dbtRunner

            # Without the parsed manifest every new as_of would parse the whole project again.
            outcome = dbtRunner(manifest=_parsed[self._target]).invoke(arguments)
        nodes = getattr(outcome.result, "results", None)
        if nodes is None:
            raise DbtError(f"dbt build could not start: {outcome.exception}")
        return [
            NodeResult(
                unique_id=node.node.unique_id,
                status=str(node.status),
                seconds=float(node.execution_time or 0),
                failures=int(node.failures or 0),
                message=str(node.message or ""),
            )
            for node in nodes
        ]

    def _forget_another_checkout(self) -> None:
        """Parse anew where the folder was moved: what dbt remembers names seeds by their whole path."""
        remembered, place = self._target / "partial_parse.msgpack", self._target / "checkout"
        if remembered.exists() and not (place.exists() and place.read_text() == str(PROJECT)):
            remembered.unlink()
        self._target.mkdir(parents=True, exist_ok=True)
        place.write_text(str(PROJECT))

    def _where(self) -> list[str]:
        return [
            "--project-dir",
            str(PROJECT),
            "--profiles-dir",
            str(PROJECT),
            "--target-path",
            str(self._target),
            "--log-path",
            str(self._target / "logs"),
            "--quiet",
            "--no-use-colors",
            # Results come back as objects; the file keeps what dbt warns about.
            "--log-level",
            "none",
            "--log-level-file",
            "warn",
        ]

    @staticmethod
    def _release() -> None:
        """Let go of the warehouse file: dbt keeps it open for its process, and ours goes on."""
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager

        DuckDBConnectionManager.close_all_connections()

    @contextmanager
    def _quiet_environment(self) -> Iterator[None]:
        before = {name: os.environ.get(name) for name in self._environment}
        os.environ.update(self._environment)
        try:
            yield
        finally:
            self._release()
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def explain_failures(results: Iterable[NodeResult]) -> str:
    """Name every failed node with dbt's reason, one a line."""
    return "\n".join(
        f"{result.unique_id.split('.', 2)[-1]}: {_reason(result)}"
        for result in results
        if result.status in ("error", "fail", "runtime error")
    )


def _reason(result: NodeResult) -> str:
    if OUT_OF_MEMORY in result.message:
        # DuckDB's own advice is about settings that are not the user's here
        return (
            "needs more memory than the warehouse may take. Next step: raise LIFECYCLE_MEMORY (.env) and run again;"
            " the table of before stays"
        )
    return result.message.strip() or result.status


def parsed_manifest() -> Path:
    """Return the manifest of the project as it is on disk, parsing only when something changed since.

    It lies in LIFECYCLE_HOME, so a read-only checkout works and homes do not disturb each other.

    Raises:
        DbtError: The project does not parse.
    """
    from orchestration.lib.settings import read_settings

    settings = read_settings()
    project = DbtProject(warehouse=settings.warehouse_path, target=settings.home / "dbt")
    manifest = project.manifest_path
    sources = [
        path
        for pattern in ("models/**/*", "macros/**/*", "seeds/*", "tests/**/*", "*.yml")
        for path in PROJECT.glob(pattern)
        if path.is_file()
    ]
    newest = max(path.stat().st_mtime for path in sources)
    if not manifest.exists() or manifest.stat().st_mtime < newest:
        project.parse()
    return manifest
