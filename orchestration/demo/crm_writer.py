"""The CRM's export folder: the contacts, exported anew every night.

Belongs here: rendering of contacts with their mess. Does not belong here: what the former tool
left in the same folder (``old_export.py``).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.demo import catalogue as cat
from orchestration.demo.files import save_table
from orchestration.demo.mess import Mess
from orchestration.demo.people import People
from orchestration.demo.rng import Ints
from orchestration.demo.state import State

_TEXT = pa.string()
CONTACTS = pa.schema(
    [(name, _TEXT) for name in (
        "contact_id", "external_id", "first_name", "phone", "email", "whatsapp_consent",
        "sms_consent", "email_consent", "push_consent", "source", "created_at")]
    + [("purged", pa.bool_())]
)  # fmt: skip
SOURCES = ("lead_form", "admin_sync", "import")
#: The contacts are exported every night at two o'clock, IST.
_EXPORT_HOUR = 2 * cat.HOUR


def last_export(now: int) -> int:
    """The latest nightly export at an instant, epoch microseconds."""
    shifted = now + cat.IST - _EXPORT_HOUR
    return shifted // cat.DAY * cat.DAY - cat.IST + _EXPORT_HOUR


def iso_text(instants: Ints) -> pa.Array:
    """ISO text with Z, to the second."""
    stamps = pa.array(instants // cat.SECOND, pa.int64()).cast(pa.timestamp("s"))
    return pc.strftime(stamps, format="%Y-%m-%dT%H:%M:%SZ")  # pyright: ignore[reportAttributeAccessIssue]


class CrmWriter:
    """Writes one world's CRM export folder."""

    __slots__ = ("folder", "mess", "people", "state")

    def __init__(self, folder: Path, state: State, people: People, mess: Mess) -> None:
        self.folder = folder
        self.state = state
        self.people = people
        self.mess = mess

    def write_contacts(self) -> int:
        """Export the contacts as of the last night; returns the rows."""
        state, people, draws = self.state, self.people, self.people.draws
        night = last_export(state.now)
        rows = state["contacts"].take(np.flatnonzero(state["contacts"]["created"] <= night))
        rows = rows.take(np.lexsort((rows["key"], rows["created"])))
        size = len(rows)
        person, slot, key = rows["person"], rows["slot"].astype(np.int64), rows["key"]
        address = np.maximum(slot - 1, 0)
        persons = state["persons"]
        deleted = persons["deleted"][person]
        purged = (deleted > 0) & (deleted <= night) & draws.chance(0.55, "contact/purged", person)
        imported = rows["source"] == SOURCES.index("import")
        form = rows["source"] == SOURCES.index("lead_form")
        phones = self.mess.phones(
            np.where(imported, -1, people.phone(person, address)), key, "contacts"
        )
        emails = self.mess.emails(person, address, key)
        withheld = (form & ~draws.chance(0.28, "contact/mail", key)) | purged
        firsts = people.first_index(person)
        names: list[str | None] = [cat.FIRST_NAMES[place][0] for place in firsts.tolist()]
        for place in np.flatnonzero(withheld).tolist():
            emails[place] = None
        for place in np.flatnonzero(purged).tolist():
            names[place], phones[place] = None, None
        merged = (rows["merged"] > 0) & (rows["merged"] <= night)
        users = np.where(slot == 2, persons["account2"][person], persons["account1"][person])
        linked = merged & (users > 0)
        prefixed = rows["prefixed"]
        external = [
            (f"CK-{user}" if prefix else str(user)) if link else None
            for link, prefix, user in zip(
                linked.tolist(), prefixed.tolist(), users.tolist(), strict=True
            )
        ]
        flags = people.consent(person)
        consents = []
        for channel in range(len(cat.CHANNELS)):
            stop = persons[f"stop{channel}"][person]
            noticed = (stop > 0) & (stop <= night)
            noticed &= draws.chance(0.35, "contact/noticed", person, channel)
            flag = np.where(noticed, 0, flags[:, channel])
            consents.append([("opt_out", "opt_in", None)[value] for value in flag.tolist()])
        table = pa.table(
            [
                pa.array(contact_ids(people, key), _TEXT),
                pa.array(external, _TEXT),
                pa.array(names, _TEXT),
                pa.array(phones, _TEXT),
                pa.array(emails, _TEXT),
                *(pa.array(column, _TEXT) for column in consents),
                pa.array([SOURCES[place] for place in rows["source"].tolist()], _TEXT),
                iso_text(rows["created"]).cast(_TEXT),
                pa.array(purged),
            ],
            schema=CONTACTS,
        )
        save_table(self.folder / "contacts.parquet", table)
        return size

    def import_list(self) -> None:
        """A bought-in list with e-mail addresses only, loaded once."""
        state, people = self.state, self.people
        person = np.arange(len(state["persons"]))
        chosen = person[
            people.draws.chance(0.008, "contact/import", person) & people.has_email(person, 0)
        ]
        day = int(state.meta["old_tool_from"]) // cat.DAY * cat.DAY + 5 * cat.DAY
        state["contacts"].append(
            len(chosen), key=chosen * 4, person=chosen, source=SOURCES.index("import"),
            created=day - cat.IST,
        )  # fmt: skip


def contact_bits(people: People, key: Ints) -> Ints:
    """The number in a contact's id."""
    return (people.draws.bits("contact/id", key) >> np.uint64(16)).view(np.int64)


def contact_ids(people: People, key: Ints) -> list[str]:
    """The CRM's ids of contacts."""
    return [f"c_{bits:012x}" for bits in contact_bits(people, key).tolist()]
