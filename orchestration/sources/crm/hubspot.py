"""HubSpot's contacts, over its CRM v3 API, into `raw.crm_contacts`.

What belongs here: the three requests used, their limits and errors, and what counts as deleted.
What does not: sending anything to HubSpot, and the other CRM tables, which HubSpot does not have.

* **Whole read** (first pull, then every `full_reread_every`): the list endpoint, which is always up
  to date and has no result limit. A contact that raw knows and that is neither among the active nor
  the archived ones was erased for good (a GDPR deletion leaves no trace).
* **Between** whole reads: the search endpoint by `lastmodifieddate`. It never hands out more than
  10,000 results of one query and lags minutes behind, so the watermark is overlapped and no page
  is reached by an offset (an offset skips a row when one before it is modified meanwhile). Each
  page starts at the date on which the one before ended; when a whole page has one date, all
  contacts of that date are read by `hs_object_id` and the next page starts after it.
* **Every time**: the archived contacts.

An archived or erased contact stays as a row with `purged` true and without name, phone and e-mail:
others refer to it, and nobody may write to it.

Limits and errors: CHANNELS §7 (search: 200 a page, 5 requests a second; 429 with Retry-After and
`policyName`; 401 EXPIRED_AUTHENTICATION).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import duckdb
import requests

from orchestration.sources.crm.tables import CONTACTS
from orchestration.sources.erased import Erased, drop_erased
from orchestration.sources.errors import (
    SourceAuthError,
    SourceConfigError,
    SourceSchemaError,
    SourceUnreachableError,
)
from orchestration.sources.landing import (
    PullResult,
    PullState,
    Staging,
    apply_upsert,
    count_rows,
    delete_state,
    ensure_table,
    open_staging,
    quote,
    read_states,
    require_aware,
    transaction,
    write_state,
)

SOURCE = "crm"
UNIT = "hubspot"
TABLES = (CONTACTS.name,)

CONTACT_PROPERTIES: Mapping[str, str] = {
    "external_id": "external_id",
    "first_name": "firstname",
    "phone": "phone",
    "email": "email",
    "whatsapp_consent": "whatsapp_consent",
    "sms_consent": "sms_consent",
    "email_consent": "email_consent",
    "push_consent": "push_consent",
    "source": "hs_analytics_source",
    "created_at": "createdate",
}
"""Column of `raw.crm_contacts` → HubSpot property. An account that names its own properties
otherwise changes them here, or per installation in `HubSpotConfig.properties`."""

_CONSENTS = frozenset({"whatsapp_consent", "sms_consent", "email_consent", "push_consent"})
_CONSENT_WORDS = {"true": "opt_in", "yes": "opt_in", "false": "opt_out", "no": "opt_out"}
_PERSONAL = ("first_name", "phone", "email")
_MODIFIED = "lastmodifieddate"
_ID = "hs_object_id"
_CONTACTS_PATH = "/crm/v3/objects/contacts"
_LIST_PAGE = 100
_RETRIED_STATUSES = frozenset({423, 429, 477, 500, 502, 503, 504})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSpotConfig:
    """How HubSpot is reached.

    Attributes:
        access_token: Private app token with the scope `crm.objects.contacts.read`. Never shown.
        base_url: Another server than HubSpot's, for tests and the sandbox.
        properties: Column → property, where the account differs from `CONTACT_PROPERTIES`.
        overlap: How far before the watermark a search starts; covers the index's lag.
        full_reread_every: How old the last whole read may be, by as-of.
        page_size: Contacts of one search page, at most 200.
        requests_per_second: Pace of searches (HubSpot's limit is 5); 0 for no pace.
        timeout_seconds: Patience with one answer.
        max_attempts: Tries of one request before giving up.
        sleep: What waits; another function in tests.
    """

    access_token: str = field(repr=False)
    base_url: str = "https://api.hubapi.com"
    properties: Mapping[str, str] = field(default_factory=dict)
    overlap: timedelta = timedelta(minutes=10)
    full_reread_every: timedelta = timedelta(hours=24)
    page_size: int = 200
    requests_per_second: float = 5.0
    timeout_seconds: float = 30.0
    max_attempts: int = 5
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contact:
    """One contact as HubSpot showed it."""

    row: dict[str, object]
    object_id: int
    modified_ms: int


def pull(
    connection: duckdb.DuckDBPyConnection,
    config: HubSpotConfig,
    *,
    as_of: datetime,
    tables: Sequence[str] | None = None,
    erased: Erased | None = None,
) -> list[PullResult]:
    """Bring `raw.crm_contacts` up to what HubSpot holds.

    Args:
        connection: Open warehouse, for writing.
        config: How HubSpot is reached.
        as_of: The run's clock (aware): decides when a whole read is due.
        tables: Raw tables wanted; all when None.
        erased: Who was erased: their rows are left out. None for nobody.

    Returns:
        One result, for `crm_contacts`.

    Raises:
        SourceError: HubSpot cannot be reached, refuses the token, or lacks a property. Nothing
            has changed then.
    """
    as_of = require_aware(as_of)
    unknown = sorted(set(tables or ()) - set(TABLES))
    if unknown:
        raise SourceConfigError(
            f"HubSpot source: {', '.join(unknown)}", "no such table", f"ask for {TABLES[0]}"
        )
    ensure_table(connection, CONTACTS)
    if tables is not None and not tables:
        return []
    state = read_states(connection, SOURCE, CONTACTS.name).get(UNIT)
    columns = {**CONTACT_PROPERTIES, **config.properties}
    fingerprint = f"{config.base_url}|{sorted(columns.items())}"
    is_known = state is not None and state.fingerprint == fingerprint
    is_full = (
        state is None
        or not is_known
        or state.cursor is None
        or state.full_read_at is None
        or not timedelta(0) <= as_of - state.full_read_at < config.full_reread_every
    )
    with _HubSpot(config, columns) as hubspot, open_staging(connection, CONTACTS) as staging:
        watermark = 0 if state is None or state.cursor is None else int(state.cursor)
        if is_full:
            watermark = _stage(staging, hubspot.fetch_all(is_archived=False), is_purged=False)
            # A contact modified while the list was read may have been read before that.
            watermark = min(watermark, hubspot.started_ms)
        else:
            start = watermark - int(config.overlap.total_seconds() * 1000)
            found = hubspot.fetch_modified_since(start)
            watermark = max(watermark, _stage(staging, found, is_purged=False))
        _stage(staging, hubspot.fetch_all(is_archived=True), is_purged=True)
        left_out = drop_erased(connection, staging.name, CONTACTS.name, erased)
        with transaction(connection):
            if is_full and is_known:
                _stage_erased(connection, staging)
            counts = apply_upsert(
                connection, staging, newest_by="purged", is_full=is_full and not is_known
            )
            for unit in read_states(connection, SOURCE, CONTACTS.name):
                if unit != UNIT:
                    delete_state(connection, SOURCE, CONTACTS.name, unit)
            write_state(
                connection,
                SOURCE,
                CONTACTS.name,
                UNIT,
                PullState(
                    cursor=str(watermark),
                    fingerprint=fingerprint,
                    row_count=count_rows(connection, CONTACTS.qualified),
                    full_read_at=as_of if state is None or is_full else state.full_read_at,
                ),
            )
        return [
            PullResult(
                source=SOURCE,
                table=CONTACTS.name,
                rows_read=staging.rows,
                rows_written=counts.written,
                rows_removed=counts.removed,
                rows_erased=left_out,
                cursor=_iso(watermark),
            )
        ]


def _iso(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _stage(staging: Staging, pages: Iterator[list[_Contact]], *, is_purged: bool) -> int:
    """Stage contacts; return the latest time of change among them, in ms, or 0."""
    latest = 0
    for page in pages:
        rows = [
            {
                **contact.row,
                "purged": is_purged,
                **(dict.fromkeys(_PERSONAL) if is_purged else {}),
            }
            for contact in page
        ]
        staging.append_rows(rows)
        latest = max([latest, *(contact.modified_ms for contact in page)])
    return latest


def _stage_erased(connection: duckdb.DuckDBPyConnection, staging: Staging) -> None:
    """Stage, as purged, the contacts of raw that a whole read did not meet."""
    values = ", ".join(
        "null" if name in _PERSONAL else "true" if name == "purged" else f"present.{quote(name)}"
        for name in CONTACTS.column_names
    )
    connection.execute(
        f"insert into {staging.name} select {values} from {CONTACTS.qualified} as present"
        f" where not exists (select 1 from {staging.name} as seen"
        " where seen.contact_id = present.contact_id)"
    )


class _HubSpot:
    """The requests this module makes, paced and retried."""

    def __init__(self, config: HubSpotConfig, columns: Mapping[str, str]) -> None:
        self._config = config
        self._columns = columns
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {config.access_token}"
        self._last_search = float("-inf")
        self._checked_properties = False
        self.started_ms = 0
        """HubSpot's own clock at its first answer, in ms."""

    def __enter__(self) -> _HubSpot:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    @property
    def _properties(self) -> list[str]:
        return sorted({*self._columns.values(), _MODIFIED, _ID})

    def fetch_all(self, *, is_archived: bool) -> Iterator[list[_Contact]]:
        """Fetch every active, or every archived, contact page by page."""
        parameters = {
            "limit": str(_LIST_PAGE),
            "archived": "true" if is_archived else "false",
            "properties": ",".join(self._properties),
        }
        while True:
            body = self._request("GET", _CONTACTS_PATH, parameters=parameters)
            yield self._read_page(body)
            after = body.get("paging", {}).get("next", {}).get("after")
            if after is None:
                return
            parameters["after"] = str(after)

    def fetch_modified_since(self, start_ms: int) -> Iterator[list[_Contact]]:
        """Fetch the contacts modified at or after a moment, oldest change first."""
        operator = "GTE"
        while True:
            page = self._search([(_MODIFIED, operator, start_ms)], sort_by=_MODIFIED)
            yield page
            if len(page) < self._config.page_size:
                return
            first, last = page[0].modified_ms, page[-1].modified_ms
            if first == last:
                yield from self._fetch_modified_at(last)
                operator, start_ms = "GT", last
            else:
                operator, start_ms = "GTE", last

    def _fetch_modified_at(self, moment_ms: int) -> Iterator[list[_Contact]]:
        """Fetch every contact modified at exactly one moment, by id."""
        last_id = 0
        while True:
            page = self._search([(_MODIFIED, "EQ", moment_ms), (_ID, "GT", last_id)], sort_by=_ID)
            yield page
            if len(page) < self._config.page_size:
                return
            last_id = page[-1].object_id

    def _search(self, filters: list[tuple[str, str, int]], *, sort_by: str) -> list[_Contact]:
        pace = self._config.requests_per_second
        if pace > 0:
            wait = self._last_search + 1 / pace - time.monotonic()
            if wait > 0:
                self._config.sleep(wait)
        self._last_search = time.monotonic()
        body = self._request(
            "POST",
            f"{_CONTACTS_PATH}/search",
            body={
                "filterGroups": [
                    {
                        "filters": [
                            {"propertyName": name, "operator": operator, "value": str(value)}
                            for name, operator, value in filters
                        ]
                    }
                ],
                "sorts": [{"propertyName": sort_by, "direction": "ASCENDING"}],
                "properties": self._properties,
                "limit": self._config.page_size,
            },
        )
        return self._read_page(body)

    def _read_page(self, body: dict[str, Any]) -> list[_Contact]:
        try:
            results = body["results"]
            if results and not self._checked_properties:
                self._check_properties(results)
            return [self._read_contact(result) for result in results]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            # `from None`: such an error quotes the contact.
            raise SourceSchemaError(
                "HubSpot contacts",
                f"came in another shape than CRM v3 documents ({type(error).__name__})",
                "check the base URL; if it is HubSpot's own, the API has changed",
            ) from None

    def _check_properties(self, results: list[dict[str, Any]]) -> None:
        # HubSpot leaves out properties it does not know and shows empty ones as null.
        shown = {name for result in results for name in result["properties"]}
        missing = sorted(set(self._properties) - shown)
        if missing:
            raise SourceSchemaError(
                "HubSpot contacts",
                f"have no property {', '.join(missing)}",
                "create the property in HubSpot or map its column to another one",
            )
        self._checked_properties = True

    def _read_contact(self, result: dict[str, Any]) -> _Contact:
        properties = result["properties"]
        row: dict[str, object] = {"contact_id": str(result["id"])}
        for column, name in self._columns.items():
            value = properties.get(name)
            if value is not None and not isinstance(value, str):
                raise TypeError(f"property {name} is no text")
            value = value or None
            if column in _CONSENTS and value is not None:
                value = _CONSENT_WORDS.get(value.lower(), value.lower())
            row[column] = value
        modified = datetime.fromisoformat(properties[_MODIFIED])
        if modified.tzinfo is None:
            raise ValueError(f"property {_MODIFIED} has no zone")
        return _Contact(
            row=row,
            object_id=int(result["id"]),
            modified_ms=round(modified.timestamp() * 1000),
        )

    def _request(
        self,
        method: str,
        path: str,
        *,
        parameters: Mapping[str, str] | None = None,
        body: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the JSON of an answer, trying again where HubSpot says that it helps."""
        config = self._config
        problem = "did not answer"
        for attempt in range(1, config.max_attempts + 1):
            delay = 0.5 * 2 ** (attempt - 1)
            try:
                answer = self._session.request(
                    method,
                    config.base_url.rstrip("/") + path,
                    params=parameters,
                    json=body,
                    timeout=config.timeout_seconds,
                )
            except requests.exceptions.RequestException as error:
                problem = f"did not answer ({type(error).__name__})"
            else:
                if answer.status_code == 200:
                    self._note_time(answer)
                    return self._read_json(answer)
                self._raise_permanent(answer)
                problem = f"answered {answer.status_code}"
                if answer.status_code in {429, 477}:
                    delay = _retry_after(answer, default=10.0)
            if attempt < config.max_attempts:
                _log.info("hubspot %s, trying again in %.1f s", problem, delay)
                config.sleep(delay)
        raise SourceUnreachableError(
            f"HubSpot {config.base_url}",
            f"{problem}, {config.max_attempts} times",
            "check the network and HubSpot's status page; the next run tries again",
        )

    def _note_time(self, answer: requests.Response) -> None:
        if not self.started_ms:
            stated = answer.headers.get("Date")
            moment = parsedate_to_datetime(stated) if stated else datetime.now(UTC)
            self.started_ms = int(moment.timestamp() * 1000)

    @staticmethod
    def _read_json(answer: requests.Response) -> dict[str, Any]:
        try:
            body = answer.json()
        except requests.exceptions.JSONDecodeError:
            body = None
        if not isinstance(body, dict):
            raise SourceSchemaError(
                "HubSpot contacts",
                "the answer is no JSON object",
                "check the base URL: a proxy or another server may be answering",
            )
        return body

    def _raise_permanent(self, answer: requests.Response) -> None:
        """Raise for an answer that another try would only repeat."""
        status = answer.status_code
        try:
            body = answer.json()
        except requests.exceptions.JSONDecodeError:
            body = {}
        policy = body.get("policyName", "") if isinstance(body, dict) else ""
        category = body.get("category", "") if isinstance(body, dict) else ""
        thing = f"HubSpot {self._config.base_url}"
        if status == 401:
            raise SourceAuthError(
                thing,
                "the access token is expired, revoked or wrong",
                "renew HUBSPOT_ACCESS_TOKEN (HubSpot: Settings, Integrations, Private Apps)",
            )
        if status == 403:
            raise SourceAuthError(
                thing,
                "the access token may not read contacts",
                "add the scope crm.objects.contacts.read to the private app behind"
                " HUBSPOT_ACCESS_TOKEN",
            )
        if status == 429 and policy == "DAILY":
            raise SourceUnreachableError(
                thing,
                "the account's daily number of requests is used up",
                "wait until midnight of the portal's zone; runs until then skip the CRM",
            )
        if status not in _RETRIED_STATUSES:
            raise SourceConfigError(
                thing,
                f"refused the request with status {status} {category}".rstrip(),
                "check the base URL and the mapped properties",
            )


def _retry_after(answer: requests.Response, *, default: float) -> float:
    stated = answer.headers.get("Retry-After", "")
    try:
        return max(0.0, float(stated))
    except ValueError:
        return default
