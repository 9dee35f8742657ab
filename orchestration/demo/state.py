"""The world's memory: which tables it keeps between two instants, and how it survives a kill.

Belongs here: schemas of the frames, reading and writing the state file. Does not belong here:
changing the state (``behaviour.py``, ``orders.py``, ``reactions.py``) or the sources.

Commit protocol: the next state, together with the rows the sources are owed, is written whole to
``world.next.npz`` and renamed there in one step; only then are the sources touched, every touch
repeatable; at last it becomes ``world.npz``. Killed before the first rename, the earlier state
stands; killed after it, opening the world finishes the job.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from orchestration.demo.errors import WorldMissingError
from orchestration.demo.frames import Frame
from orchestration.demo.settings import Behaviour

#: Times are epoch microseconds UTC (int64). "key" columns are draw keys: unique, stable.
SCHEMAS: dict[str, dict[str, str]] = {
    "persons": {
        "arrival": "i8", "next_visit": "i8", "visits": "i4", "sessions0": "i4", "sessions1": "i4",
        "accounts": "i1", "account1": "i8", "account2": "i8", "contact": "i8", "known": "i8",
        "quote_at": "i8", "quote_key": "i8", "model": "i2", "price": "i4",
        "open_until": "i8", "orders": "i4", "last_active": "i8", "deleted": "i8",
        "stop0": "i8", "stop1": "i8", "stop2": "i8", "stop3": "i8",
    },
    "injected": {
        "person": "i8", "t": "i8", "key": "i8", "campaign": "i2", "medium": "i1",
        "order": "f8", "quote": "f8",
    },
    "accounts": {
        "person": "i8", "slot": "i1", "user_id": "i8", "created": "i8", "updated": "i8",
        "deleted": "i8", "flag0": "i1", "flag1": "i1", "flag2": "i1", "flag3": "i1",
        "dirty": "?",
    },
    "consents": {
        "t": "i8", "person": "i8", "slot": "i1", "channel": "i1", "opt_in": "?", "flag_too": "?",
    },
    "quotes": {
        "key": "i8", "t": "i8", "person": "i8", "slot": "i1", "device": "i8", "phone": "i8",
        "model": "i2", "price": "i4", "platform": "i1", "quote_id": "i8", "visit": "i8",
    },
    "orders": {
        "key": "i8", "person": "i8", "slot": "i1", "number": "i8", "quote_key": "i8",
        "quote_id": "i8", "model": "i2", "price": "i4", "final": "i4", "status": "i1",
        "reason": "i1", "platform": "i1", "created": "i8", "updated": "i8", "completed": "i8",
        "phase": "i1", "plan": "i1", "next": "i8", "attempt": "i1", "docs": "i8",
        "slot_start": "i8", "nudge": "i8", "cause": "i8", "dirty": "?", "done": "?",
    },
    "history": {
        "t": "i8", "insert": "i8", "order": "i8", "status": "i1", "step": "i2", "id": "i8",
        "number": "i8",
    },
    "pickups": {
        "order": "i8", "attempt": "i1", "pickup_id": "i8", "number": "i8", "person": "i8",
        "slot_start": "i8", "status": "i1", "reason": "i1", "created": "i8", "updated": "i8",
        "dirty": "?",
    },
    "documents": {"t": "i8", "order": "i8", "number": "i8", "person": "i8"},
    "payouts": {
        "t": "i8", "order": "i8", "number": "i8", "payout_id": "i8", "amount": "i4",
        "mode": "i1", "reversal": "?",
    },
    "feedback": {"t": "i8", "order": "i8", "number": "i8", "person": "i8", "rating": "i1"},
    "tokens": {"t": "i8", "person": "i8", "slot": "i1", "platform": "i1"},
    "contacts": {
        "key": "i8", "person": "i8", "slot": "i1", "source": "i1", "created": "i8",
        "merged": "i8", "user_id": "i8", "prefixed": "?",
    },
    "events": {
        "key": "i8", "t": "i8", "ts": "i8", "day": "i4", "arrive": "i8", "person": "i8",
        "device": "i8", "platform": "i1", "name": "i1", "session": "i8", "session_no": "i4",
        "slot": "i1", "user_id": "i8", "model": "i2", "price": "i4", "order": "i8",
        "number": "i8", "campaign": "i2", "medium": "i1", "source": "i1", "late": "?",
        "ready": "?",
    },
    "log": {"t": "i8", "person": "i8", "fact": "i1", "entity": "i8", "extra": "i8"},
    "receipts": {
        "due": "i8", "occurred": "i8", "seq": "i8", "event": "i1", "visit": "i8",
    },
}  # fmt: skip

#: Frames whose rows the sources are owed by one advance (kept in the state file until applied).
OWED = ("accounts", "consents", "quotes", "orders", "history", "pickups", "documents", "payouts",
        "feedback", "tokens", "log")  # fmt: skip


@dataclass(slots=True)
class State:
    """Everything a world knows between two calls.

    Attributes:
        frames: The tables of ``SCHEMAS``.
        owed: Rows which the sources do not have yet.
        meta: Plain values: seed, clock, counters, campaign names, messages awaiting receipts.
        behaviour: The knobs.
    """

    meta: dict[str, Any]
    behaviour: Behaviour
    frames: dict[str, Frame] = field(default_factory=dict)
    owed: dict[str, Frame] = field(default_factory=dict)

    @classmethod
    def empty(cls, meta: dict[str, Any], behaviour: Behaviour) -> State:
        """A state without a single row."""
        state = cls(meta=meta, behaviour=behaviour)
        state.frames = {name: Frame(schema) for name, schema in SCHEMAS.items()}
        state.owed = {name: Frame(SCHEMAS[name]) for name in OWED}
        return state

    def __getitem__(self, name: str) -> Frame:
        return self.frames[name]

    @property
    def now(self) -> int:
        """The world's clock, epoch microseconds."""
        return int(self.meta["now"])

    def write(self, path: Path) -> None:
        """Write atomically: a reader sees the old file or the whole new one."""
        arrays = {
            f"{part}/{name}/{column}": values
            for part, frames in (("frames", self.frames), ("owed", self.owed))
            for name, frame in frames.items()
            for column, values in frame.columns.items()
            if len(values)
        }
        document = json.dumps({"meta": self.meta, "behaviour": self.behaviour.to_json()})
        arrays["json"] = np.frombuffer(document.encode(), dtype=np.uint8)
        draft = path.with_name(f".{path.name}.tmp")
        with draft.open("wb") as stream:
            np.savez(stream, **arrays)  # pyright: ignore[reportArgumentType]
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)

    @classmethod
    def read(cls, path: Path) -> State:
        """Read a state file.

        Raises:
            WorldMissingError: there is none.
        """
        if not path.is_file():
            raise WorldMissingError(f"no demo world in {path.parent.parent.name}/: create it first")
        with np.load(path) as stored:
            document = json.loads(stored["json"].tobytes())
            state = cls.empty(document["meta"], Behaviour.from_json(document["behaviour"]))
            for entry in stored.files:
                if entry == "json":
                    continue
                part, name, column = entry.split("/")
                frames = state.frames if part == "frames" else state.owed
                frames[name].columns[column] = stored[entry]
        return state
