"""A local server that answers like BigQuery's REST API v2, as far as reading tables goes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from orchestration.sources.ga4.schema import EXPORT_COLUMNS
from tests.sources.ga4.exports import Row, bigquery_row, bigquery_schema
from tests.sources.helpers import JsonHandler, serving

_TABLES = re.compile(r"^/bigquery/v2/projects/shop/datasets/analytics_1/tables(?:/(\w+)(/data)?)?$")


@dataclass(slots=True)
class StandInTable:
    """A table: its rows, columns and time of last change in ms."""

    rows: list[Row]
    types: dict[str, str]
    modified_ms: int
    is_streaming: bool = False


@dataclass(slots=True)
class BigQueryStandIn:
    """The dataset `shop.analytics_1`.

    Attributes:
        tables: Its tables, by name.
        page_rows: Most rows of one answer.
        failure: Status and reason that every answer has instead, or None.
        failing_path: End of the paths that `failure` is for.
        reads: Names of the tables whose rows were asked for, once a page.
    """

    tables: dict[str, StandInTable] = field(default_factory=dict)
    page_rows: int = 1_000
    failure: tuple[int, str] | None = None
    failing_path: str = ""
    reads: list[str] = field(default_factory=list)
    authorizations: set[str | None] = field(default_factory=set)
    url: str = ""
    _clock_ms: int = 1_793_000_000_000

    def put(
        self,
        name: str,
        rows: Sequence[Row],
        *,
        types: dict[str, str] | None = None,
        is_streaming: bool = False,
        is_secret: bool = False,
    ) -> None:
        """Create or replace a table; a secret change leaves its time of change as it is."""
        if not is_secret:
            self._clock_ms += 1_000
        self.tables[name] = StandInTable(
            rows=list(rows),
            types=types or dict(EXPORT_COLUMNS),
            modified_ms=self.tables[name].modified_ms if is_secret else self._clock_ms,
            is_streaming=is_streaming,
        )

    def forget_reads(self) -> None:
        """Start counting reads anew."""
        self.reads.clear()

    def respond(self, path: str, query: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        """Return status and body for a GET."""
        if self.failure and path.endswith(self.failing_path):
            status, reason = self.failure
            return status, _error(status, reason)
        match = _TABLES.match(path)
        if match is None:
            return 404, _error(404, "notFound")
        name, wants_rows = match[1], match[2]
        if name is None:
            return 200, {
                "tables": [
                    {"tableReference": _reference(each), "type": "TABLE"} for each in self.tables
                ],
                "totalItems": len(self.tables),
            }
        if name not in self.tables:
            return 404, _error(404, "notFound")
        table = self.tables[name]
        schema = bigquery_schema(table.types)
        if not wants_rows:
            body: dict[str, Any] = {
                "tableReference": _reference(name),
                "schema": {"fields": schema},
                "numRows": str(len(table.rows)),
                "lastModifiedTime": str(table.modified_ms),
                "type": "TABLE",
            }
            if table.is_streaming:
                body["streamingBuffer"] = {"estimatedRows": "1", "oldestEntryTime": "1"}
            return 200, body
        self.reads.append(name)
        start = int(query.get("pageToken", ["0"])[0])
        size = min(self.page_rows, int(query.get("maxResults", [str(self.page_rows)])[0]))
        page = table.rows[start : start + size]
        body = {
            "totalRows": str(len(table.rows)),
            "rows": [bigquery_row(row, schema) for row in page],
        }
        if start + size < len(table.rows):
            body["pageToken"] = str(start + size)
        return 200, body


def _reference(name: str) -> dict[str, str]:
    return {"projectId": "shop", "datasetId": "analytics_1", "tableId": name}


def _error(status: int, reason: str) -> dict[str, Any]:
    return {
        "error": {
            "code": status,
            "message": reason,
            "errors": [{"reason": reason, "message": reason, "domain": "global"}],
        }
    }


@contextmanager
def running_bigquery() -> Iterator[BigQueryStandIn]:
    """Serve an empty dataset on the loopback."""
    stand_in = BigQueryStandIn()

    class Handler(JsonHandler, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            stand_in.authorizations.add(self.headers.get("Authorization"))
            parts = urlsplit(self.path)
            self.answer(*stand_in.respond(parts.path, parse_qs(parts.query)))

    with serving(Handler) as url:
        stand_in.url = url
        yield stand_in
