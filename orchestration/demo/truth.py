"""What really happened, for checking a pipeline; never an input of one.

Belongs here: the log of facts and the tables made from it, in the shapes of the example company's
``expected/`` folder. Does not belong here: anything the sources show.

```
truth/log/          every fact with its person, one part an advance
truth/reactions/    what became of each message people got from the sandbox
truth/persons.parquet identifiers.parquet stages.parquet eligibility.parquet   (by ``write``)
```
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from orchestration.demo import catalogue as cat
from orchestration.demo.admin_writer import device_seconds
from orchestration.demo.catalogue import DAY, HOUR, MINUTE, NEVER, Fact, PhoneKind
from orchestration.demo.crm_writer import contact_ids, last_export
from orchestration.demo.files import save_table
from orchestration.demo.frames import Frame
from orchestration.demo.people import People
from orchestration.demo.reactions import Outcome
from orchestration.demo.rng import Ints
from orchestration.demo.state import SCHEMAS, State

if TYPE_CHECKING:
    from activations.sandbox.records import AcceptedMessage

_PARTS_BEFORE_MERGE = 100
_INACTIVE = 60 * DAY
_STAGES = (
    "lead", "price_view", "order", "pickup", "completion", "repeat", "feedback", "cancelled",
    "inactive",
)  # fmt: skip
(_LEAD, _PRICE_VIEW, _ORDER, _PICKUP, _COMPLETION, _REPEAT, _FEEDBACK, _CANCELLED,
 _SILENT) = range(9)  # fmt: skip
#: Facts that count as activity; a pickup only when it was rebooked.
_ACTIVE = (
    Fact.SESSION, Fact.QUOTE, Fact.ORDER_PLACED, Fact.DOCUMENT, Fact.PICKED_UP, Fact.FEEDBACK,
)  # fmt: skip
_LOST = (Fact.CANCELLED, Fact.EXPIRED, Fact.FAILED)
_JOURNEY_CHANNELS: dict[str, tuple[int, ...]] = {
    "abandoned_price_view": (0, 3, 2, 1),
    "pickup_reminder": (0, 1, 3, 2),
    "winback_inactive": (0, 2, 3, 1),
}
_PROMOTIONAL = frozenset({"abandoned_price_view", "winback_inactive"})
_UTC = pa.timestamp("us", tz="UTC")


class Truth:
    """The truth of one world."""

    __slots__ = ("folder", "people", "state")

    def __init__(self, folder: Path, state: State, people: People) -> None:
        self.folder = folder
        self.state = state
        self.people = people

    # ---- keeping -------------------------------------------------------------------------

    def write_log(self) -> None:
        """Keep the facts of this generation; repeating it changes nothing."""
        log = self.state.owed["log"]
        if not len(log):
            return
        folder = self.folder / "log"
        folder.mkdir(parents=True, exist_ok=True)
        generation = int(self.state.meta["generation"])
        save_table(folder / f"part-{generation:09d}.parquet", pa.table(log.columns))
        merged, parts = self._parts()
        if len(parts) > _PARTS_BEFORE_MERGE:
            tables = [pq.read_table(path) for path in (*merged[-1:], *parts)]
            save_table(folder / f"upto-{generation:09d}.parquet", pa.concat_tables(tables))
            for path in (*merged, *parts):
                path.unlink()

    def _parts(self) -> tuple[list[Path], list[Path]]:
        """Merged files, and parts newer than the newest of them."""
        folder = self.folder / "log"
        merged = sorted(folder.glob("upto-*.parquet"))
        newest = merged[-1].stem.removeprefix("upto-") if merged else ""
        parts = [
            path
            for path in sorted(folder.glob("part-*.parquet"))
            if path.stem.removeprefix("part-") > newest
        ]
        return merged, parts

    def read_log(self) -> Frame:
        """All facts up to now, by person and time."""
        merged, parts = self._parts()
        frame = Frame(SCHEMAS["log"])
        for path in (*merged[-1:], *parts):
            table = pq.read_table(path)
            frame.extend(
                Frame(
                    SCHEMAS["log"],
                    {name: table.column(name).to_numpy() for name in SCHEMAS["log"]},
                )
            )
        order = np.lexsort((frame["extra"], frame["fact"], frame["t"], frame["person"]))
        return frame.take(order)

    def write_reactions(
        self,
        messages: Sequence[AcceptedMessage],
        person: Ints,
        campaigns: Sequence[str],
        channel: Ints,
        sent: Ints,
        outcome: Outcome,
        visit: Ints,
    ) -> None:
        """Keep what became of messages; ``visit_key`` is the ``extra`` of the order it caused."""
        folder = self.folder / "reactions"
        folder.mkdir(parents=True, exist_ok=True)

        def when(values: Ints) -> pa.Array:
            return pa.array(values, pa.int64(), mask=values >= NEVER).cast(_UTC)

        table = pa.table({
            "seq": pa.array([message.seq for message in messages], pa.int64()),
            "message_id": pa.array([message.message_id for message in messages]),
            "client_reference": pa.array([message.client_reference for message in messages]),
            "person_id": pa.array(
                [None if index < 0 else person_id(index) for index in person.tolist()], pa.string()
            ),
            "campaign": pa.array(list(campaigns)),
            "channel": pa.array([cat.CHANNELS[code] for code in channel.tolist()]),
            "accepted_at": when(sent),
            "failed": pa.array(outcome.failed),
            "delivered_at": when(outcome.delivered),
            "read_at": when(outcome.read),
            "clicked_at": when(outcome.click),
            "stopped_at": when(outcome.stop),
            "visit_key": pa.array(visit, pa.int64()),
        })  # fmt: skip
        save_table(folder / f"from-{messages[0].seq:012d}.parquet", table)

    # ---- telling -------------------------------------------------------------------------

    def write(self) -> dict[str, int]:
        """Write the truth tables as of the world's clock; returns their sizes."""
        log = self.read_log()
        tables = self.identifiers(log)
        stages = self.stages(log)
        tables["stages"] = stages
        tables["eligibility"] = self.eligibility(log)
        for name, table in tables.items():
            save_table(self.folder / f"{name}.parquet", table)
        return {name: table.num_rows for name, table in tables.items()}

    def stages(self, log: Frame) -> pa.Table:
        """Lifecycle stages as intervals, by the rules of the catalogue."""
        person, t, stage = _stage_changes(log, self.state.now)
        last = np.ones(len(person), dtype=bool)
        last[:-1] = person[1:] != person[:-1]
        until = np.where(last, NEVER, np.concatenate([t[1:], [NEVER]]))
        return pa.table({
            "person_id": _ids(person),
            "stage": pa.array([_STAGES[code] for code in stage.tolist()]),
            "valid_from": pa.array(t, pa.int64()).cast(_UTC),
            "valid_to": pa.array(until, pa.int64(), mask=last).cast(_UTC),
        })  # fmt: skip

    def eligibility(self, log: Frame) -> pa.Table:
        """Who was eligible for the first three journeys, and reachable."""
        now = self.state.now
        parts: list[dict[str, Any]] = []
        for journey, (person, entity, since, until) in (
            ("abandoned_price_view", _abandoned(log)),
            ("pickup_reminder", _pickups(log)),
            ("winback_inactive", _winback(log, now)),
        ):
            shown = since <= now
            person, since, until = person[shown], since[shown], until[shown]
            names = None if entity is None else entity[shown].tolist()
            reason, channel = self._reach(log, journey, person, since)
            parts.append({
                "person_id": _ids(person),
                "journey_key": pa.array([journey] * len(person), pa.string()),
                "entity_id": pa.array(
                    [None] * len(person) if names is None else [str(name) for name in names],
                    pa.string(),
                ),
                "eligible_from": pa.array(since, pa.int64()).cast(_UTC),
                "eligible_to": pa.array(until, pa.int64(), mask=until > now).cast(_UTC),
                "reachable": pa.array([text is None for text in reason]),
                "suppress_reason": pa.array(reason, pa.string()),
                "channel": pa.array(channel, pa.string()),
            })  # fmt: skip
        return pa.concat_tables([pa.table(part) for part in parts])

    def _reach(
        self, log: Frame, journey: str, person: Ints, at: Ints
    ) -> tuple[list[str | None], list[str | None]]:
        people, persons = self.people, self.state["persons"]
        size = len(persons)
        fact = log["fact"]

        def first(kind: Fact) -> Ints:
            moments = np.full(size, NEVER)
            rows = fact == kind
            np.minimum.at(moments, log["person"][rows], log["t"][rows])
            return moments

        lead, account, deleted = first(Fact.LEAD), first(Fact.SIGNED_UP), first(Fact.DELETED)
        contact = np.full(size, NEVER)
        contacts = self.state["contacts"]
        np.minimum.at(contact, contacts["person"], contacts["created"])
        known = np.minimum(lead, account)[person] <= at
        stated = np.minimum(account, contact)[person] <= at
        app = np.full(size, NEVER)
        sessions = fact == Fact.SESSION
        device = log["entity"][sessions]
        mobile = people.platform(device // 8, device % 8 // 4) != cat.Platform.WEB
        np.minimum.at(app, log["person"][sessions][mobile], log["t"][sessions][mobile])
        valid = ~np.isin(
            people.phone_kind(person),
            [PhoneKind.PLACEHOLDER, PhoneKind.INVALID, PhoneKind.LANDLINE],
        )
        mailed = people.has_email(person, 0) & (account[person] <= at)
        address = (valid & known, valid & known, mailed, app[person] <= at)
        flags = people.consent(person)
        anything = np.zeros(len(person), dtype=bool)
        chosen = np.full(len(person), -1)
        for channel in reversed(_JOURNEY_CHANNELS[journey]):
            latest = _latest_statement(log, channel, person, at)
            flag = np.where(stated, flags[:, channel], -1)
            flag = np.where(latest >= 0, latest, flag)
            allowed = flag == 1 if journey in _PROMOTIONAL else flag != 0
            anything |= address[channel]
            chosen = np.where(address[channel] & allowed, channel, chosen)
        test = people.is_test(person)
        reasons: list[str | None] = []
        for place in range(len(person)):
            if test[place]:
                reasons.append("test_user")
            elif deleted[person[place]] <= at[place]:
                reasons.append("deleted")
            elif not known[place]:
                reasons.append("unknown")
            elif not anything[place]:
                reasons.append("no_address")
            elif chosen[place] < 0:
                reasons.append("no_consent")
            else:
                reasons.append(None)
        channels = [
            None if reason else cat.CHANNELS[code]
            for reason, code in zip(reasons, chosen.tolist(), strict=True)
        ]
        return reasons, channels

    # ---- identity ------------------------------------------------------------------------

    def identifiers(self, log: Frame) -> dict[str, pa.Table]:
        """Who owns which identifier, and what unshared evidence could join; and the people."""
        people, state = self.people, self.state
        persons, now = state["persons"], state.now
        fact, everyone = log["fact"], log["person"]
        book = _Identifiers()

        visible = ~people.blocks_analytics(everyone) & ~people.denies_consent(everyone)
        rows = (fact == Fact.SESSION) & visible
        rows &= log["t"] >= int(state.meta["window_from"])
        used = _unique(everyone[rows], log["entity"][rows])
        for owner, device, text in zip(
            *used, people.pseudo_ids(used[1], device_seconds(state, used[1])), strict=True
        ):
            book.add("ga_pseudo", text, int(owner), alias=("device", int(device)))
        crowd = np.arange(len(persons))
        phone_kind = people.phone_kind(crowd).tolist()
        numbers = [people.phone(crowd, slot).tolist() for slot in range(2)]
        mailed = [people.has_email(crowd, slot).tolist() for slot in range(2)]
        mails = [people.emails(crowd, slot) for slot in range(2)]
        shared_kinds = (PhoneKind.HOUSEHOLD, PhoneKind.KIOSK, PhoneKind.PLACEHOLDER)

        def phone(owner: int, slot: int) -> int | None:
            kind = phone_kind[owner]
            if kind == PhoneKind.INVALID:
                return None
            number = numbers[slot][owner]
            return book.add("phone", f"+91{number:010d}", owner, shared=kind in shared_kinds)

        def mail(owner: int, slot: int) -> int | None:
            if not mailed[slot][owner]:
                return None
            address = mails[slot][owner].replace("@googlemail.", "@gmail.")
            return book.add("email", address, owner)

        accounts: dict[tuple[int, int], int] = {}
        rows = np.flatnonzero(fact == Fact.SIGNED_UP)
        for owner, user, slot in zip(
            everyone[rows].tolist(), log["entity"][rows].tolist(), log["extra"][rows].tolist(),
            strict=True,
        ):  # fmt: skip
            node = book.add("admin_user", str(user), owner)
            accounts[owner, slot] = node
            book.join(node, phone(owner, slot - 1))
            book.join(node, mail(owner, slot - 1))
        leads = np.unique(everyone[fact == Fact.LEAD])
        for owner in leads.tolist():
            phone(owner, 0)
        rows = np.flatnonzero((fact == Fact.DEVICE) & visible)
        for owner, device, slot in zip(
            everyone[rows].tolist(), log["entity"][rows].tolist(), log["extra"][rows].tolist(),
            strict=True,
        ):  # fmt: skip
            node = book.find(("device", device))
            other = accounts.get((owner, slot)) if slot > 0 else phone(owner, 0)
            book.join(node, other)
        contacts = state["contacts"]
        night = last_export(now)
        rows = np.flatnonzero(contacts["created"] <= night)
        rows = rows[np.argsort(contacts["key"][rows])]
        names = contact_ids(people, contacts["key"][rows])
        for place, name in zip(rows.tolist(), names, strict=True):
            owner, slot = int(contacts["person"][place]), int(contacts["slot"][place])
            node = book.add("crm_contact", name, owner)
            if contacts["source"][place] != 2:
                book.join(node, phone(owner, max(slot - 1, 0)))
            if contacts["source"][place] != 0:
                book.join(node, mail(owner, max(slot - 1, 0)))
            if 0 < contacts["merged"][place] <= night:
                book.join(node, accounts.get((owner, max(slot, 1))))
        table, components, tainted = book.finish(len(persons))
        return {"identifiers": table, "persons": self._persons(log, components, tainted)}

    def _persons(self, log: Frame, components: Ints, tainted: NDArray[np.bool_]) -> pa.Table:
        people, state = self.people, self.state
        persons, now = state["persons"], state.now
        come = np.flatnonzero(persons["arrival"] <= now)
        fact = log["fact"]
        size = len(persons)
        lost = np.zeros(size, dtype=bool)
        lost[log["person"][fact == Fact.LOST_ROW]] = True
        completed = np.bincount(log["person"][fact == Fact.COMPLETED], minlength=size)
        completed = completed - np.bincount(log["person"][fact == Fact.RETURNED], minlength=size)
        first, known = np.full(size, NEVER), np.full(size, NEVER)
        rows = fact == Fact.SESSION
        np.minimum.at(first, log["person"][rows], log["t"][rows])
        rows = np.isin(fact, [Fact.LEAD, Fact.SIGNED_UP])
        np.minimum.at(known, log["person"][rows], log["t"][rows])
        deleted = np.full(size, NEVER)
        rows = fact == Fact.DELETED
        np.minimum.at(deleted, log["person"][rows], log["t"][rows])
        kind = people.phone_kind(come)
        seen = first[come] >= int(state.meta["window_from"])
        clear = (
            seen & ~people.blocks_analytics(come) & ~people.denies_consent(come)
            & (people.clock_offset(come) == 0) & ~lost[come] & (components[come] == 1)
            & ~tainted[come]
        )  # fmt: skip
        return pa.table({
            "person_id": _ids(come),
            "is_test": pa.array(people.is_test(come)),
            "fully_observable": pa.array(clear),
            "deleted_at": _moments(deleted[come]),
            "components": pa.array(np.maximum(components[come], 1), pa.int64()),
            "phone_kind": pa.array([PhoneKind(code).name.lower() for code in kind.tolist()]),
            "first_seen_at": _moments(first[come]),
            "first_known_at": _moments(known[come]),
            "completed_orders": pa.array(completed[come], pa.int64()),
        })  # fmt: skip


class _Identifiers:
    """Identifiers with their owners, and the evidence that joins them."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[str, object], int] = {}
        self._rows: list[tuple[str, str]] = []
        self._owners: list[set[int]] = []
        self._shared: list[bool] = []
        self._edges: list[tuple[int, int]] = []

    def add(
        self, kind: str, value: str, owner: int, *, shared: bool = False,
        alias: tuple[str, int] | None = None,
    ) -> int:  # fmt: skip
        node = self._nodes.get((kind, value))
        if node is None:
            node = len(self._rows)
            self._nodes[kind, value] = node
            self._rows.append((kind, value))
            self._owners.append(set())
            self._shared.append(False)
        if alias is not None:
            self._nodes[alias] = node
        self._owners[node].add(owner)
        self._shared[node] |= shared or len(self._owners[node]) > 1
        return node

    def find(self, alias: tuple[str, object]) -> int | None:
        return self._nodes.get(alias)

    def join(self, one: int | None, other: int | None) -> None:
        if one is not None and other is not None:
            self._edges.append((one, other))

    def finish(self, people: int) -> tuple[pa.Table, Ints, NDArray[np.bool_]]:
        """The table, components a person falls into, and who has a shared identifier."""
        # Imported here: truth is written rarely, and every advance would pay a second for it.
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        size = len(self._rows)
        clean = [
            (one, other) for one, other in self._edges
            if not self._shared[one] and not self._shared[other]
        ]  # fmt: skip
        one = np.array([edge[0] for edge in clean], dtype=np.int64)
        other = np.array([edge[1] for edge in clean], dtype=np.int64)
        graph = coo_matrix((np.ones(len(clean)), (one, other)), shape=(size, size))
        _, label = connected_components(graph, directed=False)
        groups: list[set[int]] = [set() for _ in range(people)]
        tainted = np.zeros(people, dtype=bool)
        rows = []
        for node, (kind, value) in enumerate(self._rows):
            for owner in sorted(self._owners[node]):
                rows.append((kind, value, owner, self._shared[node], int(label[node])))
                if self._shared[node]:
                    tainted[owner] = True
                else:
                    groups[owner].add(int(label[node]))
        table = pa.table({
            "id_type": pa.array([row[0] for row in rows], pa.string()),
            "id_value": pa.array([row[1] for row in rows], pa.string()),
            "person_id": pa.array([person_id(row[2]) for row in rows], pa.string()),
            "shared": pa.array([row[3] for row in rows], pa.bool_()),
            "linkable_component": pa.array([row[4] for row in rows], pa.int64()),
        })  # fmt: skip
        return table, np.array([len(group) for group in groups], dtype=np.int64), tainted


# ---- rules -----------------------------------------------------------------------------------


def person_id(index: int) -> str:
    """A person's name in the truth."""
    return f"P{index:07d}"


def _ids(person: Ints) -> pa.Array:
    return pa.array([person_id(index) for index in person.tolist()], pa.string())


def _moments(values: Ints) -> pa.Array:
    return pa.array(values, pa.int64(), mask=values >= NEVER).cast(_UTC)


def _unique(one: Ints, other: Ints) -> tuple[Ints, Ints]:
    pairs = np.unique(np.stack([one, other], axis=1), axis=0) if len(one) else np.empty((0, 2), int)
    return pairs[:, 0], pairs[:, 1]


def _activities(log: Frame) -> NDArray[np.bool_]:
    active = np.isin(log["fact"], _ACTIVE)
    # The log tells a pickup's number and slot, not the attempt: a rebooking follows a miss.
    booked = np.isin(log["fact"], [Fact.PICKUP_SCHEDULED, Fact.PICKUP_FAILED, Fact.ORDER_PLACED])
    rows = np.flatnonzero(booked)
    again = np.zeros(len(rows), dtype=bool)
    again[1:] = (
        (log["fact"][rows[1:]] == Fact.PICKUP_SCHEDULED)
        & (log["fact"][rows[:-1]] == Fact.PICKUP_FAILED)
        & (log["person"][rows[1:]] == log["person"][rows[:-1]])
    )
    active[rows[again]] = True
    return active


def _silences(log: Frame, now: int) -> tuple[Ints, Ints, Ints]:
    """Stretches of inactivity: person, since, until the next activity (NEVER when it goes on)."""
    rows = np.flatnonzero(_activities(log))
    person, t = log["person"][rows], log["t"][rows]
    same = np.zeros(len(rows), dtype=bool)
    same[:-1] = person[1:] == person[:-1]
    following = np.where(same, np.concatenate([t[1:], [NEVER]]), NEVER)
    since = t + _INACTIVE
    silent = (following > since) & (since <= now)
    return person[silent], since[silent], following[silent]


def _stage_changes(log: Frame, now: int) -> tuple[Ints, Ints, Ints]:
    fact, person, t = log["fact"], log["person"], log["t"]
    opens = fact == Fact.ORDER_PLACED
    closes = np.isin(fact, [*_LOST, Fact.COMPLETED])
    balance = np.cumsum(opens.astype(np.int64) - closes)
    first = np.ones(len(person), dtype=bool)
    first[1:] = person[1:] != person[:-1]
    # The running sum before a person's first row is taken off, so each starts at zero.
    start = np.maximum.accumulate(np.where(first, np.arange(len(person)), 0))
    base = np.concatenate([[0], balance])[start]
    is_open = (balance - base) > 0
    done = np.cumsum((fact == Fact.COMPLETED).astype(np.int64) - (fact == Fact.RETURNED))
    done = done - np.concatenate([[0], done])[start]
    stage = np.full(len(fact), -1)
    stage[(fact == Fact.QUOTE) & ~is_open] = _PRICE_VIEW
    stage[opens] = _ORDER
    stage[fact == Fact.PICKUP_SCHEDULED] = _PICKUP
    stage[(fact == Fact.COMPLETED) & (done == 1)] = _COMPLETION
    stage[(fact == Fact.COMPLETED) & (done > 1)] = _REPEAT
    stage[np.isin(fact, [*_LOST, Fact.RETURNED])] = _CANCELLED
    # Feedback moves only those it finds in "completion".
    movers = stage >= 0
    latest = np.maximum.accumulate(np.where(movers, np.arange(len(fact)), 0))
    latest = np.where(latest >= start, latest, start)
    stage[(fact == Fact.FEEDBACK) & (stage[latest] == _COMPLETION)] = _FEEDBACK

    quiet_person, since, until = _silences(log, now)
    back = until < NEVER
    active = np.flatnonzero(_activities(log))
    newcomer = np.ones(len(active), dtype=bool)
    newcomer[1:] = person[active][1:] != person[active][:-1]
    moved = stage >= 0
    who = np.concatenate(
        [person[active][newcomer], quiet_person, quiet_person[back], person[moved]]
    )
    when = np.concatenate([t[active][newcomer], since, until[back], t[moved]])
    what = np.concatenate([
        np.full(int(newcomer.sum()), _LEAD), np.full(len(since), _SILENT),
        np.full(int(back.sum()), _LEAD), stage[moved],
    ])  # fmt: skip
    # At one instant plain activity comes before what moves the stage.
    rank = np.where(what == _LEAD, 0, 1)
    order = np.lexsort((rank, when, who))
    who, when, what = who[order], when[order], what[order]
    overtaken = np.zeros(len(who), dtype=bool)
    overtaken[:-1] = (who[1:] == who[:-1]) & (when[1:] == when[:-1])
    who, when, what = who[~overtaken], when[~overtaken], what[~overtaken]
    changed = np.ones(len(who), dtype=bool)
    changed[1:] = (who[1:] != who[:-1]) | (what[1:] != what[:-1])
    return who[changed], when[changed], what[changed]


def _abandoned(log: Frame) -> tuple[Ints, Ints, Ints, Ints]:
    quotes, orders = log["fact"] == Fact.QUOTE, log["fact"] == Fact.ORDER_PLACED
    rows = np.flatnonzero(quotes | orders)
    person, t = log["person"][rows], log["t"][rows]
    quote = quotes[rows]
    # The log is sorted by person and time: the next row of the person, and the next quote.
    same = np.zeros(len(rows), dtype=bool)
    same[:-1] = person[1:] == person[:-1]
    following = np.where(same, np.concatenate([t[1:], [NEVER]]), NEVER)
    last = quote & ~(same & (following - t < HOUR))
    since, until = t + HOUR, np.minimum(following, t + 73 * HOUR)
    chosen = last & (until > since)
    return person[chosen], log["entity"][rows][chosen], since[chosen], until[chosen]


def _pickups(log: Frame) -> tuple[Ints, Ints, Ints, Ints]:
    rows = np.flatnonzero(log["fact"] == Fact.PICKUP_SCHEDULED)
    created, slot = log["t"][rows], log["extra"][rows]
    since = np.maximum(slot - DAY, created + 30 * MINUTE)
    chosen = since < slot - 2 * HOUR
    return (
        log["person"][rows][chosen],
        log["entity"][rows][chosen],
        since[chosen],
        (slot - 2 * HOUR)[chosen],
    )


def _winback(log: Frame, now: int) -> tuple[Ints, None, Ints, Ints]:
    person, since, until = _silences(log, now)
    return person, None, since, np.minimum(until, since + 14 * DAY)


def _latest_statement(log: Frame, channel: int, person: Ints, at: Ints) -> Ints:
    """The last opt-out (0) or opt-in (1) of a channel before an instant, else -1."""
    rows = np.flatnonzero((log["fact"] == Fact.OPTED_OUT) & (log["entity"] == channel))
    held: dict[int, list[tuple[int, int]]] = {}
    for who, when, extra in zip(
        log["person"][rows].tolist(), log["t"][rows].tolist(), log["extra"][rows].tolist(),
        strict=True,
    ):  # fmt: skip
        held.setdefault(who, []).append((when, 1 if extra == 1 else 0))
    answer = np.full(len(person), -1)
    if not held:
        return answer
    for place in np.flatnonzero(np.isin(person, list(held))).tolist():
        for when, status in held[int(person[place])]:
            if when <= at[place]:
                answer[place] = status
    return answer
