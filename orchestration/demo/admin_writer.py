"""The admin panel's database: rows in its shapes, written once each, in one transaction.

Belongs here: DDL, rendering of owed rows to the panel's text, applying them. Does not belong
here: deciding what is owed (``settle.py``) and the rates of misspelling (``mess.py``).

``PRAGMA user_version`` holds the generation applied last, in the same transaction as the rows, so
applying the same generation again does nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.demo import catalogue as cat
from orchestration.demo.frames import Frame
from orchestration.demo.mess import Mess
from orchestration.demo.people import People
from orchestration.demo.rng import Ints
from orchestration.demo.state import State

#: Columns and types as the source description lists them.
TABLES: dict[str, str] = {
    "users": "user_id INTEGER PRIMARY KEY, name TEXT, phone TEXT, email TEXT, city TEXT, "
    "created_at TEXT, updated_at TEXT, is_test INTEGER, whatsapp_opt_in INTEGER, "
    "sms_opt_in INTEGER, email_opt_in INTEGER, push_opt_in INTEGER, deleted_at TEXT",
    "consents": "user_id INTEGER, channel TEXT, status TEXT, source TEXT, changed_at TEXT",
    "quotes": "quote_id INTEGER PRIMARY KEY, user_id INTEGER, ga_client_id TEXT, phone TEXT, "
    "model_id INTEGER, category TEXT, brand TEXT, model TEXT, quoted_price INTEGER, city TEXT, "
    "platform TEXT, created_at TEXT",
    "orders": "order_id TEXT PRIMARY KEY, user_id INTEGER, quote_id INTEGER, contact_phone TEXT, "
    "model_id INTEGER, category TEXT, brand TEXT, quoted_price INTEGER, final_price INTEGER, "
    "status TEXT, cancel_reason TEXT, city TEXT, source TEXT, created_at TEXT, updated_at TEXT, "
    "completed_at TEXT",
    "order_status_history": "id INTEGER PRIMARY KEY, order_id TEXT, status TEXT, "
    "changed_at TEXT, changed_by TEXT",
    "pickups": "pickup_id INTEGER PRIMARY KEY, order_id TEXT, attempt_no INTEGER, city TEXT, "
    "slot_start TEXT, slot_end TEXT, status TEXT, failure_reason TEXT, created_at TEXT, "
    "updated_at TEXT",
    "documents": "order_id TEXT, doc_type TEXT, uploaded_at TEXT",
    "payouts": "payout_id INTEGER PRIMARY KEY, order_id TEXT, amount INTEGER, kind TEXT, "
    "mode TEXT, paid_at TEXT",
    "feedback": "order_id TEXT, rating INTEGER, created_at TEXT",
}
OPTIONAL_TABLES: dict[str, str] = {
    "push_tokens": "user_id INTEGER, token TEXT, platform TEXT, updated_at TEXT",
    "products": "sku TEXT PRIMARY KEY, category TEXT, brand TEXT, title TEXT, price INTEGER, "
    "stock INTEGER",
}
_CHUNK = 200_000
_SYSTEM = {cat.Status.PLACED, cat.Status.CONFIRMED, cat.Status.PICKUP_SCHEDULED}
_CITY_NAMES = [name for name, _, _ in cat.CITIES]

Column = Sequence[Any]


def ist_text(instants: Ints) -> list[str | None]:
    """IST wall time without a zone, to the second; 0 becomes NULL."""
    seconds = pa.array((instants + cat.IST) // cat.SECOND, mask=instants == 0)
    texts: list[str | None] = pc.strftime(  # pyright: ignore[reportAttributeAccessIssue]
        seconds.cast(pa.timestamp("s")), format="%Y-%m-%d %H:%M:%S"
    ).to_pylist()
    return texts


def order_ids(numbers: Ints) -> list[str]:
    """Order ids as the panel shows them."""
    return [f"CK{number}" for number in numbers.tolist()]


def _pick(names: Sequence[Any], index: Ints) -> list[Any]:
    return [names[place] for place in index.tolist()]


def _null_if(values: Ints, empty: int) -> list[int | None]:
    return [None if value == empty else value for value in values.tolist()]


class AdminWriter:
    """Writes one world's admin database."""

    __slots__ = ("mess", "path", "people", "state")

    def __init__(self, path: Path, state: State, people: People, mess: Mess) -> None:
        self.path = path
        self.state = state
        self.people = people
        self.mess = mess

    def create(self) -> None:
        """Make the empty tables of this installation."""
        optional = self.state.meta["optional"]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.path)) as connection, connection:
            for name, columns in TABLES.items():
                connection.execute(f"CREATE TABLE {name} ({columns})")
            for name, columns in OPTIONAL_TABLES.items():
                if optional[name]:
                    connection.execute(f"CREATE TABLE {name} ({columns})")
            if optional["products"]:
                connection.executemany(
                    "INSERT INTO products VALUES (?, ?, ?, ?, ?, ?)", self._products()
                )

    def apply(self, generation: int) -> int:
        """Write the owed rows, unless this generation was written before; returns the rows."""
        state, written = self.state, 0
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            done = connection.execute("PRAGMA user_version").fetchone()[0]
            if done >= generation:
                return 0
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("BEGIN IMMEDIATE")
            try:
                for name, table, render in (
                    ("accounts", "users", self._users),
                    ("consents", "consents", self._consents),
                    ("quotes", "quotes", self._quotes),
                    ("orders", "orders", self._orders),
                    ("history", "order_status_history", self._history),
                    ("pickups", "pickups", self._pickups),
                    ("documents", "documents", self._documents),
                    ("payouts", "payouts", self._payouts),
                    ("feedback", "feedback", self._feedback),
                    ("tokens", "push_tokens", self._tokens),
                ):
                    frame = state.owed[name]
                    for first in range(0, len(frame), _CHUNK):
                        part = frame.take(np.arange(first, min(first + _CHUNK, len(frame))))
                        columns = render(part)
                        marks = ", ".join("?" * len(columns))
                        connection.executemany(
                            f"INSERT OR REPLACE INTO {table} VALUES ({marks})",
                            zip(*columns, strict=True),
                        )
                        written += len(columns[0])
                connection.execute(f"PRAGMA user_version = {int(generation)}")
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise
        return written

    # ---- rendering -----------------------------------------------------------------------

    def _user_ids(self, person: Ints, slot: Ints) -> list[int | None]:
        persons = self.state["persons"]
        ids = np.where(slot == 2, persons["account2"][person], persons["account1"][person])
        return _null_if(np.where(slot == 0, 0, ids), 0)

    def _cities(self, person: Ints) -> list[str]:
        return _pick(_CITY_NAMES, self.people.city(person))

    def _users(self, rows: Frame) -> list[Column]:
        people, mess = self.people, self.mess
        person, slot = rows["person"], rows["slot"].astype(np.int64)
        key = person * 4 + slot
        gone = (rows["deleted"] > 0) & (rows["deleted"] <= self.state.now)
        tested = people.is_test(person) & people.draws.chance(0.5, "test/flag", person)
        names = mess.names(person, key)
        phones = mess.phones(people.phone(person, slot - 1), key, "users")
        emails = mess.emails(person, slot - 1, key)
        for place in np.flatnonzero(gone).tolist():
            names[place], phones[place], emails[place] = "Deleted User", None, None
        return [
            rows["user_id"].tolist(),
            names,
            phones,
            emails,
            mess.cities(people.city(person), key),
            ist_text(rows["created"]),
            ist_text(rows["updated"]),
            tested.astype(int).tolist(),
            *(_null_if(rows[f"flag{channel}"], -1) for channel in range(4)),
            ist_text(np.where(gone, rows["deleted"], 0)),
        ]

    def _consents(self, rows: Frame) -> list[Column]:
        size = len(rows)
        return [
            self._user_ids(rows["person"], rows["slot"]),
            _pick(cat.CHANNELS, rows["channel"]),
            _pick(("opt_out", "opt_in"), rows["opt_in"].astype(int)),
            ["preference_centre"] * size,
            ist_text(rows["t"]),
        ]

    def _models(self, model: Ints) -> list[Column]:
        chosen = _pick(cat.MODELS, model)
        return [
            [item.model_id for item in chosen],
            [item.category for item in chosen],
            [item.brand for item in chosen],
            [item.name for item in chosen],
        ]

    def _quotes(self, rows: Frame) -> list[Column]:
        people = self.people
        person, device, key = rows["person"], rows["device"], rows["key"]
        clients: list[str | None] = [None] * len(rows)
        places = np.flatnonzero(device >= 0)
        first = device_seconds(self.state, device[places])
        for place, client in zip(
            places.tolist(), people.pseudo_ids(device[places], first), strict=True
        ):
            clients[place] = client
        platforms = [platform.name for platform in cat.Platform]
        return [
            rows["quote_id"].tolist(),
            self._user_ids(person, rows["slot"]),
            clients,
            self.mess.phones(rows["phone"], key, "quotes"),
            *self._models(rows["model"]),
            rows["price"].tolist(),
            self._cities(person),
            _pick(platforms, rows["platform"]),
            ist_text(rows["t"]),
        ]

    def _orders(self, rows: Frame) -> list[Column]:
        people = self.people
        person, slot, key = rows["person"], rows["slot"].astype(np.int64), rows["key"]
        models = self._models(rows["model"])
        partner = people.draws.chance(0.006, "order/partner", key)
        app = rows["platform"] != cat.Platform.WEB
        sources = _pick(("web", "app", "partner"), np.where(app, 1, np.where(partner, 2, 0)))
        return [
            order_ids(rows["number"]),
            self._user_ids(person, slot),
            _null_if(rows["quote_id"], 0),
            self.mess.phones(people.phone(person, slot - 1), key, "orders"),
            models[0],
            models[1],
            models[2],
            rows["price"].tolist(),
            _null_if(rows["final"], -1),
            _pick(cat.STATUSES, rows["status"]),
            [text or None for text in _pick(cat.CANCEL_REASONS, rows["reason"])],
            self._cities(person),
            sources,
            ist_text(rows["created"]),
            ist_text(rows["updated"]),
            ist_text(rows["completed"]),
        ]

    def _history(self, rows: Frame) -> list[Column]:
        by = ["system" if status in _SYSTEM else "ops" for status in cat.Status]
        return [
            rows["id"].tolist(),
            order_ids(rows["number"]),
            _pick(cat.STATUSES, rows["status"]),
            ist_text(rows["t"]),
            _pick(by, rows["status"]),
        ]

    def _pickups(self, rows: Frame) -> list[Column]:
        return [
            rows["pickup_id"].tolist(),
            order_ids(rows["number"]),
            rows["attempt"].tolist(),
            self._cities(rows["person"]),
            ist_text(rows["slot_start"]),
            ist_text(rows["slot_start"] + 3 * cat.HOUR),
            _pick(("scheduled", "completed", "failed"), rows["status"]),
            [text or None for text in _pick(cat.FAILURE_REASONS, rows["reason"])],
            ist_text(rows["created"]),
            ist_text(rows["updated"]),
        ]

    def _documents(self, rows: Frame) -> list[Column]:
        ids, times = order_ids(rows["number"]), ist_text(rows["t"])
        kinds = ["id_proof"] * len(ids) + ["invoice"] * len(ids)
        order = [place for pair in zip(range(len(ids)), range(len(ids), 2 * len(ids)), strict=True)
                 for place in pair]  # fmt: skip
        return [[column[place] for place in order] for column in (ids * 2, kinds, times * 2)]

    def _payouts(self, rows: Frame) -> list[Column]:
        return [
            rows["payout_id"].tolist(),
            order_ids(rows["number"]),
            rows["amount"].tolist(),
            _pick(("payout", "reversal"), rows["reversal"].astype(int)),
            _pick(cat.PAYOUT_MODES, rows["mode"]),
            ist_text(rows["t"]),
        ]

    def _feedback(self, rows: Frame) -> list[Column]:
        return [order_ids(rows["number"]), rows["rating"].tolist(), ist_text(rows["t"])]

    def _tokens(self, rows: Frame) -> list[Column]:
        token = self.people.draws.bits("token", rows["person"], rows["slot"])
        platforms = [platform.name for platform in cat.Platform]
        return [
            self._user_ids(rows["person"], rows["slot"]),
            [f"tok_{bits:016x}" for bits in token.tolist()],
            _pick(platforms, rows["platform"]),
            ist_text(rows["t"]),
        ]

    @staticmethod
    def _products() -> Iterator[tuple[str, str, str, str, int, int]]:
        for place, model in enumerate(cat.MODELS):
            price = model.price * 2 // 100 * 100 + 99
            yield (f"SKU{place:03d}", model.category, model.brand, f"{model.name} (renewed)",
                   price, (place * 7) % 23)  # fmt: skip


def device_seconds(state: State, device: Ints) -> Ints:
    """Epoch seconds of a device's first visit, as its web client id carries them."""
    born = state["persons"]["arrival"][device // 8]
    return born // cat.SECOND + device % 4 * 150 * 86_400
