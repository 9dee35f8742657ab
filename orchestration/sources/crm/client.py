"""The CRM as one source, whichever way in an installation uses.

What belongs here: choosing between the export folder and an API for each table. What does not:
reading either (`folder`, `hubspot`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import duckdb

from orchestration.sources.crm import folder, hubspot
from orchestration.sources.crm.tables import BY_NAME, CONTACTS, CRM_TABLES
from orchestration.sources.erased import Erased
from orchestration.sources.errors import SourceConfigError, SourceError, raise_collected
from orchestration.sources.landing import PullResult, ensure_table

SOURCE = "crm"
TABLES = tuple(spec.name for spec in CRM_TABLES)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmConfig:
    """The ways in. With both, contacts come from HubSpot and everything else from the folder.

    Attributes:
        folder: The export folder, or None.
        hubspot: HubSpot, or None.
    """

    folder: folder.FolderConfig | None = None
    hubspot: hubspot.HubSpotConfig | None = None


def parse_crm_uri(uri: str, *, access_token: str | None = None) -> CrmConfig:
    """Return the config that `CRM_SOURCE_URI` stands for.

    A folder (plain path or `file://`), or `hubspot://api.hubapi.com` (`hubspot+http://host:port`
    for a server without TLS), the latter with `?folder=/path` when history lies in a folder too.

    Raises:
        SourceConfigError: The URI is none of these, or HubSpot has no token.
    """
    parts = urlsplit(uri)
    if parts.scheme in {"hubspot", "hubspot+http"}:
        if not access_token:
            raise SourceConfigError(
                "HUBSPOT_ACCESS_TOKEN",
                "is not set although CRM_SOURCE_URI names HubSpot",
                "set it to a private app's token with the scope crm.objects.contacts.read",
            )
        history = (parse_qs(parts.query).get("folder") or [None])[0]
        protocol = "https" if parts.scheme == "hubspot" else "http"
        return CrmConfig(
            hubspot=hubspot.HubSpotConfig(
                access_token=access_token,
                base_url=f"{protocol}://{parts.netloc or 'api.hubapi.com'}",
            ),
            folder=folder.FolderConfig(folder=Path(history)) if history else None,
        )
    if parts.scheme == "file":
        return CrmConfig(folder=folder.FolderConfig(folder=Path(unquote(parts.path))))
    if uri and "://" not in uri:
        return CrmConfig(folder=folder.FolderConfig(folder=Path(uri)))
    raise SourceConfigError(
        "CRM_SOURCE_URI",
        "is neither a folder nor a CRM we know",
        "set it to a folder, file:///folder or hubspot://api.hubapi.com",
    )


def pull(
    connection: duckdb.DuckDBPyConnection,
    config: CrmConfig,
    *,
    as_of: datetime,
    tables: Sequence[str] | None = None,
    erased: Erased | None = None,
) -> list[PullResult]:
    """Bring `raw.crm_*` up to what the CRM holds.

    A table that no way in provides exists, empty, with a note.

    Args:
        connection: Open warehouse, for writing.
        config: The ways in.
        as_of: The run's clock (aware).
        tables: Raw tables wanted; all when None.
        erased: Who was erased: their rows are left out. None for nobody.

    Returns:
        One result a table.

    Raises:
        SourceError: Some tables could not be pulled; the others are committed then, and `results`
            on the error says what was done.
    """
    wanted = list(TABLES if tables is None else tables)
    unknown = sorted(set(wanted) - set(BY_NAME))
    if unknown:
        raise SourceConfigError(
            f"CRM source: {', '.join(unknown)}",
            "no such table",
            f"ask for one of {', '.join(TABLES)}",
        )
    results: list[PullResult] = []
    failures: list[SourceError] = []
    for name in wanted:
        try:
            if name == CONTACTS.name and config.hubspot is not None:
                results += hubspot.pull(
                    connection, config.hubspot, as_of=as_of, tables=[name], erased=erased
                )
            elif config.folder is not None:
                results += folder.pull(
                    connection, config.folder, as_of=as_of, tables=[name], erased=erased
                )
            else:
                ensure_table(connection, BY_NAME[name])
                results.append(
                    PullResult(
                        source=SOURCE, table=name, note="no way in provides this table: it is empty"
                    )
                )
        except SourceError as error:
            failures.append(error)
    raise_collected(failures, results)
    return results
