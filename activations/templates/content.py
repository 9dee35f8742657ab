"""Fills templates for one message.

Belongs here: variables, wrapped links, and the rules a filled text must meet. Does not belong here:
the shape of a provider's request (the channels).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlsplit, urlunsplit

from liquid import BoundTemplate
from liquid.exceptions import LiquidError

from activations.errors import RenderError, TemplateError, TokenError
from activations.links import make_link, make_unsubscribe
from activations.outcomes import Purpose
from activations.rows import MessageRow
from activations.templates.loader import (
    MAX_WHATSAPP_BODY,
    MESSAGE_VARIABLES,
    SEPARATOR,
    URL_VARIABLES,
    EmailTemplate,
    Templates,
    WhatsAppTemplate,
)

_SPACES = re.compile(r"\s+")
_PLACE = re.compile(r"\{\{\s*(\d+)\s*\}\}")
# One mail client folds after 998 characters; nobody reads that far.
_MAX_SUBJECT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    """How links in messages are signed.

    Attributes:
        gateway_url: Public address of the gateway, which redirects and unsubscribes.
        secret: Signs the tokens; the gateway has the same.
    """

    gateway_url: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatsAppText:
    """The filled parameters of a WhatsApp template."""

    template: WhatsAppTemplate
    body: Sequence[str] = field(repr=False)
    header: Sequence[str] = field(repr=False)
    buttons: Sequence[tuple[int, str]] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailText:
    """A filled e-mail."""

    subject: str = field(repr=False)
    html: str = field(repr=False)
    text: str = field(repr=False)
    unsubscribe_url: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Everything that turns a row into words.

    Attributes:
        templates: All templates, compiled.
        links: How links are signed.
        brand_name: What the shop calls itself.
    """

    templates: Templates
    links: LinkSettings
    brand_name: str = "ReCell"

    def whatsapp(self, row: MessageRow) -> WhatsAppText:
        """Fill a WhatsApp template.

        Raises:
            TemplateError: When there is none for the row's template and language.
            RenderError: When the row's variables do not fill it.
        """
        template = self.templates.whatsapp.get((row.template_id, row.language))
        if template is None:
            raise _missing("whatsapp", row)
        _check_purpose(row, template.category)
        values = self._values(row, template.uses, channel="whatsapp")
        texts = [
            # WhatsApp refuses a line break, a tab, or more than four spaces in a row.
            _SPACES.sub(" ", text).strip()
            for text in _render(template.parameters, values).split(SEPARATOR)
        ]
        if not all(texts) and template.uses:
            raise RenderError("a parameter is empty once filled: give it a default in the template")
        body_end = template.body_count
        header_end = body_end + template.header_count
        body = texts[:body_end]
        length = len(_PLACE.sub(lambda place: body[int(place[1]) - 1], template.body))
        if length > MAX_WHATSAPP_BODY:
            raise RenderError(
                f"the filled text has {length} characters, WhatsApp takes {MAX_WHATSAPP_BODY}"
            )
        return WhatsAppText(
            template=template,
            body=body,
            header=texts[body_end:header_end],
            buttons=list(zip(template.button_indexes, texts[header_end:], strict=False)),
        )

    def email(self, row: MessageRow) -> EmailText:
        """Fill an e-mail.

        Raises:
            TemplateError: When there is none for the row's template and language.
            RenderError: When the row's variables do not fill it.
        """
        template = self.templates.email.get((row.template_id, row.language))
        if template is None:
            raise _missing("email", row)
        _check_purpose(row, template.category)
        unsubscribe = make_unsubscribe(self.links.secret, self.links.gateway_url, row.intent_key)
        values = self._values(row, template.uses, channel="email")
        if row.purpose == Purpose.PROMOTIONAL:
            values["unsubscribe_url"] = unsubscribe
        return self._fill_email(template, values, unsubscribe)

    def _fill_email(
        self, template: EmailTemplate, values: dict[str, Any], unsubscribe: str
    ) -> EmailText:
        subject = _SPACES.sub(" ", _render(template.subject, values)).strip()
        text = _render(template.text, values).strip()
        fragment = _render(template.html, values)
        if not subject or not text or not fragment.strip():
            raise RenderError("the e-mail's subject or body is empty once filled")
        if len(subject) > _MAX_SUBJECT:
            raise RenderError(f"the subject has {len(subject)} characters, at most {_MAX_SUBJECT}")
        layout = values | {
            "subject": subject,
            "preheader": _render(template.preheader, values).strip(),
            "content": _Safe(fragment),
            "language": template.language,
        }
        footer = values.get("unsubscribe_url")
        return EmailText(
            subject=subject,
            html=_render(self.templates.email_layout, layout),
            text=f"{text}\n\n--\n{self.brand_name}\n"
            + (f"Unsubscribe: {footer}\n" if footer else ""),
            unsubscribe_url=unsubscribe,
        )

    def _values(self, row: MessageRow, uses: frozenset[str], *, channel: str) -> dict[str, Any]:
        values = _read_variables(row.variables)
        values["brand_name"] = self.brand_name
        needs_token = "link_token" in uses
        for name in URL_VARIABLES:
            if values[name] and (name in uses or (needs_token and name == "link_url")):
                values[name] = self._wrap(row, values[name], channel=channel)
        if needs_token:
            values["link_token"] = values["link_url"].rpartition("/")[2]
        return values

    def _wrap(self, row: MessageRow, target: str, *, channel: str) -> str:
        try:
            tagged = tag_url(target, channel=channel, journey_key=row.journey_key)
            return make_link(self.links.secret, self.links.gateway_url, row.intent_key, tagged)
        except (TokenError, ValueError) as error:
            raise RenderError("a link variable is not an http or https address") from error


class _Safe:
    """Text that was escaped already."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __html__(self) -> str:
        return self._text

    def __str__(self) -> str:
        return self._text


def tag_url(url: str, *, channel: str, journey_key: str) -> str:
    """Return an address with the campaign tags the web analytics attribute by.

    Tags the address has already stay.

    Args:
        url: Where the link leads.
        channel: Becomes ``utm_medium``.
        journey_key: Becomes ``utm_campaign``.

    Raises:
        ValueError: When the address cannot be read.
    """
    parts = urlsplit(url)
    present = parse_qs(parts.query, keep_blank_values=True) if "utm_" in parts.query else {}
    tags = [
        f"{name}={quote_plus(value)}"
        for name, value in (
            ("utm_source", "crm"),
            ("utm_medium", channel),
            ("utm_campaign", journey_key),
        )
        if name not in present
    ]
    # The shop's own part stays as it is, byte for byte: encoding it anew might change it.
    query = "&".join([parts.query, *tags] if parts.query else tags)
    return urlunsplit(parts._replace(query=query))


def _read_variables(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RenderError("the variables are not JSON") from error
    if not isinstance(document, dict) or not all(
        value is None or isinstance(value, str) for value in document.values()
    ):
        raise RenderError("the variables are not a JSON object of strings")
    # A variable that is missing, null or blank is empty: one way for a template to ask.
    known: dict[str, Any] = dict.fromkeys(MESSAGE_VARIABLES, "")
    return known | {
        name: (value or "").replace(SEPARATOR, " ").strip() for name, value in document.items()
    }


def _check_purpose(row: MessageRow, category: str) -> None:
    expected = "marketing" if row.purpose == Purpose.PROMOTIONAL else "utility"
    if category != expected:
        # An offer under a utility template costs the sender its standing with the provider.
        raise RenderError(
            f"template {row.template_id} is {category}, a {row.purpose} message needs {expected}"
        )


def _missing(channel: str, row: MessageRow) -> TemplateError:
    return TemplateError(
        f"there is no {channel} template {row.template_id!r} in language {row.language!r}: add "
        f"activations/templates/{channel}/{row.template_id}.{row.language}.yaml"
    )


def _render(template: BoundTemplate, values: Mapping[str, Any]) -> str:
    try:
        return template.render(**values)
    except LiquidError as error:
        # The error's own text may quote a value, which may be somebody's name.
        raise RenderError(f"the template failed on this row ({type(error).__name__})") from error
