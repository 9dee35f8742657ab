"""Google's default channel group: our macro on cases of our own and on the published ones."""

from __future__ import annotations

import csv
from pathlib import Path

import duckdb
import jinja2
import pytest

PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"
MACRO = (PROJECT / "macros" / "channel_group.sql").read_text("utf-8")
QUERY = (
    "{{ channel_group('visit.source', 'visit.medium', 'visit.campaign', "
    "'coalesce(exact.category, labels.category)') }}"
)
LABEL = "{{ source_label('visit.source') }}"

Visit = tuple[str | None, str | None, str | None]


def group_of(visits: list[Visit]) -> list[str]:
    """The group of each visit, by the macro and the seed as the model joins them."""
    render = jinja2.Environment(autoescape=False).from_string
    with duckdb.connect() as connection:
        connection.execute(
            "create table visits (n integer, source text, medium text, campaign text)"
        )
        connection.executemany(
            "insert into visits values (?, ?, ?, ?)",
            [(n, *(part or None for part in visit)) for n, visit in enumerate(visits)],
        )
        rows = connection.execute(
            f"""
            with categories as (from read_csv('{PROJECT}/seeds/source_categories.csv', header = true))
            select {render(MACRO + QUERY).render()}
            from visits as visit
            left join categories as exact on lower(visit.source) = exact.source
            left join categories as labels on {render(MACRO + LABEL).render()} = labels.source
            order by visit.n
            """
        ).fetchall()
    return [row[0] for row in rows]


@pytest.mark.parametrize(
    ("visit", "group"),
    [
        ((None, None, None), "Direct"),
        (("(direct)", "(none)", None), "Direct"),
        (("google", "organic", None), "Organic Search"),
        (("www.google.co.in", "referral", None), "Organic Search"),
        (("google", "cpc", "brand"), "Paid Search"),
        (("google", "cpc", "diwali-shopping"), "Paid Shopping"),
        (("m.facebook.com", "referral", None), "Organic Social"),
        (("l.instagram.com", "referral", None), "Organic Social"),
        (("facebook", "paid_social", None), "Paid Social"),
        (("youtube.com", "video", None), "Organic Video"),
        (("flipkart.com", "referral", None), "Organic Shopping"),
        (("newsletter", "e-mail", None), "Email"),
        (("crm", "sms", "winback_inactive"), "SMS"),
        (("crm", "push", "winback_inactive"), "Mobile Push Notifications"),
        (("partner", "affiliate", None), "Affiliates"),
        (("blog.example", "referral", None), "Referral"),
        (("adnetwork", "banner", None), "Display"),
        (("adnetwork", "cpa", None), "Paid Other"),
        (("bishop", "(not set)", "workshopping"), "Organic Shopping"),
        (("crm", "whatsapp", "winback_inactive"), "Unassigned"),
        (("google", None, "cross-network"), "Cross-network"),
    ],
)
def test_a_visit_is_in_googles_group(visit: Visit, group: str) -> None:
    assert group_of([visit]) == [group]


def test_the_published_cases_are_grouped_by_the_rule(shared_data: Path) -> None:
    with (shared_data / "dbt_ga4_expected/channel_grouping_cases.csv").open(newline="") as file:
        cases = list(csv.DictReader(file))
    found = group_of([(case["source"], case["medium"], case["campaign"]) for case in cases])
    wrong = [
        (case["source"], case["medium"], case["campaign"], case["expected_by_rule"], group)
        for case, group in zip(cases, found, strict=True)
        if group != case["expected_by_rule"]
    ]
    assert wrong == []
    assert len(cases) > 25
