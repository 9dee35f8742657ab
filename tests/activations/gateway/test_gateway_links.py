"""Unsubscribe and redirect links, as people, mail providers and scanners use them."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
import requests

from activations.errors import LedgerUnavailableError
from activations.ledger.schema import consent_statements, inbound_events
from activations.links import make_link, make_unsubscribe
from activations.rows import ConsentStatement
from tests.activations.gateway.world import EMAIL, LINK_SECRET, NOW, World

TARGET = "https://shop.example/sell?utm_source=crm&utm_medium=email&q=₹"
BROWSER = {"User-Agent": "Mozilla/5.0 (Linux; Android 14)"}


@pytest.fixture
def unsubscribe_url(world: World) -> str:
    world.hand_over("m1", channel="email", address=EMAIL)
    return make_unsubscribe(LINK_SECRET, world.url, "m1")


@pytest.fixture
def link_url(world: World) -> str:
    world.hand_over("m1", channel="email", address=EMAIL)
    return make_link(LINK_SECRET, world.url, "m1", TARGET)


def one_click(world: World, url: str) -> requests.Response:
    body = {"List-Unsubscribe": "One-Click"}
    return world.http.post(url, data=body, timeout=10, allow_redirects=False)


def test_one_click_opts_out_without_login_or_redirect(world: World, unsubscribe_url: str) -> None:
    answer = one_click(world, unsubscribe_url)

    assert (answer.status_code, answer.history) == (200, [])
    [row] = world.rows(consent_statements)
    assert (row["address"], row["channel"], row["purpose"]) == (EMAIL, "email", "promotional")
    assert (row["status"], row["source"]) == ("opt_out", "one_click_unsubscribe")
    assert (row["stated_at"], row["received_at"]) == (NOW, NOW)
    [event] = world.rows(inbound_events)
    assert (event["event"], event["intent_key"]) == ("opt_out", "m1")


def test_one_click_twice_is_one_statement(world: World, unsubscribe_url: str) -> None:
    first = one_click(world, unsubscribe_url)
    world.clock.advance_to(NOW + timedelta(seconds=3))
    second = one_click(world, unsubscribe_url)

    assert (first.status_code, second.status_code) == (200, 200)
    assert len(world.rows(consent_statements)) == 1
    assert len(world.rows(inbound_events)) == 1


def test_an_old_link_still_opts_out_after_an_opt_in(world: World, unsubscribe_url: str) -> None:
    one_click(world, unsubscribe_url)
    opt_in = ConsentStatement(
        address=EMAIL,
        channel="email",
        purpose="promotional",
        status="opt_in",
        source="preference_centre",
        stated_at=NOW + timedelta(seconds=2),
        received_at=NOW,
    )
    world.ledger.record_statements([opt_in])
    world.clock.advance_to(NOW + timedelta(seconds=4))

    one_click(world, unsubscribe_url)

    rows = sorted(world.rows(consent_statements), key=lambda row: row["stated_at"])
    assert [row["status"] for row in rows] == ["opt_out", "opt_in", "opt_out"]


def test_one_click_works_with_a_multipart_body_and_with_none(
    world: World, unsubscribe_url: str
) -> None:
    files = {"List-Unsubscribe": (None, "One-Click")}

    assert world.http.post(unsubscribe_url, files=files, timeout=10).status_code == 200
    assert world.http.post(unsubscribe_url, timeout=10).status_code == 200


def test_opening_the_page_changes_nothing(world: World, unsubscribe_url: str) -> None:
    for method in ("GET", "HEAD"):
        answer = world.http.request(method, unsubscribe_url, timeout=10)
        assert answer.status_code == 200

    assert world.rows(consent_statements) == []
    assert world.rows(inbound_events) == []


def test_the_page_is_readable_safe_and_does_not_show_the_address(
    world: World, unsubscribe_url: str
) -> None:
    answer = world.http.get(unsubscribe_url, timeout=10)
    done = one_click(world, unsubscribe_url)

    for page in (answer, done):
        assert '<html lang="en">' in page.text
        assert 'name="viewport"' in page.text
        assert "Re &amp; Co" in page.text
        assert "a•••@mail.example" in page.text
        assert EMAIL not in page.text
        assert "<script" not in page.text
        assert page.headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert '<form method="post">' in answer.text
    assert "<button" in answer.text
    assert 'role="status"' in done.text


def test_a_link_redirects_to_its_target_and_counts_a_click(world: World, link_url: str) -> None:
    world.clock.advance_to(NOW + timedelta(minutes=1))
    answers = [
        world.http.get(link_url, headers=BROWSER, timeout=10, allow_redirects=False)
        for _ in range(2)
    ]

    for answer in answers:
        assert answer.status_code == 302
        assert answer.headers["Location"] == TARGET.replace("₹", "%E2%82%B9")
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    clicks = world.rows(inbound_events)
    assert len(clicks) == 2
    assert {row["event"] for row in clicks} == {"click"}
    assert {(row["intent_key"], row["channel"], row["address"]) for row in clicks} == {
        ("m1", "email", EMAIL)
    }
    assert {row["occurred_at"] for row in clicks} == {NOW + timedelta(minutes=1)}
    assert {row["is_machine"] for row in clicks} == {False}


def test_a_click_settles_an_unknown_hand_over(world: World, link_url: str) -> None:
    assert world.state("m1") == "unknown"
    world.http.get(link_url, timeout=10, allow_redirects=False)

    assert world.state("m1") == "accepted"


@pytest.mark.parametrize(
    "headers",
    [{"Purpose": "prefetch"}, {"Sec-Purpose": "prefetch;prerender"}, {"X-Purpose": "preview"}],
)
def test_a_prefetch_is_redirected_and_not_counted(
    world: World, link_url: str, headers: dict[str, str]
) -> None:
    answer = world.http.get(link_url, headers=headers, timeout=10, allow_redirects=False)

    assert answer.status_code == 302
    assert world.rows(inbound_events) == []


def test_a_head_request_is_not_a_click(world: World, link_url: str) -> None:
    assert world.http.head(link_url, timeout=10).status_code == 302
    assert world.rows(inbound_events) == []


@pytest.mark.parametrize(
    ("agent", "is_machine"),
    [
        ("facebookexternalhit/1.1", True),
        ("WhatsApp/2.23.20.0", True),
        ("Mozilla/5.0 (compatible; Googlebot/2.1)", True),
        ("Mozilla/5.0 (iPhone)", False),
        ("curl/8", None),
    ],
)
def test_a_click_says_whether_a_machine_made_it(
    world: World, link_url: str, agent: str, is_machine: bool | None
) -> None:
    headers = {"User-Agent": agent}
    world.http.get(link_url, headers=headers, timeout=10, allow_redirects=False)

    assert [row["is_machine"] for row in world.rows(inbound_events)] == [is_machine]


def test_simulated_time_is_believed_where_it_was_switched_on(world: World, link_url: str) -> None:
    at = NOW - timedelta(minutes=40)
    headers = {"X-Sandbox-Now": at.isoformat()}
    world.http.get(link_url, headers=headers, timeout=10, allow_redirects=False)

    [row] = world.rows(inbound_events)
    assert (row["occurred_at"], row["received_at"]) == (at, NOW)


def test_a_forged_or_unknown_token_is_a_page_without_detail(world: World) -> None:
    world.hand_over("m1", channel="email", address=EMAIL)
    link = make_link(LINK_SECRET, world.url, "m1", TARGET)
    paths = [
        "/r/" + make_link("other", world.url, "m1", "https://evil.example/").rsplit("/", 1)[1],
        "/r/" + link.rsplit("/", 1)[1][:-2],
        "/r/" + make_unsubscribe(LINK_SECRET, world.url, "m1").rsplit("/", 1)[1],
        "/r/https://evil.example/",
        "/r/%2F%2Fevil.example",
        "/r/é",
        "/r/" + "a" * 5000,
        "/u/" + make_unsubscribe("other", world.url, "m1").rsplit("/", 1)[1],
        "/u/" + make_unsubscribe(LINK_SECRET, world.url, "nobody").rsplit("/", 1)[1],
        "/u/" + link.rsplit("/", 1)[1],
        "/nothing",
    ]

    pages = set()
    for path in paths:
        for method in ("GET", "POST") if path.startswith("/u/") else ("GET",):
            answer = world.http.request(method, world.url + path, timeout=10, allow_redirects=False)
            assert (path[:40], answer.status_code) == (path[:40], 404)
            assert "Location" not in answer.headers
            pages.add(answer.text)

    assert len(pages) == 1
    assert "This link does not work" in pages.pop()
    assert world.rows(consent_statements) == []
    assert world.rows(inbound_events) == []


def test_a_slash_after_a_token_meets_no_redirect(world: World, unsubscribe_url: str) -> None:
    answer = one_click(world, unsubscribe_url + "/")

    assert answer.status_code == 404


def test_a_ledger_that_is_away_still_redirects_and_does_not_claim_an_opt_out(
    world: World, unsubscribe_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise LedgerUnavailableError("away")

    monkeypatch.setattr(world.ledger, "intent", away)
    link = make_link(LINK_SECRET, world.url, "m1", TARGET)

    assert world.http.get(link, timeout=10, allow_redirects=False).status_code == 302
    answer = one_click(world, unsubscribe_url)
    assert answer.status_code == 503
    assert "Nothing was changed" in answer.text


def test_nothing_logged_names_a_person(
    world: World, unsubscribe_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    one_click(world, unsubscribe_url)
    world.http.get(make_link(LINK_SECRET, world.url, "m1", TARGET), allow_redirects=False)
    own = [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith(("activations", "uvicorn", "starlette"))
    ]

    token = unsubscribe_url.rsplit("/", 1)[1]
    assert not any(EMAIL in line or token in line for line in own)
