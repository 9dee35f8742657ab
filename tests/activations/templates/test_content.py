from __future__ import annotations

import json
import re
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activations.errors import RenderError
from activations.links import parse_token
from activations.rows import MessageRow
from activations.templates.content import tag_url
from activations.templates.loader import MESSAGE_VARIABLES
from tests.activations.world import CONTENT, SECRET, VARIABLES, decision, row_of

_LINK = re.compile(r"https://go\.example/r/([\w.-]+)")


def _row(template_id: str = "apv_0", **variables: str) -> MessageRow:
    purpose = "service" if template_id.startswith("pickup") else "promotional"
    return row_of(
        decision(
            template_id=template_id,
            purpose=purpose,
            variables=json.dumps(VARIABLES | variables),
        )
    )


def _ids() -> list[str]:
    return sorted(template_id for template_id, _ in CONTENT.templates.whatsapp)


def test_a_whatsapp_message_is_filled_in_order() -> None:
    filled = CONTENT.whatsapp(_row())

    assert filled.template.name == "apv_0_en"
    assert list(filled.body[:4]) == ["Asha", "Apple iPhone 12", "₹15500", "Pune"]
    assert _LINK.fullmatch(filled.body[4])


@pytest.mark.parametrize("template_id", _ids())
def test_a_stranger_of_whom_little_is_known_gets_a_whole_message(template_id: str) -> None:
    """Only what a step cannot be without is there: where to go, and of a pickup when and which."""
    known = {"link_url": "https://shop.example/sell", "slot_date": "3 Nov", "order_id": "O-1"}
    row = replace(_row(template_id), variables=json.dumps(known))

    filled, mail = CONTENT.whatsapp(row), CONTENT.email(row)

    assert all(filled.body)
    for text in (mail.text, mail.html, *filled.body):
        assert "{{" not in text
        assert "  ." not in text
        assert "₹" not in text


@pytest.mark.parametrize("template_id", _ids())
def test_every_message_has_a_link_that_leads_to_the_shop_and_names_the_message(
    template_id: str,
) -> None:
    row = _row(template_id)
    texts = {
        "whatsapp": " ".join(CONTENT.whatsapp(row).body),
        "email": CONTENT.email(row).text,
    }
    for channel, text in texts.items():
        found = _LINK.search(text)
        assert found is not None
        token = parse_token(SECRET, found[1])
        assert token.intent_key == row.intent_key
        target = urlsplit(token.target_url or "")
        assert target.netloc == "shop.example"
        assert dict(parse_qsl(target.query)) == {
            "utm_source": "crm",
            "utm_medium": channel,
            "utm_campaign": row.journey_key,
        }


def test_only_a_promotional_mail_offers_to_unsubscribe() -> None:
    offer, reminder = CONTENT.email(_row()), CONTENT.email(_row("pickup_0"))

    assert offer.unsubscribe_url in offer.html
    assert offer.unsubscribe_url in offer.text
    assert "nsubscribe" not in reminder.html + reminder.text


def test_what_people_call_themselves_is_no_html() -> None:
    mail = CONTENT.email(_row(first_name="<img src=x>", model="A&B"))

    assert "<img" not in mail.html
    assert "&lt;img src=x&gt;" in mail.html
    assert "A&amp;B" in mail.html
    assert "A&B" in mail.text
    assert mail.html.count("<html") == 1


def test_what_people_call_themselves_is_no_template() -> None:
    filled = CONTENT.whatsapp(_row(first_name="{{ city }}"))
    assert filled.body[0] == "{{ city }}"


@settings(max_examples=60)
@given(name=st.text(st.characters(codec="utf-8"), max_size=40))
def test_a_parameter_never_breaks_whatsapps_rules(name: str) -> None:
    for text in CONTENT.whatsapp(_row(first_name=name)).body:
        assert text.strip()
        assert not re.search(r"[\n\t\r]| {5,}", text)


@settings(max_examples=40)
@given(
    values=st.dictionaries(
        st.sampled_from(sorted(MESSAGE_VARIABLES - {name for name in VARIABLES if "url" in name})),
        st.text(max_size=30),
    )
)
def test_a_mail_subject_is_always_one_short_line(values: dict[str, str]) -> None:
    subject = CONTENT.email(_row(**values)).subject
    assert subject
    assert "\n" not in subject
    assert "\r" not in subject


def test_a_parameter_without_text_and_without_default_is_the_rows_fault() -> None:
    with pytest.raises(RenderError, match="give it a default"):
        CONTENT.whatsapp(_row("pickup_0", slot_date="  "))


def test_a_text_too_long_once_filled_is_the_rows_fault_and_is_not_repeated() -> None:
    with pytest.raises(RenderError, match="1024") as raised:
        CONTENT.whatsapp(_row(city="Pune" * 400))
    assert "Pune" not in str(raised.value)


def test_a_subject_too_long_is_the_rows_fault() -> None:
    with pytest.raises(RenderError, match="subject"):
        CONTENT.email(_row(model="x" * 300))


@pytest.mark.parametrize("url", ["shop.example/sell", "javascript:alert(1)", "https://[bad"])
def test_a_link_that_is_no_web_address_is_the_rows_fault(url: str) -> None:
    with pytest.raises(RenderError, match="http"):
        CONTENT.whatsapp(_row(resume_url=url))


def test_tags_that_are_there_stay_and_the_rest_of_the_address_too() -> None:
    url = tag_url(
        "https://shop.example/q?id=7&utm_source=mail&empty=#top", channel="email", journey_key="j"
    )
    assert url == (
        "https://shop.example/q?id=7&utm_source=mail&empty=&utm_medium=email&utm_campaign=j#top"
    )
