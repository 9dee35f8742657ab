"""What a sandbox is told at start: credentials it accepts, limits it enforces, templates it knows.

The limits' defaults are those of the real providers, so that a campaign that passes here passes
there. What a test changes while the sandbox runs (faults, recipients, clock) is not here but in the
control API.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from activations.errors import ConfigurationError

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")

# Credentials of a sandbox are no secrets; fixed values let the default settings work unconfigured.
DEFAULT_WHATSAPP_TOKEN = "sandbox-whatsapp-token"  # noqa: S105
DEFAULT_WHATSAPP_APP_SECRET = "sandbox-whatsapp-app-secret"  # noqa: S105
DEFAULT_WHATSAPP_PHONE_NUMBER_ID = "100000000000001"
DEFAULT_SENDGRID_API_KEY = "sandbox-sendgrid-key"
DEFAULT_META_TOKEN = "sandbox-meta-token"  # noqa: S105


class SandboxConfigError(ConfigurationError):
    """The sandbox was told something it cannot work with; whoever starts it must mend it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatsAppTemplate:
    """A template as WhatsApp's review left it.

    Attributes:
        name: `[a-z0-9_]`, at most 512 characters.
        language: code as sent in `template.language.code`, for example `en`.
        category: `marketing`, `utility` or `authentication`.
        body: text with `{{1}}`, `{{2}}`… or `{{named}}` places.
        header: header text, possibly with one place; empty for none.
        url_buttons: url of each url button by its index; a place in it takes one parameter.
        status: only `APPROVED` may be sent.
    """

    name: str
    language: str
    category: str
    body: str
    header: str = ""
    url_buttons: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    status: str = "APPROVED"

    def body_places(self) -> tuple[str, ...]:
        """Names of the places in the body, each once, in order of first appearance."""
        return tuple(dict.fromkeys(_PLACEHOLDER.findall(self.body)))

    def header_places(self) -> tuple[str, ...]:
        """Names of the places in the header."""
        return tuple(dict.fromkeys(_PLACEHOLDER.findall(self.header)))

    def hydrate(self, values: Mapping[str, str]) -> str:
        """The body with its places filled."""
        return _PLACEHOLDER.sub(lambda found: values.get(found.group(1), ""), self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """How one sandbox behaves.

    Attributes:
        whatsapp_token: bearer token that is accepted.
        whatsapp_app_secret: key that signs the status webhooks.
        whatsapp_phone_number_ids: sender ids that exist.
        whatsapp_sender: display phone number of the sender, digits.
        whatsapp_waba_id: id in `entry[].id` of the webhooks.
        whatsapp_per_second: throughput of a number, messages a second; 0 for no limit.
        whatsapp_allowed_recipients: digits of the only numbers that may be written to (a number in
            test mode), or None for all.
        sendgrid_api_key: bearer key that is accepted.
        sendgrid_max_bytes: size of a whole mail request.
        sendgrid_sender_domains: domains that may stand in `from`, or None for all.
        meta_token: bearer token that is accepted for audiences.
        meta_audience_ids: audiences that exist, or None when any id does.
        slack_paths: paths under `/slack/` that exist, or None when any does.
        slack_per_second: posts a second to one hook, 0 for no limit.
        templates: known templates by (name, language).
        gateway_url: base URL that gets the webhooks; may also be set later by the control API.
        max_messages: accepted messages kept; the oldest go first.
        max_audience_members: members kept in all audiences together.
        max_kept_bodies: newest e-mail bodies kept for looking at.
        id_seed: makes message ids repeatable; None makes them unique to this start, which a ledger
            that outlives the sandbox needs.
    """

    whatsapp_token: str = field(default=DEFAULT_WHATSAPP_TOKEN, repr=False)
    whatsapp_app_secret: str = field(default=DEFAULT_WHATSAPP_APP_SECRET, repr=False)
    whatsapp_phone_number_ids: frozenset[str] = frozenset({DEFAULT_WHATSAPP_PHONE_NUMBER_ID})
    whatsapp_sender: str = "918000000001"
    whatsapp_waba_id: str = "200000000000001"
    whatsapp_per_second: float = 80.0
    whatsapp_allowed_recipients: frozenset[str] | None = field(default=None, repr=False)
    sendgrid_api_key: str = field(default=DEFAULT_SENDGRID_API_KEY, repr=False)
    sendgrid_max_bytes: int = 30 * 1024 * 1024
    sendgrid_sender_domains: frozenset[str] | None = None
    meta_token: str = field(default=DEFAULT_META_TOKEN, repr=False)
    meta_audience_ids: frozenset[str] | None = None
    slack_paths: frozenset[str] | None = field(default=None, repr=False)
    slack_per_second: float = 1.0
    templates: Mapping[tuple[str, str], WhatsAppTemplate] = field(
        default_factory=lambda: MappingProxyType({}), repr=False
    )
    gateway_url: str | None = None
    max_messages: int = 200_000
    max_audience_members: int = 2_000_000
    max_kept_bodies: int = 500
    id_seed: str | None = None

    def __post_init__(self) -> None:
        """Refuse limits that cannot hold.

        Raises:
            SandboxConfigError: a bound is not positive or a rate negative.
        """
        for name in ("max_messages", "max_audience_members", "sendgrid_max_bytes"):
            if getattr(self, name) < 1:
                msg = f"{name} must be at least 1"
                raise SandboxConfigError(msg)
        if self.whatsapp_per_second < 0 or self.slack_per_second < 0:
            msg = "rates must not be negative; 0 means no limit"
            raise SandboxConfigError(msg)


def parse_template(document: Mapping[str, Any], *, origin: str) -> WhatsAppTemplate:
    """Build a template from one parsed YAML document.

    Args:
        document: `name`, `language`, `category`, `body`; optional `header`, `buttons`, `status`.
        origin: what to call the document in an error.

    Raises:
        SandboxConfigError: a required key is missing or empty.
    """
    missing = [key for key in ("name", "language", "category", "body") if not document.get(key)]
    if missing:
        msg = f"template {origin} lacks {', '.join(missing)}"
        raise SandboxConfigError(msg)
    header = document.get("header") or ""
    if isinstance(header, Mapping):
        header = header.get("text") or ""
    urls: dict[int, str] = {}
    for index, button in enumerate(document.get("buttons") or []):
        if isinstance(button, Mapping) and button.get("url"):
            urls[index] = str(button["url"])
    return WhatsAppTemplate(
        name=str(document["name"]),
        language=str(document["language"]),
        category=str(document["category"]).lower(),
        body=str(document["body"]).strip(),
        header=str(header),
        url_buttons=MappingProxyType(urls),
        status=str(document.get("status") or "APPROVED").upper(),
    )


def load_templates(folder: Path) -> Mapping[tuple[str, str], WhatsAppTemplate]:
    """Read every `*.yaml` of a folder of WhatsApp templates, the files the sender itself uses.

    Raises:
        SandboxConfigError: a file is no YAML, lacks a key, or two have one name and language.
    """
    found: dict[tuple[str, str], WhatsAppTemplate] = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            msg = f"template {path.name} is not valid YAML"
            raise SandboxConfigError(msg) from error
        if not isinstance(document, Mapping):
            msg = f"template {path.name} is not a mapping"
            raise SandboxConfigError(msg)
        template = parse_template(document, origin=path.name)
        key = (template.name, template.language)
        if key in found:
            msg = f"template {path.name} repeats name {key[0]!r} in language {key[1]!r}"
            raise SandboxConfigError(msg)
        found[key] = template
    return MappingProxyType(found)
