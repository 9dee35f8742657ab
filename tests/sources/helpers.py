"""What several source tests use: looking at raw as a whole, and servers on the loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import duckdb
import orjson

NOON = datetime(2026, 10, 31, 12, tzinfo=UTC)


def rows_of(connection: duckdb.DuckDBPyConnection, table: str) -> list[tuple[Any, ...]]:
    """Return the rows of a raw table in an order of their own."""
    return sorted(connection.execute(f"select * from raw.{table}").fetchall(), key=repr)


def dicts_of(connection: duckdb.DuckDBPyConnection, table: str) -> list[dict[str, Any]]:
    """Return the rows of a raw table as dictionaries, in the order in which they lie there."""
    result = connection.execute(f"select * from raw.{table} order by rowid")
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def snapshot(connection: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[Any, ...]]]:
    """Return everything in raw, the pull state included."""
    tables = connection.execute(
        "select table_name from duckdb_tables() where schema_name = 'raw'"
    ).fetchall()
    return {table: rows_of(connection, table) for (table,) in tables}


class JsonHandler(BaseHTTPRequestHandler):
    """Answers with JSON and logs nothing."""

    protocol_version = "HTTP/1.1"

    def answer(self, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
        """Send one answer."""
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def read_json(self) -> dict[str, Any]:
        """Return the body of the request."""
        return orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep quiet."""


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on a free port of the loopback; give the base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def nobody_listening() -> Iterator[str]:
    """Give the base URL of a port on which nobody answers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    port = server.server_address[1]
    server.server_close()
    yield f"http://127.0.0.1:{port}"
