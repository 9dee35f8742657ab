"""Every setting of the product: its name, what it means, and whether the set of them makes sense.

Settings come from the environment; a `.env` file in the working folder is read first and never overrides it.
`SETTINGS` is the one list: `.env.example` and the README's table are checked against it by a test.
Nothing else in the project reads the environment.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dotenv import dotenv_values

from activations.erasure.identifiers import SHORTEST_KEY
from orchestration.lib.warehouse import DEFAULT_MEMORY


class SettingsError(Exception):
    """A setting is unknown, missing or contradicts another. A person must change it; a retry does not help."""


class Environment(StrEnum):
    """Where messages go: to the emulators on this machine, or to real people."""

    SANDBOX = "sandbox"
    PRODUCTION = "production"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting.

    Attributes:
        name: In the environment.
        default: When it is not set.
        help: What it is for.
        is_secret: Never shown.
        needed_by: Channel or ad platform that production cannot use without it. A provider's names begin with its own
            prefix, and its `…_BASE_URL` must stay on this machine in the sandbox.
    """

    name: str
    default: str = ""
    help: str
    is_secret: bool = False
    needed_by: str = ""


SETTINGS: tuple[Setting, ...] = (
    Setting(
        name="LIFECYCLE_HOME",
        default="./.lifecycle",
        help="Folder for the warehouse, ledger, published copy, reports and Dagster's storage.",
    ),
    Setting(
        name="LIFECYCLE_MEMORY",
        default=DEFAULT_MEMORY,
        help="Most memory the warehouse takes, such as 2GB; what does not fit is done on disk, beside the file. "
        "The rest of a run takes about 1 GB on top.",
    ),
    Setting(
        name="LIFECYCLE_ENV",
        default="sandbox",
        help="`sandbox` (emulated channels on this machine) or `production` (real providers).",
    ),
    Setting(
        name="GA4_EXPORT_URI",
        help="Folder of GA4 export files, or `bigquery://project/dataset`. Empty: the demo world.",
    ),
    Setting(
        name="GA4_BIGQUERY_ENDPOINT",
        help="Another BigQuery endpoint (a proxy or stand-in). Empty: Google's.",
    ),
    Setting(
        name="ADMIN_DATABASE_URL",
        help="SQLAlchemy URL of the admin panel's database. Empty: the demo world.",
        is_secret=True,
    ),
    Setting(
        name="CRM_SOURCE_URI",
        help="Folder of CRM export files, or `hubspot://api.hubapi.com`. Empty: the demo world.",
    ),
    Setting(
        name="HUBSPOT_ACCESS_TOKEN", help="Private-app token for `hubspot://`.", is_secret=True
    ),
    Setting(
        name="LEDGER_URL",
        help="SQLAlchemy URL of the ledger. Empty: `ledger.sqlite` in LIFECYCLE_HOME.",
        is_secret=True,
    ),
    Setting(
        name="ERASURE_KEY",
        help="Key of the hashes erased people are known by, 32 characters or more; never change it. "
        "Needed before the first `lifecycle erase` in production; the sandbox makes its own.",
        is_secret=True,
    ),
    Setting(
        name="TENANT_TIMEZONE",
        default="Asia/Kolkata",
        help="IANA zone of business days, quiet hours and zone-less source times.",
    ),
    Setting(
        name="MAX_SENDS_PER_RUN",
        default="50000",
        help="A run that plans more messages than this on a channel sends none and says so.",
    ),
    Setting(
        name="GATEWAY_BASE_URL",
        help="Public base URL of the gateway (links, unsubscribe, webhooks). Empty in the sandbox: this machine.",
    ),
    Setting(
        name="GATEWAY_PORT",
        default="8377",
        help="Port `make ui` gives the gateway on this machine.",
    ),
    Setting(
        name="GATEWAY_SECRET",
        help="Key that signs links in messages. Needed in production.",
        is_secret=True,
    ),
    Setting(
        name="WHATSAPP_BASE_URL",
        help="Graph API base URL. Empty: the emulator in the sandbox, Meta's in production.",
    ),
    Setting(
        name="WHATSAPP_PHONE_NUMBER_ID",
        help="Sender: the Cloud API phone number id.",
        needed_by="whatsapp",
    ),
    Setting(
        name="WHATSAPP_ACCESS_TOKEN",
        help="Cloud API access token.",
        is_secret=True,
        needed_by="whatsapp",
    ),
    Setting(
        name="WHATSAPP_APP_SECRET",
        help="App secret that signs webhooks.",
        is_secret=True,
        needed_by="whatsapp",
    ),
    Setting(name="WHATSAPP_VERIFY_TOKEN", help="Token of the webhook handshake.", is_secret=True),
    Setting(
        name="SENDGRID_BASE_URL",
        help="SendGrid base URL. Empty: the emulator in the sandbox, SendGrid's in production.",
    ),
    Setting(name="SENDGRID_API_KEY", help="SendGrid API key.", is_secret=True, needed_by="email"),
    Setting(name="SENDGRID_FROM_EMAIL", help="Sender address of e-mails.", needed_by="email"),
    Setting(name="SENDGRID_FROM_NAME", default="ReCell", help="Sender name of e-mails."),
    Setting(
        name="SENDGRID_WEBHOOK_PUBLIC_KEY",
        help="Public key that signs SendGrid's event webhook.",
        needed_by="email",
    ),
    Setting(
        name="META_BASE_URL",
        help="Marketing API base URL. Empty: the emulator in the sandbox, Meta's in production.",
    ),
    Setting(
        name="META_ACCESS_TOKEN",
        help="Marketing API access token.",
        is_secret=True,
        needed_by="meta_custom_audience",
    ),
    Setting(
        name="META_AUDIENCE_ID",
        help="Id of the custom audience the engine maintains.",
        needed_by="meta_custom_audience",
    ),
    Setting(
        name="SLACK_WEBHOOK_URL",
        help="Incoming webhook told about failed runs. Empty: nobody is told.",
        is_secret=True,
    ),
    Setting(name="UI_PORT", default="3000", help="Port of the Dagster webserver in `make ui`."),
    Setting(
        name="REPORTS_PORT",
        default="3001",
        help="Port on which `make ui` serves reports and data docs.",
    ),
    Setting(
        name="DEMO_PEOPLE", default="2000", help="People in the demo world when it is created."
    ),
    Setting(name="DEMO_SEED", default="7", help="Seed of the demo world when it is created."),
)

# A variable with one of these beginnings is meant for us: one that is not in SETTINGS is a typing error.
PREFIXES = (
    "LIFECYCLE_",
    "GA4_",
    "ADMIN_DATABASE",
    "CRM_",
    "HUBSPOT_",
    "LEDGER_",
    "TENANT_",
    "GATEWAY_",
    "SLACK_",
    "DEMO_",
    "ERASURE_",
    *sorted({f"{setting.name.split('_')[0]}_" for setting in SETTINGS if setting.needed_by}),
)
# Set by the product for its own child processes.
INTERNAL = ("LIFECYCLE_WAREHOUSE", "LIFECYCLE_WAREHOUSE_MEMORY")
PRODUCTION_NEEDS = (
    "GA4_EXPORT_URI",
    "ADMIN_DATABASE_URL",
    "CRM_SOURCE_URI",
    "GATEWAY_BASE_URL",
    "GATEWAY_SECRET",
)
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one process, checked. Secrets never show in a repr."""

    home: Path
    memory: str
    environment: Environment
    tenant_timezone: str
    ga4_export_uri: str
    ga4_bigquery_endpoint: str
    admin_database_url: str = field(repr=False)
    crm_source_uri: str
    hubspot_access_token: str = field(repr=False)
    ledger_url: str = field(repr=False)
    erasure_key: str = field(repr=False)
    max_sends_per_run: int
    gateway_base_url: str
    gateway_port: int
    gateway_secret: str = field(repr=False)
    whatsapp_base_url: str
    whatsapp_phone_number_id: str
    whatsapp_access_token: str = field(repr=False)
    whatsapp_app_secret: str = field(repr=False)
    whatsapp_verify_token: str = field(repr=False)
    sendgrid_base_url: str
    sendgrid_api_key: str = field(repr=False)
    sendgrid_from_email: str
    sendgrid_from_name: str
    sendgrid_webhook_public_key: str
    meta_base_url: str
    meta_access_token: str = field(repr=False)
    meta_audience_id: str
    slack_webhook_url: str = field(repr=False)
    ui_port: int
    reports_port: int
    demo_people: int
    demo_seed: int

    @property
    def is_sandbox(self) -> bool:
        """Whether messages stay on this machine."""
        return self.environment is Environment.SANDBOX

    @property
    def uses_demo(self) -> bool:
        """Whether the demo world plays the three sources."""
        return not (self.ga4_export_uri or self.admin_database_url or self.crm_source_uri)

    @property
    def warehouse_path(self) -> Path:
        """The DuckDB file that only runs open."""
        return self.home / "warehouse.duckdb"

    @property
    def published_path(self) -> Path:
        """The read-only copy people and dashboards open."""
        return self.home / "published.duckdb"

    @property
    def reports_path(self) -> Path:
        """Folder of reports and data docs."""
        return self.home / "reports"

    @property
    def data_docs_path(self) -> Path:
        """Folder of the contracts' pages, inside the reports."""
        return self.reports_path / "data_docs"

    @property
    def demo_path(self) -> Path:
        """Folder of the demo world."""
        return self.home / "demo"

    @property
    def zone(self) -> ZoneInfo:
        """The tenant's zone."""
        return ZoneInfo(self.tenant_timezone)


def read_settings(
    environment: Mapping[str, str] | None = None, *, dotenv: Path | None = None
) -> Settings:
    """Read and check the settings.

    Args:
        environment: Variables to read; the process environment when None.
        dotenv: A `.env` file to read below them; `./.env` when None and the process environment is read.

    Raises:
        SettingsError: A setting is unknown, malformed, missing or contradicts another; the message names it.
    """
    from_file: dict[str, str] = {}
    if environment is None:
        environment = os.environ
        dotenv = dotenv or Path(".env")
    if dotenv is not None and dotenv.is_file():
        from_file = {name: value or "" for name, value in dotenv_values(dotenv).items()}
    known = {setting.name for setting in SETTINGS}
    _refuse_unknown(environment, from_file, known, dotenv)
    values = {setting.name: setting.default for setting in SETTINGS}
    values |= {name: value for name, value in from_file.items() if name in known and value}
    values |= {name: environment[name] for name in known if environment.get(name)}
    settings = _build(values)
    _refuse_contradictions(settings, values)
    return settings


def _refuse_unknown(
    environment: Mapping[str, str],
    from_file: Mapping[str, str],
    known: set[str],
    dotenv: Path | None,
) -> None:
    ours = {name for name in environment if name.startswith(PREFIXES) and name not in INTERNAL}
    for name in sorted((ours | set(from_file)) - known):
        where = f"in {dotenv}" if name in from_file else "in the environment"
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else " See .env.example for every name."
        raise SettingsError(f"Unknown setting {name} {where}.{hint}")


def _number(values: Mapping[str, str], name: str) -> int:
    try:
        number = int(values[name])
    except ValueError:
        raise SettingsError(f"{name} must be a whole number, not {values[name]!r}.") from None
    if number < 0:
        raise SettingsError(f"{name} must not be negative, but is {number}.")
    return number


def _build(values: Mapping[str, str]) -> Settings:
    try:
        environment = Environment(values["LIFECYCLE_ENV"])
    except ValueError:
        raise SettingsError(
            f"LIFECYCLE_ENV is {values['LIFECYCLE_ENV']!r}; it must be `sandbox` or `production`."
        ) from None
    try:
        ZoneInfo(values["TENANT_TIMEZONE"])
    except (ZoneInfoNotFoundError, ValueError):
        raise SettingsError(
            f"TENANT_TIMEZONE {values['TENANT_TIMEZONE']!r} is not an IANA time zone, "
            "such as Asia/Kolkata."
        ) from None
    if not re.fullmatch(r"[1-9]\d*(\.\d+)? ?[KMGT]i?B", values["LIFECYCLE_MEMORY"]):
        raise SettingsError(
            f"LIFECYCLE_MEMORY is {values['LIFECYCLE_MEMORY']!r}; it must be a size such as 2GB."
        )
    home = Path(values["LIFECYCLE_HOME"]).expanduser().resolve()
    # The sandbox's credentials are fixed and worthless; production gets none by default.
    defaults = _SANDBOX_DEFAULTS if environment is Environment.SANDBOX else _PRODUCTION_DEFAULTS

    def text(name: str) -> str:
        return values[name] or defaults.get(name, "")

    return Settings(
        home=home,
        memory=values["LIFECYCLE_MEMORY"],
        environment=environment,
        tenant_timezone=values["TENANT_TIMEZONE"],
        ga4_export_uri=values["GA4_EXPORT_URI"],
        ga4_bigquery_endpoint=values["GA4_BIGQUERY_ENDPOINT"],
        admin_database_url=values["ADMIN_DATABASE_URL"],
        crm_source_uri=values["CRM_SOURCE_URI"],
        hubspot_access_token=values["HUBSPOT_ACCESS_TOKEN"],
        ledger_url=values["LEDGER_URL"] or f"sqlite:///{home / 'ledger.sqlite'}",
        erasure_key=values["ERASURE_KEY"],
        max_sends_per_run=_number(values, "MAX_SENDS_PER_RUN"),
        gateway_base_url=text("GATEWAY_BASE_URL"),
        gateway_port=_number(values, "GATEWAY_PORT"),
        gateway_secret=text("GATEWAY_SECRET"),
        whatsapp_base_url=text("WHATSAPP_BASE_URL"),
        whatsapp_phone_number_id=text("WHATSAPP_PHONE_NUMBER_ID"),
        whatsapp_access_token=text("WHATSAPP_ACCESS_TOKEN"),
        whatsapp_app_secret=text("WHATSAPP_APP_SECRET"),
        whatsapp_verify_token=text("WHATSAPP_VERIFY_TOKEN"),
        sendgrid_base_url=text("SENDGRID_BASE_URL"),
        sendgrid_api_key=text("SENDGRID_API_KEY"),
        sendgrid_from_email=text("SENDGRID_FROM_EMAIL"),
        sendgrid_from_name=values["SENDGRID_FROM_NAME"],
        sendgrid_webhook_public_key=values["SENDGRID_WEBHOOK_PUBLIC_KEY"],
        meta_base_url=text("META_BASE_URL"),
        meta_access_token=text("META_ACCESS_TOKEN"),
        meta_audience_id=text("META_AUDIENCE_ID"),
        slack_webhook_url=values["SLACK_WEBHOOK_URL"],
        ui_port=_number(values, "UI_PORT"),
        reports_port=_number(values, "REPORTS_PORT"),
        demo_people=_number(values, "DEMO_PEOPLE"),
        demo_seed=_number(values, "DEMO_SEED"),
    )


_SANDBOX_DEFAULTS = {
    "GATEWAY_SECRET": "sandbox-gateway-secret",
    "WHATSAPP_PHONE_NUMBER_ID": "100000000000001",
    "WHATSAPP_ACCESS_TOKEN": "sandbox-whatsapp-token",
    "WHATSAPP_APP_SECRET": "sandbox-whatsapp-app-secret",
    "WHATSAPP_VERIFY_TOKEN": "sandbox-verify-token",
    "SENDGRID_API_KEY": "sandbox-sendgrid-key",
    "SENDGRID_FROM_EMAIL": "hello@recell.example",
    "META_ACCESS_TOKEN": "sandbox-meta-token",
    "META_AUDIENCE_ID": "23850000000000001",
}
_PRODUCTION_DEFAULTS = {
    "WHATSAPP_BASE_URL": "https://graph.facebook.com",
    "SENDGRID_BASE_URL": "https://api.sendgrid.com",
    "META_BASE_URL": "https://graph.facebook.com",
}


def _refuse_contradictions(settings: Settings, values: Mapping[str, str]) -> None:
    sources = ("GA4_EXPORT_URI", "ADMIN_DATABASE_URL", "CRM_SOURCE_URI")
    given = [name for name in sources if values[name]]
    if given and len(given) < len(sources):
        missing = next(name for name in sources if not values[name])
        raise SettingsError(
            f"{given[0]} is set but {missing} is not: set all three sources, or none for the demo world."
        )
    if settings.crm_source_uri.startswith("hubspot") and not settings.hubspot_access_token:
        raise SettingsError(
            "CRM_SOURCE_URI is hubspot:// but HUBSPOT_ACCESS_TOKEN is not set: create a private app "
            "in HubSpot with contact read scope and put its token there."
        )
    if settings.hubspot_access_token and not settings.crm_source_uri.startswith("hubspot"):
        raise SettingsError(
            "HUBSPOT_ACCESS_TOKEN is set but CRM_SOURCE_URI is not hubspot://: unset one of the two."
        )
    if settings.ga4_bigquery_endpoint and not settings.ga4_export_uri.startswith("bigquery:"):
        raise SettingsError(
            "GA4_BIGQUERY_ENDPOINT is set but GA4_EXPORT_URI is not bigquery://project/dataset."
        )
    if settings.erasure_key and len(settings.erasure_key) < SHORTEST_KEY:
        raise SettingsError(
            f"ERASURE_KEY has {len(settings.erasure_key)} characters and needs {SHORTEST_KEY} or more: "
            "make one with `openssl rand -hex 32`."
        )
    if settings.is_sandbox:
        for name in values:
            # whatever messages may be sent to, a channel added later too; the gateway only answers
            if not name.endswith("_BASE_URL") or name == "GATEWAY_BASE_URL":
                continue
            if values[name] and urlsplit(values[name]).hostname not in LOOPBACK:
                raise SettingsError(
                    f"LIFECYCLE_ENV is sandbox but {name} points off this machine: unset it, "
                    "or set LIFECYCLE_ENV=production if real people should be written to."
                )
        return
    for name in PRODUCTION_NEEDS:
        if not values[name]:
            raise SettingsError(f"LIFECYCLE_ENV is production but {name} is not set.")
    for provider in sorted({setting.needed_by for setting in SETTINGS} - {""}):
        group = [setting.name for setting in SETTINGS if setting.needed_by == provider]
        there = [name for name in group if values[name]]
        if there and len(there) < len(group):
            missing = next(name for name in group if not values[name])
            raise SettingsError(f"{there[0]} is set but {missing} is not: {provider} needs both.")
