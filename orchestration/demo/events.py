"""Turns visits into GA4 event rows, with the mess of tags, devices and networks.

Belongs here: which events a visit fires, when, and what is lost, late, doubled or misdated. Does
not belong here: nesting and files (``ga4_writer.py``), and why people visit (``behaviour.py``).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orchestration.demo import catalogue as cat
from orchestration.demo.frames import Frame
from orchestration.demo.mess import Mess, ist_day
from orchestration.demo.people import People
from orchestration.demo.rng import Ints
from orchestration.demo.state import SCHEMAS, State
from orchestration.demo.visits import Visits

#: Values of the frame's ``source`` column: who sent the row.
NORMAL, DENIED, BOT = 0, 1, 2
_BOT_STRETCH_DAYS = 75
_BOT_DAYS = 60


class EventRecorder:
    """Appends event rows to the state; rows older than the GA4 window are never made."""

    __slots__ = ("_batch", "mess", "people", "state")

    def __init__(self, state: State, people: People, mess: Mess) -> None:
        self.state = state
        self.people = people
        self.mess = mess
        self._batch = Frame(SCHEMAS["events"])

    def record_visits(
        self,
        visits: Visits,
        *,
        platform: Ints,
        device: Ints,
        session_no: Ints,
        browsing: Ints,
        quotes: list[tuple[Ints, Ints, Ints, Ints, NDArray[np.bool_]]],
        buyer: Ints,
        ordered_at: Ints,
        signs: Ints,
        order_account: Ints,
        model: Ints,
        price: Ints,
    ) -> None:
        """Record what the tags saw of one visit of each of different people.

        Args:
            visits: The visits; campaign and medium are those of the link that led here.
            platform: ``Platform`` a visit.
            device: Device number a visit.
            session_no: ``ga_session_number``.
            browsing: Account number the visitor is logged in with from the start, or 0.
            quotes: For each turn: visits that see a quote, when, model, price, leaves a number.
            buyer: Visits that end in an order.
            ordered_at: When, a visit.
            signs: 0 nothing, 1 login, 2 sign-up before the order.
            order_account: Account the order is placed with.
            model: Device ordered.
            price: Quote ordered at.
        """
        seen = ~self.people.blocks_analytics(visits.person)
        seen &= ordered_at.clip(min=visits.t) >= int(self.state.meta["window_from"])
        if not seen.any():
            return
        draws = self.people.draws
        key, at = visits.key, visits.t
        second = cat.SECOND
        session = at // second
        web = platform == cat.Platform.WEB

        # ``turn`` names the place of an event within its visit; it must not depend on the other
        # visits of the batch, or the draws would depend on how time was cut.
        def add(
            turn: int, name: int, which: Ints, when: Ints, account: Ints, **extra: ArrayLike
        ) -> None:
            rows = seen[which]
            chosen = which[rows]
            extra = {
                column: np.asarray(value)[rows] if np.ndim(value) else value
                for column, value in extra.items()
            }
            self._add(
                name,
                turn,
                t=when[rows],
                key=key[chosen],
                person=visits.person[chosen],
                device=device[chosen],
                platform=platform[chosen],
                session=session[chosen],
                session_no=session_no[chosen],
                slot=account[rows],
                **extra,
            )

        everyone = np.arange(len(at))
        landing = {"campaign": visits.campaign, "medium": visits.medium}
        add(1, cat.Event.SESSION_START, everyone, at, browsing, **landing)
        new = np.flatnonzero(session_no == 1)
        for first_web, name in ((True, cat.Event.FIRST_VISIT), (False, cat.Event.FIRST_OPEN)):
            which = new[web[new] == first_web]
            add(2, name, which, at[which], browsing[which],
                campaign=visits.campaign[which], medium=visits.medium[which])  # fmt: skip
        land = at + (draws.between(1.6, 3.2, "page/first", key) * second).astype(np.int64)
        add(3, cat.Event.PAGE_VIEW, everyone, land, browsing, **landing)
        which = np.flatnonzero(draws.chance(0.42, "search", key))
        add(4, cat.Event.SEARCH, which, at[which] + 20 * second, browsing[which])
        which = np.flatnonzero(draws.chance(0.6, "page/second", key))
        add(5, cat.Event.PAGE_VIEW, which, at[which] + 30 * second, browsing[which])
        if self.state.meta["optional"]["products"]:
            self._shop(add, key, at, browsing)
        for turn, (has, when, quoted, value, lead) in enumerate(quotes):
            item = {"model": quoted + 1, "price": value}
            add(30 + 3 * turn, cat.Event.VIEW_ITEM, has, when - 12 * second, browsing[has], **item)
            add(31 + 3 * turn, cat.Event.QUOTE_VIEWED, has, when, browsing[has], **item)
            item = {"model": quoted[lead] + 1, "price": value[lead]}
            add(
                32 + 3 * turn, cat.Event.GENERATE_LEAD, has[lead], when[lead] + second,
                browsing[has[lead]], **item,
            )  # fmt: skip
        when, account = ordered_at[buyer], order_account[buyer]
        for code, name in ((1, cat.Event.LOGIN), (2, cat.Event.SIGN_UP)):
            hit = signs[buyer] == code
            add(6, name, buyer[hit], when[hit] - 60 * second, account[hit])
        item = {"model": model[buyer] + 1, "price": price[buyer]}
        add(7, cat.Event.BEGIN_CHECKOUT, buyer, when - 45 * second, account, **item)
        item |= {"campaign": visits.campaign[buyer], "medium": visits.medium[buyer]}
        item["order"] = key[buyer]
        add(8, cat.Event.ORDER_PLACED, buyer, when, account, **item)
        again = draws.chance(0.04, "order/reload", key[buyer])
        wait = (draws.between(4, 600, "order/reload/wait", key[buyer]) * second).astype(np.int64)
        add(
            9, cat.Event.ORDER_PLACED, buyer[again], (when + wait)[again], account[again],
            **{column: np.asarray(value)[again] for column, value in item.items()},
        )  # fmt: skip
        self._flush()

    @staticmethod
    def _shop(add: Callable[..., None], key: Ints, at: Ints, browsing: Ints) -> None:
        """A few look around the shop too; only where there is one."""
        for turn, (share, name, wait) in enumerate((
            (8, cat.Event.VIEW_ITEM_LIST, 35),
            (5, cat.Event.VIEW_SEARCH_RESULTS, 24),
            (3, cat.Event.ADD_TO_WISHLIST, 50),
            (3, cat.Event.ADD_TO_CART, 58),
        )):  # fmt: skip
            which = np.flatnonzero((key * 7 + wait) % 100 < share)
            model = (key[which] // 3) % len(cat.MODELS)
            price = cat.MODEL_PRICES[model].astype(np.int64)
            add(20 + turn, name, which, at[which] + wait * cat.SECOND, browsing[which],
                model=model + 1, price=price)  # fmt: skip

    def record_removal(
        self, person: Ints, at: Ints, key: Ints, device: Ints, platform: Ints
    ) -> None:
        """The app was removed: an event without a session."""
        seen = (at >= int(self.state.meta["window_from"])) & ~self.people.blocks_analytics(person)
        self._add(
            cat.Event.APP_REMOVE,
            10,
            t=at[seen],
            key=key[seen],
            person=person[seen],
            device=device[seen],
            platform=platform[seen],
        )
        self._flush()

    def record_bots(self, day: int) -> None:
        """Data-centre page views of a day: each bot runs for two months, a few times a day."""
        draws = self.people.draws
        bots = max(1, int(self.state.meta["people"]) // 2000)
        number = np.arange(bots)
        stretch = day // _BOT_STRETCH_DAYS
        active = day % _BOT_STRETCH_DAYS < _BOT_DAYS
        views = draws.below(9, "bot/views", number, day) * active
        bursts = draws.chance(0.03, "bot/burst", number, day)
        views = np.where(bursts & active, 40 + 8 * views, views)
        total = int(views.sum())
        if not total:
            return
        which = np.repeat(number, views)
        turn = np.concatenate([np.arange(count) for count in views.tolist()])
        within = draws.unit("bot/when", which, day, turn)
        t = day * cat.DAY - cat.IST + (within * cat.DAY).astype(np.int64)
        key = (draws.bits("bot/key", which, day, turn) >> np.uint64(1)).astype(np.int64)
        fresh = t > int(self.state.meta["now"])
        batch = Frame(SCHEMAS["events"])
        batch.append(
            total, key=key, t=t, ts=t, day=day, arrive=t + 5 * cat.SECOND,
            person=-1 - (which + stretch * bots), name=cat.Event.PAGE_VIEW, source=BOT,
            session=t // cat.SECOND, session_no=turn,
        )  # fmt: skip
        batch.keep(fresh)
        self.state["events"].extend(batch)

    # ---- mess ----------------------------------------------------------------------------

    def _add(self, name: int, turn: int, **columns: ArrayLike) -> None:
        size = len(np.asarray(columns["t"]))
        draws = self.people.draws
        key = draws.bits("event", np.asarray(columns.pop("key")), turn)
        row = (key >> np.uint64(1)).astype(np.int64)
        self._batch.append(size, key=row[:size], name=name, **columns)

    def _flush(self) -> None:
        """Lose, delay, misdate and double the rows of one batch, then keep them."""
        batch, self._batch = self._batch, Frame(SCHEMAS["events"])
        batch.keep(batch["t"] >= int(self.state.meta["window_from"]))
        draws, people, mess = self.people.draws, self.people, self.mess
        key, t = batch["key"], batch["t"]
        web = batch["platform"] == cat.Platform.WEB
        day = ist_day(t)
        begin, end = mess.outage(day)
        within = t + cat.IST - day * cat.DAY
        lost = web & (within >= begin) & (within < end)
        lost |= draws.chance(0.005, "row/lost", key)
        self.state["log"].append(
            int(lost.sum()), t=t[lost], person=batch["person"][lost], fact=cat.Fact.LOST_ROW
        )
        batch.keep(~lost)
        key, t, web, day = key[~lost], t[~lost], web[~lost], day[~lost]
        if not len(key):
            return
        late = ~web & draws.chance(0.035, "row/late", key)
        lag = np.where(
            late,
            draws.between(2 * 3600, 66 * 3600, "row/late/lag", key),
            draws.between(0.5, 9, "row/lag", key),
        )
        batch["arrive"] = t + (lag * cat.SECOND).astype(np.int64)
        batch["late"] = late
        batch["source"] = np.where(people.denies_consent(batch["person"]), DENIED, NORMAL)
        offset = people.clock_offset(batch["person"])
        batch["ts"] = t - offset
        batch["session"] = np.where(
            batch["session"] > 0, batch["session"] - offset // cat.SECOND, 0
        )
        batch["day"] = ist_day(batch["ts"])
        twice = np.flatnonzero(draws.chance(0.004, "row/twice", key))
        copies = batch.take(twice)
        doubled = np.flatnonzero(web & mess.is_doubled(day))
        echoes = batch.take(doubled)
        if len(echoes):
            echo = (draws.between(22e3, 48e3, "row/echo", echoes["key"])).astype(np.int64)
            echoes["ts"] = echoes["ts"] + echo
            echoes["t"] = echoes["t"] + echo
            echoes["day"] = ist_day(echoes["ts"])
        events = self.state["events"]
        for part in (batch, copies, echoes):
            events.extend(part)
