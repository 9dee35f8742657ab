"""A local server that answers like HubSpot's CRM v3, as far as reading and erasing contacts goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from orchestration.sources.crm.hubspot import CONTACT_PROPERTIES
from tests.sources.helpers import JsonHandler, serving

TOKEN = "pat-test-1234"
_COMPARE = {
    "EQ": lambda have, want: have == want,
    "GT": lambda have, want: have > want,
    "GTE": lambda have, want: have >= want,
}


def iso(milliseconds: int) -> str:
    """Return a moment as HubSpot shows it."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(slots=True)
class StandInContact:
    """A contact as the account holds it."""

    object_id: int
    modified_ms: int
    properties: dict[str, str | None]
    is_archived: bool = False

    def show(self, wanted: list[str]) -> dict[str, Any]:
        """Return it as an API result with the wanted properties that exist."""
        known = {
            **dict.fromkeys(CONTACT_PROPERTIES.values()),
            **self.properties,
            "hs_object_id": str(self.object_id),
            "lastmodifieddate": iso(self.modified_ms),
        }
        return {
            "id": str(self.object_id),
            "properties": {name: known[name] for name in wanted if name in known},
            "createdAt": iso(0),
            "updatedAt": iso(self.modified_ms),
            "archived": self.is_archived,
        }


@dataclass(slots=True)
class HubSpotStandIn:
    """A HubSpot account.

    Attributes:
        contacts: Its contacts, by id.
        search_limit: Most results of one search query over all its pages.
        list_page: Most results of one list page.
        answers: Statuses, bodies and headers to give instead, one a request, before all else.
        removed_properties: Properties the account does not have.
        requests: Method and path of every request.
        on_search: Called before each search.
    """

    contacts: dict[int, StandInContact] = field(default_factory=dict)
    search_limit: int = 10_000
    list_page: int = 100
    answers: list[tuple[int, Any, dict[str, str]]] = field(default_factory=list)
    removed_properties: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)
    on_search: Any = None
    url: str = ""

    def save(self, object_id: int, modified_ms: int, **properties: str | None) -> None:
        """Create or change a contact; properties are named as HubSpot's."""
        before = self.contacts.get(object_id)
        known = dict(before.properties) if before else {"createdate": iso(1_000)}
        self.contacts[object_id] = StandInContact(
            object_id=object_id, modified_ms=modified_ms, properties=known | properties
        )

    def respond(
        self, method: str, path: str, query: dict[str, list[str]], body: dict[str, Any]
    ) -> tuple[int, Any]:
        """Return status and body."""
        if path == "/crm/v3/objects/contacts" and method == "GET":
            return 200, self._list(query)
        if path == "/crm/v3/objects/contacts/search" and method == "POST":
            if self.on_search:
                self.on_search()
            return self._search(body)
        if path == "/crm/v3/objects/contacts/gdpr-delete" and method == "POST":
            return self._erase(body)
        return 404, {"category": "OBJECT_NOT_FOUND"}

    def _erase(self, body: dict[str, Any]) -> tuple[int, Any]:
        """Delete one contact for good: it is neither among the active nor the archived ones then."""
        if set(body) - {"objectId", "idProperty"} or not isinstance(body.get("objectId"), str):
            return 400, {"category": "VALIDATION_ERROR"}
        if self.contacts.pop(int(body["objectId"]), None) is None:
            return 404, {"category": "OBJECT_NOT_FOUND"}
        return 204, b""

    def _show(self, contact: StandInContact, wanted: list[str]) -> dict[str, Any]:
        return contact.show([name for name in wanted if name not in self.removed_properties])

    def _list(self, query: dict[str, list[str]]) -> dict[str, Any]:
        is_archived = query["archived"] == ["true"]
        limit = min(int(query["limit"][0]), self.list_page)
        after = int(query.get("after", ["0"])[0])
        wanted = query["properties"][0].split(",")
        found = [
            contact
            for object_id, contact in sorted(self.contacts.items())
            if contact.is_archived == is_archived and object_id > after
        ]
        body: dict[str, Any] = {"results": [self._show(each, wanted) for each in found[:limit]]}
        if len(found) > limit:
            body["paging"] = {"next": {"after": str(found[limit - 1].object_id)}}
        return body

    def _search(self, body: dict[str, Any]) -> tuple[int, Any]:
        offset = int(body.get("after", 0))
        limit = body["limit"]
        if limit > 200 or offset + limit > self.search_limit:
            return 400, {"category": "VALIDATION_ERROR"}
        found = [
            contact
            for contact in self.contacts.values()
            if not contact.is_archived
            and any(
                all(self._fits(contact, each) for each in group["filters"])
                for group in body["filterGroups"]
            )
        ]
        (sort,) = body["sorts"]
        assert sort["direction"] == "ASCENDING"
        # Among equals HubSpot promises no order; the reverse of the ids is the unkindest.
        found.sort(key=lambda each: -each.object_id)
        found.sort(key=lambda each: self._number(each, sort["propertyName"]))
        page = found[offset : offset + limit]
        answer: dict[str, Any] = {
            "total": len(found),
            "results": [self._show(each, body["properties"]) for each in page],
        }
        if offset + limit < len(found):
            answer["paging"] = {"next": {"after": str(offset + limit)}}
        return 200, answer

    @staticmethod
    def _number(contact: StandInContact, name: str) -> int:
        return {"lastmodifieddate": contact.modified_ms, "hs_object_id": contact.object_id}[name]

    def _fits(self, contact: StandInContact, filter_: dict[str, str]) -> bool:
        have = self._number(contact, filter_["propertyName"])
        return _COMPARE[filter_["operator"]](have, int(filter_["value"]))


@contextmanager
def running_hubspot() -> Iterator[HubSpotStandIn]:
    """Serve an empty account on the loopback."""
    stand_in = HubSpotStandIn()

    class Handler(JsonHandler, BaseHTTPRequestHandler):
        def _serve(self, method: str, body: dict[str, Any]) -> None:
            parts = urlsplit(self.path)
            stand_in.requests.append(f"{method} {parts.path}")
            if stand_in.answers:
                status, content, headers = stand_in.answers.pop(0)
                self.answer(status, content, headers)
            elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self.answer(401, {"status": "error", "category": "EXPIRED_AUTHENTICATION"})
            else:
                self.answer(*stand_in.respond(method, parts.path, parse_qs(parts.query), body))

        def do_GET(self) -> None:
            self._serve("GET", {})

        def do_POST(self) -> None:
            self._serve("POST", self.read_json())

    with serving(Handler) as url:
        stand_in.url = url
        yield stand_in
