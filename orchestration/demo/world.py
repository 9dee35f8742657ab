"""The demo world: create it, open it, let time pass, let it answer messages.

Belongs here: the life cycle of one world's folder and the commit protocol. Does not belong here:
any behaviour or any format; those modules are called from here in order.

```
HOME/ga4/                 the GA4 export files           (a source)
HOME/admin/admin.sqlite   the admin panel's database     (a source)
HOME/crm/                 the CRM's export folder        (a source)
HOME/state/               the world's memory             (nobody else's business)
HOME/truth/               what really happened           (for checking, never an input)
```
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from orchestration.demo import catalogue as cat
from orchestration.demo.admin_writer import AdminWriter
from orchestration.demo.behaviour import Life
from orchestration.demo.crm_writer import CrmWriter, last_export
from orchestration.demo.errors import WorldClockError, WorldExistsError
from orchestration.demo.frames import Frame
from orchestration.demo.ga4_writer import Ga4Writer
from orchestration.demo.mess import Mess, ist_day, micros, moment
from orchestration.demo.old_export import OldExport
from orchestration.demo.old_tool import OldTool
from orchestration.demo.outside import Outside, ReactReport, Sandbox
from orchestration.demo.people import People
from orchestration.demo.rng import Draws
from orchestration.demo.settings import Behaviour
from orchestration.demo.settle import settle
from orchestration.demo.state import OWED, SCHEMAS, State
from orchestration.demo.truth import Truth

OPTIONAL = ("push_tokens", "products")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvanceReport:
    """What happened while time passed.

    Attributes:
        since: The clock before, aware UTC.
        until: The clock after, aware UTC.
        visits: Visits to site and app (also those no tag saw).
        quotes: Quotes asked for.
        orders: Orders placed.
        caused_orders: Orders that followed a click in a message.
        missed_pickups: Pickups nobody opened the door for.
        opt_outs: Opt-outs people made by themselves in the preference centre.
        admin_rows: Rows written to the admin database.
        ga4_files: Export files written or removed.
        contacts: Contacts exported, 0 when no nightly export fell into the stretch.
        reactions: What went to and came from the sandbox, if one was passed.
    """

    since: datetime
    until: datetime
    visits: int
    quotes: int
    orders: int
    caused_orders: int
    missed_pickups: int
    opt_outs: int
    admin_rows: int
    ga4_files: tuple[str, ...]
    contacts: int
    reactions: tuple[ReactReport, ...] = ()


class World:
    """One demo world in one folder; make it with ``create`` or ``open``.

    One process at a time may advance a world; anybody may read its sources meanwhile.
    """

    def __init__(self, home: Path, state: State) -> None:
        self.home = home
        self._bind(state)

    def _bind(self, state: State) -> None:
        self._state = state
        self._people = People(Draws(int(state.meta["seed"])))
        self._mess = Mess(self._people.draws, self._people)
        self._admin = AdminWriter(self.admin_path, state, self._people, self._mess)
        self._ga4 = Ga4Writer(self.ga4_folder, state, self._people, self._mess)
        self._crm = CrmWriter(self.crm_folder, state, self._people, self._mess)
        self.truth = Truth(self.home / "truth", state, self._people)
        self._outside = Outside(state, self._people, self.truth)

    # ---- places --------------------------------------------------------------------------

    @property
    def ga4_folder(self) -> Path:
        """Folder of the GA4 export files."""
        return self.home / "ga4"

    @property
    def admin_path(self) -> Path:
        """The admin panel's SQLite file."""
        return self.home / "admin" / "admin.sqlite"

    @property
    def crm_folder(self) -> Path:
        """The CRM's export folder."""
        return self.home / "crm"

    @property
    def now(self) -> datetime:
        """The world's clock, aware UTC."""
        return moment(self._state.now)

    @property
    def start(self) -> datetime:
        """When the world was handed over to the pipeline: the end of its history."""
        return moment(int(self._state.meta["start"]))

    @property
    def people(self) -> int:
        """People who have come up to now."""
        return int((self._state["persons"]["arrival"] <= self._state.now).sum())

    # ---- life cycle ----------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        home: Path,
        *,
        people: int,
        seed: int,
        start: datetime,
        history_days: int = 90,
        optional: Collection[str] = (),
        behaviour: Behaviour | None = None,
    ) -> World:
        """Make a world and its sources, as they look at ``start``.

        Args:
            home: Folder to make it in; leftovers of a creation that was killed are removed.
            people: People who came before the start (100 to 1,000,000; others join later).
            seed: Same seed, people and start: same content.
            start: The world's clock afterwards, aware.
            history_days: Days of GA4 export before the start; the admin panel goes back further.
            optional: Optional admin tables to have: ``push_tokens``, ``products``.
            behaviour: Knobs, mainly the uplift of messages.

        Raises:
            WorldExistsError: the folder holds a complete world.
            WorldClockError: ``start`` has no time zone.
            ValueError: an optional table or a number of people that is not possible.
        """
        unknown = set(optional) - set(OPTIONAL)
        if unknown:
            raise ValueError(f"no such optional table: {', '.join(sorted(unknown))}")
        if people < 2:
            raise ValueError("a world needs at least two people")
        begin = micros(_aware(start))
        if (home / "state" / "world.npz").exists():
            raise WorldExistsError(f"{home.name}/ already holds a demo world: open it instead")
        for name in ("ga4", "admin", "crm", "state", "truth"):
            shutil.rmtree(home / name, ignore_errors=True)
        (home / "state").mkdir(parents=True)
        start_day = int(ist_day(np.array([begin]))[0])
        window = (start_day - history_days) * cat.DAY - cat.IST
        behaviour = behaviour or Behaviour()
        meta = {
            "seed": seed,
            "people": people,
            "start": begin,
            "now": window,
            "previous": window,
            "window_from": window,
            "start_day": start_day,
            "populated_day": start_day - 1,
            "old_tool_from": max(begin - behaviour.old_tool_days * cat.DAY, window),
            "optional": {name: name in optional for name in OPTIONAL},
            "next_id": {},
            "campaigns": list(cat.CAMPAIGNS),
            "generation": 1,
            "seen": 0,
            "messages": {},
        }
        world = cls(home, State.empty(meta, behaviour))
        world._play_history(people, begin)
        return world

    def _play_history(self, people: int, start: int) -> None:
        state = self._state
        old_tool = OldTool(state, self._people)
        life = Life(state, self._people, self._mess, old_tool)
        life.found(people)
        self._crm.import_list()
        window_day = int(ist_day(np.array([state.meta["window_from"]]))[0])
        for day in range(window_day, int(state.meta["start_day"])):
            life.events.record_bots(day)
        life.play(start)
        OldExport(self.crm_folder, state, self._people).write(old_tool)
        settle(state, self._people, start)
        state.meta["now"] = start
        self._admin.create()
        self._project(force_contacts=True)
        self._clear()
        state.write(self.home / "state" / "world.npz")

    @classmethod
    def open(cls, home: Path) -> World:
        """Open a world, finishing an advance that was killed after it was decided.

        Raises:
            WorldMissingError: there is no complete world in the folder.
        """
        folder = home / "state"
        following = folder / "world.next.npz"
        if following.exists():
            world = cls(home, State.read(following))
            world._finish()
            return world
        return cls(home, State.read(folder / "world.npz"))

    def advance(self, to: datetime, sandbox: Sandbox | None = None) -> AdvanceReport:
        """Let time pass: everything between now and ``to`` happens.

        Args:
            to: The new clock, aware and later than ``now``.
            sandbox: If given, ``react`` is called before and after.

        Raises:
            WorldClockError: ``to`` is not later, or has no time zone.
            SandboxUnreachableError: the sandbox does not answer; the world may have advanced,
                receipts that were not sent stay due.
        """
        until = micros(_aware(to))
        if until <= self._state.now:
            raise WorldClockError(f"the world is at {self.now.isoformat()} already")
        before: tuple[ReactReport, ...] = ()
        if sandbox is not None:
            before = (self.react(sandbox),)
        try:
            report = self._advance(until)
        except BaseException:
            # Half-played memory is worthless; what is on disk is whole.
            self._bind(World.open(self.home)._state)
            raise
        if sandbox is None:
            return report
        after = self.react(sandbox)
        return replace(report, reactions=(*before, after))

    def _advance(self, until: int) -> AdvanceReport:
        state = self._state
        since = state.now
        self._clear()
        life = Life(state, self._people, self._mess)
        visits = life.play(until)
        settle(state, self._people, until)
        state.meta["previous"] = since
        state.meta["now"] = until
        state.meta["generation"] = int(state.meta["generation"]) + 1
        state.write(self.home / "state" / "world.next.npz")
        log = state.owed["log"]
        facts = log["fact"]
        placed = facts == cat.Fact.ORDER_PLACED
        rows, files, contacts = self._finish()
        return AdvanceReport(
            since=moment(since),
            until=moment(until),
            visits=visits,
            quotes=int((facts == cat.Fact.QUOTE).sum()),
            orders=int(placed.sum()),
            caused_orders=int((placed & (log["extra"] != 0)).sum()),
            missed_pickups=int((facts == cat.Fact.PICKUP_FAILED).sum()),
            opt_outs=int(((facts == cat.Fact.OPTED_OUT) & (log["extra"] == 0)).sum()),
            admin_rows=rows,
            ga4_files=tuple(files),
            contacts=contacts,
        )

    def _finish(self) -> tuple[int, list[str], int]:
        """Bring the sources up to a decided state, then make it the state."""
        written = self._project()
        folder = self.home / "state"
        os.replace(folder / "world.next.npz", folder / "world.npz")
        return written

    def _project(self, *, force_contacts: bool = False) -> tuple[int, list[str], int]:
        """Write what the sources are owed; every part of it may be repeated."""
        state = self._state
        before = int(state.meta["previous"])
        rows = self._admin.apply(int(state.meta["generation"]))
        files = self._ga4.write(before)
        contacts = 0
        if force_contacts or last_export(state.now) > before:
            contacts = self._crm.write_contacts()
        self.truth.write_log()
        return rows, files, contacts

    def _clear(self) -> None:
        """Forget what the sources have got."""
        state = self._state
        state.owed = {name: Frame(SCHEMAS[name]) for name in OWED}
        state["events"].keep(~self._ga4.finished(state.now))

    # ---- messages ------------------------------------------------------------------------

    def react(self, sandbox: Sandbox) -> ReactReport:
        """Read messages accepted since, decide every person's reaction, send what is due.

        Reactions are spread over simulated time; those due by now leave at once, the others when
        the clock has passed them and ``react`` is called again.

        Args:
            sandbox: Where messages are accepted and receipts are handed in.

        Raises:
            SandboxUnreachableError: the sandbox does not answer; nothing is lost, call again.
        """
        path = self.home / "state" / "world.npz"
        return self._outside.react(sandbox, save=lambda: self._state.write(path))


def _aware(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise WorldClockError("instants of the demo world carry a time zone")
    return instant
