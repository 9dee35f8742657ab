"""GA4 export tables in BigQuery itself, over its REST API.

What belongs here: reaching a dataset (`bigquery://project/dataset`), with an endpoint that can be
another server, and its errors in our words. What does not: the export's columns (`schema`).

Rows come by `tabledata.list`, which costs nothing per byte, needs no right to run queries, and
always shows a whole table. What a table looks like comes by `tables.get`: time of last change and
number of rows (CHANNELS §8: daily tables are rewritten up to three days later; notFound means not
there yet).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import duckdb
import google.auth.exceptions
import pyarrow as pa
import requests
from google.api_core import exceptions as google_exceptions
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY

from orchestration.sources.errors import (
    SourceAuthError,
    SourceConfigError,
    SourceError,
    SourceFileError,
    SourceUnreachableError,
)
from orchestration.sources.ga4.export import ExportTable, Look, parse_table_name

_READER_VERSION = "1"
_LOOKS_AT_ONCE = 8
_Answer = TypeVar("_Answer")


class BigQueryReader:
    """Export tables in one BigQuery dataset."""

    is_cheap_to_reread = False

    def __init__(
        self,
        project: str,
        dataset: str,
        *,
        endpoint: str | None,
        timeout_seconds: float,
        page_rows: int,
    ) -> None:
        self.project = project
        self.dataset = dataset
        self._endpoint = endpoint
        self._timeout = timeout_seconds
        self._page_rows = page_rows
        self._retry = DEFAULT_RETRY.with_timeout(timeout_seconds)
        self._client: bigquery.Client | None = None
        self._looks: dict[str, bigquery.Table] = {}

    def describe(self, table: ExportTable) -> str:
        """Name a table with its dataset."""
        return f"BigQuery table {self.project}.{self.dataset}.{table.name}"

    def list_tables(self) -> list[ExportTable]:
        """Return the export tables of the dataset, each looked at once.

        Raises:
            SourceError: The dataset cannot be reached, is not ours, or holds no export table.
        """
        thing = f"BigQuery dataset {self.project}.{self.dataset}"
        listed = self._ask(
            thing,
            lambda client: list(
                client.list_tables(
                    f"{self.project}.{self.dataset}", retry=self._retry, timeout=self._timeout
                )
            ),
        )
        tables = [
            table for item in listed if (table := parse_table_name(item.table_id)) is not None
        ]
        if not tables:
            raise SourceFileError(
                thing,
                "holds no table called events_YYYYMMDD or events_intraday_YYYYMMDD",
                "check GA4_EXPORT_URI and that the GA4 property's BigQuery link exports daily",
            )
        with ThreadPoolExecutor(_LOOKS_AT_ONCE) as pool:
            looks = pool.map(self._fetch_table, tables)
            self._looks = {
                table.name: look for table, look in zip(tables, looks, strict=True) if look
            }
        # A table that vanished between the two calls is not there any more.
        return [table for table in tables if table.name in self._looks]

    def _fetch_table(self, table: ExportTable) -> bigquery.Table | None:
        name = f"{self.project}.{self.dataset}.{table.name}"
        try:
            return self._ask(
                self.describe(table),
                lambda client: client.get_table(name, retry=self._retry, timeout=self._timeout),
            )
        except SourceConfigError:
            return None

    def look(self, table: ExportTable, known: str | None, *, is_in_window: bool) -> Look:
        """Compare time of change and rows with what is known; rows still streaming are never known.

        The fingerprint is `version|bigquery|time of change in ms|rows`.
        """
        found = self._looks[table.name]
        modified = found.modified
        stamp = 0 if modified is None else round(modified.timestamp() * 1000)
        fingerprint = f"{_READER_VERSION}|bigquery|{stamp}|{found.num_rows}"
        is_streaming = table.is_intraday or found.streaming_buffer is not None
        return Look(
            fingerprint=fingerprint,
            is_known_content=fingerprint == known and not is_streaming and not is_in_window,
        )

    @contextmanager
    def open_table(
        self, connection: duckdb.DuckDBPyConnection, table: ExportTable
    ) -> Iterator[str]:
        """Give the rows of a table, fetched page by page into a temporary table."""
        relation, view = "_ga4_bigquery", "_ga4_page"
        thing = self.describe(table)
        found = self._looks[table.name]
        try:
            batches = self._ask(
                thing,
                lambda client: client.list_rows(
                    found, page_size=self._page_rows, retry=self._retry, timeout=self._timeout
                ).to_arrow_iterable(),
            )
            is_first = True
            while True:
                batch = self._ask(thing, lambda _client: next(batches, None))
                if batch is None:
                    break
                connection.register(view, pa.Table.from_batches([batch]))
                try:
                    connection.execute(
                        f"create or replace temp table {relation} as select * from {view}"
                        if is_first
                        else f"insert into {relation} select * from {view}"
                    )
                finally:
                    connection.unregister(view)
                is_first = False
            if is_first:
                raise SourceFileError(thing, "gave no page of rows at all", "start another pull")
            yield relation
        finally:
            connection.execute(f"drop table if exists {relation}")

    def note(self, connection: duckdb.DuckDBPyConnection, table: ExportTable) -> str | None:
        """Nothing to add: the relation shows all columns."""
        del connection, table
        return None

    def _ask(self, thing: str, call: Callable[[bigquery.Client], _Answer]) -> _Answer:
        """Return what `call` returns, with Google's errors turned into ours."""
        try:
            return call(self._connect())
        except google.auth.exceptions.DefaultCredentialsError as error:
            raise SourceAuthError(
                thing,
                "no Google credentials were found",
                "set GOOGLE_APPLICATION_CREDENTIALS to a service account's key file"
                " that may read the dataset",
            ) from error
        except (google.auth.exceptions.RefreshError, google_exceptions.Unauthorized) as error:
            raise SourceAuthError(
                thing,
                "Google refused the credentials (expired or revoked)",
                "renew the key that GOOGLE_APPLICATION_CREDENTIALS points to",
            ) from error
        except google_exceptions.Forbidden as error:
            raise self._explain_forbidden(thing, error) from error
        except google_exceptions.NotFound as error:
            raise SourceConfigError(
                thing,
                "does not exist",
                "check project and dataset in GA4_EXPORT_URI (bigquery://project/dataset)",
            ) from error
        except (
            google_exceptions.RetryError,
            google_exceptions.ServerError,
            google_exceptions.TooManyRequests,
            google.auth.exceptions.TransportError,
            requests.exceptions.RequestException,
            ConnectionError,
        ) as error:
            raise SourceUnreachableError(
                thing,
                f"the server did not answer as it should ({type(error).__name__})",
                "check the network and Google's status page; the next run tries again",
            ) from error
        except google_exceptions.GoogleAPICallError as error:
            raise SourceConfigError(
                thing,
                f"Google refused the request ({type(error).__name__})",
                "check GA4_EXPORT_URI",
            ) from error

    @staticmethod
    def _explain_forbidden(thing: str, error: google_exceptions.Forbidden) -> SourceError:
        reasons = {item.get("reason") for item in error.errors if isinstance(item, dict)}
        if reasons & {"quotaExceeded", "rateLimitExceeded"}:
            return SourceUnreachableError(
                thing,
                "the project's BigQuery quota is used up",
                "wait for the quota to renew or raise it; the next run tries again",
            )
        return SourceAuthError(
            thing,
            "the credentials may not read it",
            "give the service account the role BigQuery Data Viewer on the dataset",
        )

    def _connect(self) -> bigquery.Client:
        if self._client is None:
            self._client = (
                bigquery.Client(
                    project=self.project,
                    credentials=AnonymousCredentials(),
                    client_options=ClientOptions(api_endpoint=self._endpoint),
                )
                if self._endpoint
                else bigquery.Client(project=self.project)
            )
        return self._client

    def close(self) -> None:
        """Close the connections to the server."""
        if self._client is not None:
            self._client.close()
            self._client = None
