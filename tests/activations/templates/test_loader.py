from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from activations.errors import TemplateError
from activations.templates import load_templates
from activations.templates.loader import FOLDER

_WHATSAPP = {
    "name": "hello_en",
    "language": "en",
    "category": "marketing",
    "body": "Hi {{1}}",
    "parameters": ["first_name"],
}
_EMAIL = {
    "language": "en",
    "category": "marketing",
    "subject": "Hi {{ first_name }}",
    "preheader": "p",
    "html": "<p>x</p>",
    "text": "x",
}


def _folder(tmp_path: Path, channel: str, document: object, name: str = "hello.en.yaml") -> Path:
    for each in ("whatsapp", "email"):
        (tmp_path / each).mkdir()
    (tmp_path / "email" / "layout.liquid").write_text("{{ content }}", encoding="utf-8")
    text = document if isinstance(document, str) else yaml.safe_dump(document)
    (tmp_path / channel / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_every_template_is_named_after_its_file() -> None:
    templates = load_templates()
    assert templates.whatsapp
    assert templates.email
    for (template_id, language), template in templates.whatsapp.items():
        assert template.name == f"{template_id}_{language}"


def test_every_promotional_whatsapp_text_says_how_to_stop() -> None:
    for template in load_templates().whatsapp.values():
        assert ("Reply STOP" in template.body) == (template.category == "marketing")


def test_no_file_lies_about_in_the_template_folders() -> None:
    for path in FOLDER.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert path.suffix in (".yaml", ".liquid", ".py")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parameters": ["frist_name"]}, "frist_name, which no message has"),
        ({"parameters": []}, "places \\[1\\], but 0 parameters"),
        ({"parameters": ["first_name", "model"]}, "places \\[1\\], but 2 parameters"),
        ({"body": "Hi {{2}}"}, "places \\[2\\]"),
        ({"parameters": ["first_name | nofilter"]}, "not valid Liquid"),
        ({"parameters": ["first_name |"]}, "not valid Liquid"),
        ({"parameters": [{"first_name": "x"}]}, "unless it is quoted"),
        ({"parameters": "first_name"}, "must be a list"),
        ({"language": "hi"}, "the file's name says language 'en'"),
        ({"category": "MARKETING"}, "marketing or utility"),
        ({"name": "Hello-EN"}, "a-z, 0-9 and _"),
        ({"body": "Hi {{1}}" + "x" * 1100}, "1024"),
        ({"footer": "x"}, "unknown keys footer"),
        ({"name": None}, "lacks name"),
        ({"buttons": [{"type": "url", "url": "https://x/{{1}}"}]}, "needs a parameter"),
        ({"buttons": [{"type": "url", "url": "https://x", "parameter": "model"}]}, "exactly when"),
        ({"buttons": [{"type": "phone"}]}, "url or quick_reply"),
        ({"buttons": "STOP"}, "list of mappings"),
        ({"header": "Hi"}, "text and parameters"),
        ({"header": {"text": "{{1}}", "parameters": []}}, "the header has places"),
    ],
)
def test_a_wrong_whatsapp_template_is_found_at_load_and_named(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    folder = _folder(tmp_path, "whatsapp", _WHATSAPP | changes)
    with pytest.raises(TemplateError, match=message) as raised:
        load_templates(folder)
    assert "hello.en.yaml" in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"subject": "{{ nmae }}"}, "nmae"),
        ({"html": "{% if x %}"}, "html is not valid Liquid"),
        ({"text": None}, "lacks text"),
        ({"bcc": "x"}, "unknown keys bcc"),
    ],
)
def test_a_wrong_email_template_is_found_at_load_and_named(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    folder = _folder(tmp_path, "email", _EMAIL | changes)
    with pytest.raises(TemplateError, match=message):
        load_templates(folder)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("hello.yaml", "{}", "TEMPLATE_ID.LANGUAGE.yaml"),
        ("hello.en.yaml", "a: [", "cannot be read as YAML"),
        ("hello.en.yaml", "- a", "no mapping"),
    ],
)
def test_a_file_that_is_no_template_is_named(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    with pytest.raises(TemplateError, match=message):
        load_templates(_folder(tmp_path, "whatsapp", text, name))


def test_a_missing_layout_is_named(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "email", _EMAIL)
    (folder / "email" / "layout.liquid").unlink()
    with pytest.raises(TemplateError, match=r"layout\.liquid is missing"):
        load_templates(folder)
