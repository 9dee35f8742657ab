"""Meta custom audiences: `POST` and `DELETE /v25.0/{audience_id}/users`.

Adds are set operations: repeating is harmless. A row that carries no usable identifier is counted
as invalid and sampled, the others of its call go in: that is how one bad row stays one bad row.
Not emulated: matching to accounts, `usersreplace`, creating and reading audiences.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

from activations.sandbox.state import Answer, MemberPairs, SandboxState

MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_ROWS = 10_000
MAX_SAMPLES = 10

# Field -> whether its value must be a SHA-256 in lower-case hex.
_FIELDS: Mapping[str, bool] = {
    **dict.fromkeys(("EMAIL", "PHONE", "GEN", "DOBY", "DOBM", "DOBD", "LN", "FN", "FI"), True),
    **dict.fromkeys(("CT", "ST", "ZIP", "COUNTRY"), True),
    **dict.fromkeys(("EMAIL_SHA256", "PHONE_SHA256"), True),
    **dict.fromkeys(("MADID", "EXTERN_ID", "PAGEUID", "LOOKALIKE_VALUE"), False),
}
# A name or a city alone finds nobody.
_IDENTIFIERS = frozenset(
    ("EMAIL", "PHONE", "EMAIL_SHA256", "PHONE_SHA256", "MADID", "EXTERN_ID", "PAGEUID")
)
_SHA256 = re.compile(r"[0-9a-f]{64}")

_CODES: Mapping[int, tuple[int, str]] = {
    1: (500, "An unknown error occurred"),
    2: (503, "Service temporarily unavailable"),
    4: (400, "Application request limit reached"),
    17: (400, "User request limit reached"),
    80003: (400, "There have been too many calls to this ad-account"),
    100: (400, "Invalid parameter"),
    190: (401, "Invalid OAuth access token"),
    200: (403, "Permissions error"),
    2650: (400, "The audience is being updated"),
}


def refusal(state: SandboxState, code: int, message: str, *, subcode: int | None = None) -> Answer:
    """The Graph API's error answer."""
    status, title = _CODES.get(code, (400, "Error"))
    error: dict[str, Any] = {
        "message": f"(#{code}) {title}: {message}" if message else f"(#{code}) {title}",
        "type": "OAuthException",
        "code": code,
        "fbtrace_id": base64.urlsafe_b64encode(state.new_id("trace")).decode(),
    }
    if subcode is not None:
        error["error_subcode"] = subcode
    return Answer(
        status=status, body=json.dumps({"error": error}).encode(), outcome=f"error_{code}"
    )


def parse_request(body: bytes, content_type: str, query: str) -> tuple[dict[str, Any], str]:
    """The parameters of a request, from JSON or form body and query, and the token among them.

    `payload` and `session` may be JSON text, as form fields must be. Unreadable JSON leaves the
    parameter as text, which validation then refuses.
    """
    values: dict[str, Any] = {name: given[-1] for name, given in parse_qs(query).items()}
    if body and "json" in content_type:
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = None
        values |= document if isinstance(document, dict) else {"payload": None}
    elif body:
        form = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
        values |= {name: given[-1] for name, given in form.items()}
    for name in ("payload", "session"):
        if isinstance(values.get(name), str):
            try:
                values[name] = json.loads(values[name])
            except (ValueError, RecursionError):
                values[name] = None
    return values, str(values.pop("access_token", ""))


def parties(values: Mapping[str, Any], audience_id: str) -> tuple[str, str]:
    """The audience, as address, and session and batch, as reference, for faults to match on."""
    session = values.get("session")
    if not isinstance(session, Mapping):
        return audience_id, ""
    return audience_id, f"{session.get('session_id', '')}:{session.get('batch_seq', '')}"


def apply_users(
    state: SandboxState, *, audience_id: str, values: Mapping[str, Any], is_removal: bool
) -> Answer:
    """Add or remove people of an audience."""
    known = state.config.meta_audience_ids
    if known is not None and audience_id not in known:
        return refusal(state, 100, "Object with this ID does not exist", subcode=33)
    payload = values.get("payload")
    if not isinstance(payload, Mapping):
        return refusal(state, 100, "payload must be an object with schema and data")
    schema = payload.get("schema")
    names = [schema] if isinstance(schema, str) else schema
    if not isinstance(names, list) or not names:
        return refusal(state, 100, "schema is required")
    unknown = [str(name)[:40] for name in names if name not in _FIELDS]
    if unknown:
        return refusal(state, 100, f"schema has unknown fields {', '.join(unknown)}")
    data = payload.get("data")
    if not isinstance(data, list) or not data:
        return refusal(state, 100, "data must be a non-empty array")
    if len(data) > MAX_ROWS:
        return refusal(state, 100, f"at most {MAX_ROWS} rows a call, got {len(data)}")
    session = values.get("session")
    session_id = ""
    if session is not None:
        problem = _session_problem(session)
        if problem:
            return refusal(state, 100, problem)
        session_id = str(session["session_id"])
    members: list[MemberPairs] = []
    invalid = 0
    samples: dict[str, str] = {}
    for number, row in enumerate(data):
        pairs, problem = _member(names, row)
        if problem:
            invalid += 1
            if len(samples) < MAX_SAMPLES:
                samples[str(number)] = problem
        else:
            members.append(pairs)
    audience = state.audience(audience_id)
    changed = (
        state.remove_members(audience, members)
        if is_removal
        else state.add_members(audience, members)
    )
    with state.lock:
        kind = "removed" if is_removal else "added"
        audience.requests["deletes" if is_removal else "posts"] += 1
        audience.requests["rows"] += len(data)
        audience.requests["invalid"] += invalid
        audience.requests[kind] += changed
        if session_id and isinstance(session, Mapping):
            audience.note_session(session_id, int(session["batch_seq"]))
    answer = {
        "audience_id": audience_id,
        "session_id": session_id or str(int.from_bytes(state.new_id("session")[:7], "big")),
        "num_received": len(data),
        "num_invalid_entries": invalid,
        "invalid_entry_samples": samples,
    }
    return Answer(status=200, body=json.dumps(answer).encode())


def _session_problem(session: Any) -> str:
    if not isinstance(session, Mapping):
        return "session must be an object"
    numbers = {}
    for name in ("session_id", "batch_seq"):
        value = session.get(name)
        text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
        if not text.isdigit():
            return f"session.{name} must be a positive whole number"
        numbers[name] = int(text)
    if numbers["session_id"] >= 2**64:
        return "session.session_id must fit 64 bits"
    if numbers["batch_seq"] < 1:
        return "session.batch_seq starts at 1"
    return ""


def _member(names: Sequence[str], row: Any) -> tuple[MemberPairs, str]:
    cells = [row] if isinstance(row, str) and len(names) == 1 else row
    if not isinstance(cells, list) or len(cells) != len(names):
        return frozenset(), f"expected {len(names)} values"
    pairs: set[tuple[str, str]] = set()
    has_identifier = False
    for name, cell in zip(names, cells, strict=True):
        if cell == "" or cell is None:
            continue
        if not isinstance(cell, str):
            return frozenset(), f"{name} is not text"
        if _FIELDS[name] and not _SHA256.fullmatch(cell):
            return frozenset(), f"{name} is not a SHA-256 in lower-case hexadecimal"
        pairs.add((name.removesuffix("_SHA256"), cell))
        has_identifier = has_identifier or name in _IDENTIFIERS
    if not has_identifier:
        return frozenset(), "no identifier"
    return frozenset(pairs), ""
