"""The audience emulator: set operations, counted invalid rows, real limits."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
import requests

from activations.sandbox.client import SandboxClient, SandboxClientError
from activations.sandbox.config import DEFAULT_META_TOKEN
from activations.sandbox.server import RunningSandbox

AUTH = {"Authorization": f"Bearer {DEFAULT_META_TOKEN}"}


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def call(
    http: requests.Session,
    sandbox: RunningSandbox,
    data: Any,
    *,
    method: str = "POST",
    schema: Any = ("EMAIL", "PHONE"),
    audience: str = "777",
    session: Any = None,
) -> requests.Response:
    body: dict[str, Any] = {"payload": {"schema": schema, "data": data}}
    if session is not None:
        body["session"] = session
    url = f"{sandbox.base_url}/v25.0/{audience}/users"
    return http.request(method, url, json=body, headers=AUTH, timeout=30)


def test_adds_are_set_operations_and_a_bad_row_stays_one_bad_row(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    rows = [[sha("a"), sha("1")], [sha("b"), ""], ["not-a-hash", sha("3")], ["", ""]]

    first = call(http, sandbox, rows, session={"session_id": 5, "batch_seq": 1})
    second = call(http, sandbox, rows)

    answer = first.json()
    assert first.status_code == 200
    assert answer["audience_id"] == "777"
    assert answer["session_id"] == "5"
    assert answer["num_received"] == 4
    assert answer["num_invalid_entries"] == 2
    assert answer["invalid_entry_samples"] == {
        "2": "EMAIL is not a SHA-256 in lower-case hexadecimal",
        "3": "no identifier",
    }
    assert second.json()["num_received"] == 4
    view = control.fetch_audience("777")
    assert view.size == 2
    assert {"EMAIL": sha("a"), "PHONE": sha("1")} in view.members
    assert view.requests == {"posts": 2, "rows": 8, "invalid": 4, "added": 2}
    assert view.sessions == ({"session_id": "5", "batch_seq": 1, "times": 1},)


def test_a_removal_takes_out_what_carries_its_identifiers_and_repeats_harmlessly(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    call(http, sandbox, [[sha("a"), sha("1")], [sha("b"), sha("1")]])

    for _ in range(2):
        answer = call(http, sandbox, [[sha("a"), sha("1")]], method="DELETE")
        assert answer.json()["num_received"] == 1

    view = control.fetch_audience("777")
    assert view.members == ({"EMAIL": sha("b"), "PHONE": sha("1")},)
    call(http, sandbox, [sha("b")], method="DELETE", schema="EMAIL_SHA256")
    assert control.fetch_audience("777").size == 0


def test_parameters_may_come_as_a_form(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    form = {
        "payload": json.dumps({"schema": ["EMAIL"], "data": [[sha("a")]]}),
        "access_token": DEFAULT_META_TOKEN,
    }

    answer = http.post(f"{sandbox.base_url}/v25.0/777/users", data=form, timeout=10)

    assert answer.json()["num_received"] == 1
    assert control.fetch_audience("777").size == 1


REFUSED: dict[str, dict[str, Any]] = {
    "10,001 rows": {"data": [[sha("a"), ""]] * 10_001},
    "no rows": {"data": []},
    "unknown field": {"data": [[sha("a")]], "schema": ["SHOE_SIZE"]},
    "no schema": {"data": [[sha("a")]], "schema": []},
    "unknown audience": {"data": [[sha("a"), ""]], "audience": "1"},
    "batch 0": {"data": [[sha("a"), ""]], "session": {"session_id": 1, "batch_seq": 0}},
    "session over 64 bits": {
        "data": [[sha("a"), ""]],
        "session": {"session_id": 2**64, "batch_seq": 1},
    },
}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.replace(" ", "_"))
def test_a_bad_call_is_error_100_as_a_whole(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session, case: str
) -> None:
    answer = call(http, sandbox, **REFUSED[case])

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 100)
    with pytest.raises(SandboxClientError, match="no such audience"):
        control.fetch_audience("777")


def test_ten_thousand_rows_are_taken(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    rows = [[sha(str(n)), ""] for n in range(10_000)]

    assert call(http, sandbox, rows).json()["num_received"] == 10_000
    assert control.fetch_audience("777").size == 10_000


def test_a_wrong_token_is_190(
    sandbox: RunningSandbox, control: SandboxClient, http: requests.Session
) -> None:
    url = f"{sandbox.base_url}/v25.0/777/users"
    answer = http.post(url, json={}, headers={"Authorization": "Bearer no"}, timeout=10)

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, 190)
