"""Dagster's event log in SQLite with its connections kept.

Dagster's own class creates an engine, and with it an empty statement cache, for every single event: at the 600 events
of an hourly run that is ten CPU seconds of compiling the same inserts again. Nothing else is different: the same
files in the same folder, so either class reads what the other wrote. `dagster.yaml` names the class.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sql import create_engine
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine
from sqlalchemy.pool import QueuePool

# A file a run: the webserver looks at many, and each open one holds three file handles.
MAX_OPEN_FILES = 8


class PooledSqliteEventLogStorage(SqliteEventLogStorage):
    """The event log of this home, `history/runs` in DAGSTER_HOME."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        """Open or create the files.

        Args:
            base_dir: Folder of the SQLite files.
            inst_data: How `dagster.yaml` names this class.
        """
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._known_tables: set[str] = set()
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Nothing to configure: the folder follows DAGSTER_HOME, so a home can be moved."""
        return {}

    @classmethod
    def from_config_value(
        cls,
        inst_data: ConfigurableClassData | None,
        config_value: Any,  # noqa: ARG003
    ) -> PooledSqliteEventLogStorage:
        """Open the event log of DAGSTER_HOME."""
        return cls(str(Path(os.environ["DAGSTER_HOME"]) / "history" / "runs"), inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engine_of(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

    def _engine_of(self, shard: str) -> Engine:
        if (engine := self._engines.get(shard)) is None:
            engine = create_engine(
                self.conn_string_for_shard(shard),
                poolclass=QueuePool,
                pool_size=1,
                connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
            )
            self._engines[shard] = engine
            if len(self._engines) > MAX_OPEN_FILES:
                self._engines.popitem(last=False)[1].dispose()
        self._engines.move_to_end(shard)
        return engine

    def has_table(self, table_name: str) -> bool:
        """Whether the index has a table; Dagster asks before every asset check."""
        if table_name not in self._known_tables and super().has_table(table_name):
            self._known_tables.add(table_name)
        return table_name in self._known_tables

    def wipe(self) -> None:
        """Delete every run's events; their files are closed first."""
        self._close_files()
        super().wipe()

    def dispose(self) -> None:
        """Close every file."""
        self._close_files()
        super().dispose()

    def _close_files(self) -> None:
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()
