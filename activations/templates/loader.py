"""Reads template files, checks them, compiles them once.

Belongs here: everything that can be wrong with a template before any customer is involved. Does
not belong here: filling one for a customer (`activations.templates.content`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from liquid import BoundTemplate, Environment
from liquid.exceptions import LiquidError

from activations.errors import TemplateError

FOLDER = Path(__file__).resolve().parent

# What the warehouse supplies with each message; all are text and may be empty.
MESSAGE_VARIABLES = frozenset(
    {
        "first_name",
        "category",
        "brand",
        "model",
        "quote_value",
        "city",
        "resume_url",
        "slot_date",
        "slot_window",
        "address_line",
        "reschedule_url",
        "order_id",
        "offer_code",
        "link_url",
    }
)
# Those that lead somewhere; `content` wraps them so that a click is counted.
URL_VARIABLES = tuple(sorted(name for name in MESSAGE_VARIABLES if name.endswith("_url")))
# What `content` adds.
OWN_VARIABLES = frozenset({"brand_name", "unsubscribe_url", "link_token"})

_PLACE = re.compile(r"\{\{\s*(\d+)\s*\}\}")
_FILE_NAME = re.compile(r"(?P<template_id>[a-z0-9_]+)\.(?P<language>[a-z]{2}(_[A-Z]{2})?)\.yaml")
# WhatsApp refuses a longer text; variables need room too, checked again for each message.
MAX_WHATSAPP_BODY = 1024

Category = Literal["marketing", "utility"]

_text = Environment()
_html = Environment(autoescape=True)


# Between the parameters of one WhatsApp template, which are rendered in one go: a render costs
# 15 µs whatever it fills, and a message has six. No value may contain it.
SEPARATOR = "\x1f"


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatsAppTemplate:
    """An approved WhatsApp template and what fills its places.

    Attributes:
        name: Its name at the provider.
        body: The approved text with ``{{1}}``, ``{{2}}``...
        parameters: All parameters, of the body, then the header, then the buttons, with
            `SEPARATOR` between them.
        body_count: How many of them are the body's.
        header_count: How many are the header's.
        button_indexes: Places, among all buttons, of those that take a parameter.
        uses: Variables the parameters use.
    """

    template_id: str
    name: str
    language: str
    category: Category
    body: str
    parameters: BoundTemplate
    body_count: int
    header_count: int
    button_indexes: tuple[int, ...]
    uses: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailTemplate:
    """An e-mail, compiled.

    Attributes:
        uses: Variables any part of it uses.
    """

    template_id: str
    language: str
    category: Category
    subject: BoundTemplate
    preheader: BoundTemplate
    html: BoundTemplate
    text: BoundTemplate
    uses: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Templates:
    """Every template of every channel, by (template id, language)."""

    whatsapp: Mapping[tuple[str, str], WhatsAppTemplate]
    email: Mapping[tuple[str, str], EmailTemplate]
    email_layout: BoundTemplate


def load_templates(folder: Path = FOLDER) -> Templates:
    """Read, check and compile all templates of a folder.

    Args:
        folder: Holds ``whatsapp/`` and ``email/``.

    Raises:
        TemplateError: For the first file that is wrong, naming it and what to do.
    """
    layout_file = folder / "email" / "layout.liquid"
    try:
        layout = layout_file.read_text(encoding="utf-8")
    except OSError as error:
        raise TemplateError(f"{layout_file.name} is missing beside the e-mail templates") from error
    return Templates(
        whatsapp={
            key: _whatsapp(path, key, document)
            for path, key, document in _read_folder(folder / "whatsapp")
        },
        email={
            key: _email(path, key, document)
            for path, key, document in _read_folder(folder / "email")
        },
        email_layout=_compile(
            layout_file,
            "layout",
            layout,
            environment=_html,
            extra=frozenset({"subject", "preheader", "content", "language"}),
        ),
    )


def _read_folder(folder: Path) -> list[tuple[Path, tuple[str, str], Mapping[str, Any]]]:
    found = []
    for path in sorted(folder.glob("*.yaml")):
        named = _FILE_NAME.fullmatch(path.name)
        if named is None:
            raise TemplateError(
                f"{path.name}: a template file is called TEMPLATE_ID.LANGUAGE.yaml, "
                "like apv_0.en.yaml"
            )
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise TemplateError(f"{path.name} cannot be read as YAML") from error
        if not isinstance(document, dict):
            raise TemplateError(f"{path.name} holds no mapping of keys to values")
        found.append((path, (named["template_id"], named["language"]), document))
    return found


def _whatsapp(path: Path, key: tuple[str, str], document: Mapping[str, Any]) -> WhatsAppTemplate:
    _check_keys(
        path,
        document,
        required={"name", "language", "category", "body", "parameters"},
        optional={"header", "buttons", "status"},
    )
    _check_language(path, key, document)
    name, body = str(document["name"]), str(document["body"]).strip()
    if not re.fullmatch(r"[a-z0-9_]{1,512}", name):
        raise TemplateError(f"{path.name}: name may hold only a-z, 0-9 and _, not {name!r}")
    if len(body) > MAX_WHATSAPP_BODY:
        raise TemplateError(
            f"{path.name}: body has {len(body)} characters, WhatsApp takes {MAX_WHATSAPP_BODY}"
        )
    header = document.get("header") or {}
    if not isinstance(header, dict):
        raise TemplateError(f"{path.name}: header has keys text and parameters")
    in_body = _parameters(path, "body", body, document["parameters"])
    in_header = _parameters(
        path, "header", str(header.get("text", "")), header.get("parameters") or []
    )
    in_buttons = _buttons(path, document.get("buttons") or [])
    sources = [*in_body, *in_header, *in_buttons.values()]
    parameters = _compile(path, "parameters", SEPARATOR.join(sources))
    return WhatsAppTemplate(
        template_id=key[0],
        name=name,
        language=key[1],
        category=_category(path, document),
        body=body,
        parameters=parameters,
        body_count=len(in_body),
        header_count=len(in_header),
        button_indexes=tuple(in_buttons),
        uses=_variables(parameters),
    )


def _parameters(path: Path, where: str, text: str, given: Any) -> list[str]:
    if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
        raise TemplateError(
            f"{path.name}: parameters of the {where} must be a list of texts; YAML reads "
            "first_name | default: x as a mapping unless it is quoted"
        )
    places = sorted({int(place) for place in _PLACE.findall(text)})
    if places != list(range(1, len(given) + 1)):
        raise TemplateError(
            f"{path.name}: the {where} has places {places}, but {len(given)} parameters are given: "
            "places count from {{1}} without gaps, one parameter each"
        )
    sources = [_expression(item) for item in given]
    for number, source in enumerate(sources, start=1):
        # Each alone first, so that a fault is named with its place.
        _compile(path, f"parameter {number} of the {where}", source)
    return sources


def _expression(text: str) -> str:
    return text if "{{" in text or "{%" in text else f"{{{{ {text} }}}}"


def _buttons(path: Path, given: Any) -> dict[int, str]:
    if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
        raise TemplateError(f"{path.name}: buttons must be a list of mappings")
    sources: dict[int, str] = {}
    for index, item in enumerate(given):
        if item.get("type") not in ("url", "quick_reply"):
            raise TemplateError(f"{path.name}: a button's type is url or quick_reply")
        takes_one = len(_PLACE.findall(str(item.get("url", "")))) == 1
        if takes_one != ("parameter" in item):
            raise TemplateError(
                f"{path.name}: button {index} needs a parameter exactly when its url holds "
                "{{1}}"
            )
        if takes_one:
            sources[index] = _expression(str(item["parameter"]))
            _compile(path, f"button {index}", sources[index])
    return sources


def _email(path: Path, key: tuple[str, str], document: Mapping[str, Any]) -> EmailTemplate:
    _check_keys(
        path,
        document,
        required={"language", "category", "subject", "preheader", "html", "text"},
        optional=set(),
    )
    _check_language(path, key, document)
    parts = {
        name: _compile(
            path, name, str(document[name]), environment=_html if name == "html" else _text
        )
        for name in ("subject", "preheader", "html", "text")
    }
    return EmailTemplate(
        template_id=key[0],
        language=key[1],
        category=_category(path, document),
        **parts,
        uses=frozenset().union(*(_variables(part) for part in parts.values())),
    )


def _variables(template: BoundTemplate) -> frozenset[str]:
    return frozenset(template.analyze().globals)


def _check_keys(
    path: Path, document: Mapping[str, Any], *, required: set[str], optional: set[str]
) -> None:
    missing = sorted(required - {name for name, value in document.items() if value is not None})
    unknown = sorted(set(document) - required - optional)
    if missing:
        raise TemplateError(f"{path.name} lacks {', '.join(missing)}")
    if unknown:
        raise TemplateError(f"{path.name} has unknown keys {', '.join(map(str, unknown))}")


def _check_language(path: Path, key: tuple[str, str], document: Mapping[str, Any]) -> None:
    if document["language"] != key[1]:
        raise TemplateError(
            f"{path.name}: the file's name says language {key[1]!r}, "
            f"the file itself {document['language']!r}"
        )


def _category(path: Path, document: Mapping[str, Any]) -> Category:
    category = document["category"]
    if category in ("marketing", "utility"):
        return category
    raise TemplateError(f"{path.name}: category is marketing or utility, not {category!r}")


def _compile(
    path: Path,
    where: str,
    source: str,
    *,
    environment: Environment = _text,
    extra: frozenset[str] = frozenset(),
) -> BoundTemplate:
    try:
        template = environment.from_string(source)
        used = _variables(template)
        # Rendering once finds what parsing does not: an unknown filter, for one.
        template.render(**dict.fromkeys(used, "x"))
    except LiquidError as error:
        raise TemplateError(f"{path.name}: {where} is not valid Liquid: {error}") from error
    unknown = sorted(used - MESSAGE_VARIABLES - OWN_VARIABLES - extra)
    if unknown:
        raise TemplateError(
            f"{path.name}: {where} uses {', '.join(unknown)}, which no message has. Known are "
            f"{', '.join(sorted(MESSAGE_VARIABLES | OWN_VARIABLES))}"
        )
    return template
