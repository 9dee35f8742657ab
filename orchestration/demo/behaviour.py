"""What people do: they come, look, ask for quotes, order, sign up, uninstall, come back.

Belongs here: visits and what they leave behind. Does not belong here: what becomes of an order
(``orders.py``), how facts reach the sources (the writers), how messages are received
(``reactions.py``).

People live independently of each other, so a visit of each person who is due is played in one
vectorised step, in the order of that person's time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orchestration.demo import catalogue as cat
from orchestration.demo.events import EventRecorder
from orchestration.demo.mess import Mess, ist_day
from orchestration.demo.old_tool import INJECTED, OldTool
from orchestration.demo.orders import OrderLife
from orchestration.demo.people import People
from orchestration.demo.rng import Ints
from orchestration.demo.state import State
from orchestration.demo.visits import Visits

#: Share of a day's visits by hour, IST.
HOURS = np.array(
    [21, 28, 39, 17, 41, 64, 99, 124, 173, 207, 251, 218, 261, 292, 259, 235, 230, 256, 204, 184,
     206, 168, 135, 60], dtype=float,
)  # fmt: skip
#: A quote can be taken up again for this long without asking for a new one.
QUOTE_LIFE = 20 * cat.DAY
#: Organic visits of one person that a draw key can tell apart.
_VISITS_PER_PERSON = 4096


class Life:
    """Plays the people of a world up to an instant."""

    __slots__ = ("draws", "events", "mess", "old_tool", "orders", "people", "state")

    def __init__(
        self, state: State, people: People, mess: Mess, old_tool: OldTool | None = None
    ) -> None:
        self.state = state
        self.people = people
        self.mess = mess
        self.draws = people.draws
        self.old_tool = old_tool
        self.events = EventRecorder(state, people, mess)
        self.orders = OrderLife(state, people, mess, old_tool)

    # ---- arrivals ------------------------------------------------------------------------

    def found(self, count: int) -> None:
        """The people known at the start: a steady trickle at first, more inside the window."""
        behaviour, meta = self.state.behaviour, self.state.meta
        person = np.arange(count)
        window, start = int(meta["window_from"]), int(meta["start"])
        oldest = window - behaviour.older_days * cat.DAY
        recent = self.draws.chance(behaviour.recent_share, "arrival/recent", person)
        share = self.draws.unit("arrival/when", person)
        when = np.where(
            recent, window + share * (start - window), oldest + share * (window - oldest)
        ).astype(np.int64)
        arrival = np.minimum(self._snap(when, person, 0), start - cat.MINUTE)
        self.state["persons"].append(count, arrival=arrival, next_visit=arrival)

    def arrive(self, until: int) -> None:
        """New people of every IST day that has begun by then and was not populated yet."""
        meta = self.state.meta
        last = int(ist_day(np.array([until]))[0])
        while int(meta["populated_day"]) < last:
            day = int(meta["populated_day"]) + 1
            meta["populated_day"] = day
            mean = meta["people"] * self.state.behaviour.arrivals_per_person_day
            spread = float(self.draws.normal("arrivals/count", day)[0])
            count = max(0, round(mean + spread * mean**0.5))
            if day == int(meta["start_day"]):
                # The people of the start day's morning are among the founders already.
                count = round(count * self._share_left(int(meta["start"])))
            persons = self.state["persons"]
            person = np.arange(len(persons), len(persons) + count)
            midnight = np.full(count, day * cat.DAY - cat.IST)
            arrival = np.maximum(self._snap(midnight, person, 0), int(meta["start"]) + cat.SECOND)
            persons.append(count, arrival=arrival, next_visit=arrival)
            self.events.record_bots(day)

    @staticmethod
    def _share_left(instant: int) -> float:
        hour = (instant + cat.IST) % cat.DAY / cat.HOUR
        edges = np.concatenate([[0.0], np.cumsum(HOURS)]) / HOURS.sum()
        return 1.0 - float(np.interp(hour, np.arange(25), edges))

    def _snap(self, when: Ints, person: Ints, visit: Ints | int) -> Ints:
        """Move instants within their IST day to an hour people are awake."""
        day = ist_day(when)
        hour = self.draws.choice(HOURS, "visit/hour", person, visit)
        within = self.draws.unit("visit/minute", person, visit)
        return day * cat.DAY - cat.IST + ((hour + within) * cat.HOUR).astype(np.int64)

    # ---- the loop ------------------------------------------------------------------------

    def play(self, until: int) -> int:
        """Live on until an instant; returns the number of visits."""
        self.arrive(until)
        self.orders.play(until)
        played = 0
        while True:
            due = self._due(until)
            if due is None:
                return played
            played += len(due.person)
            self._visit(due)
            self.orders.play(until)

    def _due(self, until: int) -> Visits | None:
        """The next visit of every person who has one by then."""
        persons, injected = self.state["persons"], self.state["injected"]
        soonest = persons["next_visit"]
        candidate = np.full(0, 0)
        if len(injected):
            mature = np.flatnonzero(injected["t"] <= until)
            if len(mature):
                order = mature[
                    np.lexsort(
                        (injected["key"][mature], injected["t"][mature], injected["person"][mature])
                    )
                ]
                first = np.ones(len(order), dtype=bool)
                first[1:] = np.diff(injected["person"][order]) != 0
                candidate = order[first]
                # An organic visit that comes first is played first; the other one waits.
                candidate = candidate[
                    injected["t"][candidate] <= soonest[injected["person"][candidate]]
                ]
        organic = np.flatnonzero(soonest <= until)
        if len(candidate):
            caused = injected["person"][candidate]
            organic = organic[~np.isin(organic, caused)]
        if not len(organic) and not len(candidate):
            return None
        size = len(organic)
        number = persons["visits"][organic].astype(np.int64)
        visits = Visits(
            person=np.concatenate([organic, injected["person"][candidate]]),
            t=np.concatenate([soonest[organic], injected["t"][candidate]]),
            key=np.concatenate([organic * _VISITS_PER_PERSON + number, injected["key"][candidate]]),
            campaign=np.concatenate([np.zeros(size, np.int64), injected["campaign"][candidate]]),
            medium=np.concatenate([np.zeros(size, np.int64), injected["medium"][candidate]]),
            order=np.concatenate([np.zeros(size), injected["order"][candidate]]),
            quote=np.concatenate([np.zeros(size), injected["quote"][candidate]]),
        )
        keep = np.ones(len(injected), dtype=bool)
        keep[candidate] = False
        injected.keep(keep)
        return visits

    # ---- one visit each ------------------------------------------------------------------

    def _visit(self, visits: Visits) -> None:
        """Play one visit of each of different people."""
        state, draws, people = self.state, self.draws, self.people
        persons = state["persons"]
        who, at, key = visits.person, visits.t, visits.key
        organic = visits.key < INJECTED
        gone = (persons["deleted"][who] > 0) & (persons["deleted"][who] <= at)
        persons["next_visit"][who[organic & gone]] = cat.NEVER
        if gone.any():
            left = ~gone
            if not left.any():
                return
            visits = Visits(
                **{name: getattr(visits, name)[left] for name in Visits.__dataclass_fields__}
            )
            who, at, key, organic = visits.person, visits.t, visits.key, organic[left]

        slot = (people.has_second_device(who) & draws.chance(0.35, "visit/device", key)).astype(
            np.int64
        )
        platform = people.platform(who, slot)
        owner = np.where(slot == 0, people.device_owner(who), who)
        clears = draws.chance(0.25, "device/clears", who) & (platform == cat.Platform.WEB)
        lived = (at - persons["arrival"][owner]) // (150 * cat.DAY)
        device = owner * 8 + slot * 4 + np.where(clears, lived.clip(0, 3), 0)
        sessions = np.where(slot == 0, persons["sessions0"][who], persons["sessions1"][who])
        persons["sessions0"][who] += slot == 0
        persons["sessions1"][who] += slot == 1
        accounts = persons["accounts"][who]
        logged = (accounts > 0) & draws.chance(0.45, "visit/logged", key)
        account = np.where(logged, accounts, 0)

        # What they come for.
        count = draws.choice([36, 42, 15, 7], "visit/quotes", key)
        takes = draws.unit("visit/takes", key)
        count = np.where(organic, count, takes < visits.quote)
        free = persons["open_until"][who] <= at
        eager = people.eagerness(who) * np.where(persons["orders"][who] > 0, 0.55, 1.0)
        wish = np.where(organic, np.where(count > 0, eager, 0.0), visits.order)
        orders = free & (draws.unit("visit/order", key) < wish)
        recent = at - persons["quote_at"][who] < QUOTE_LIFE
        count = np.where(orders & (count == 0) & ~recent, 1, count)

        # The quotes; the last one is what an order is about.
        quote_at = persons["quote_at"][who]
        quote_key = persons["quote_key"][who]
        model, price = (
            persons["model"][who].astype(np.int64),
            persons["price"][who].astype(np.int64),
        )
        cursor = at + (draws.between(25, 90, "visit/browse", key) * cat.SECOND).astype(np.int64)
        leads = np.zeros(len(who), dtype=bool)
        quotes: list[tuple[Ints, Ints, Ints, Ints, NDArray[np.bool_]]] = []
        for turn in range(3):
            has = np.flatnonzero(count > turn)
            if not len(has):
                break
            again = (turn == 0) & (quote_at[has] > 0) & draws.chance(0.45, "quote/same", key[has])
            fresh = draws.choice(cat.MODEL_WEIGHTS, "quote/model", key[has], turn)
            # A second look at the same device now and then.
            stays = again | ((turn > 0) & draws.chance(0.4, "quote/again", key[has], turn))
            chosen = np.where(stays, model[has], fresh)
            spread = draws.between(0.72, 1.28, "quote/price", key[has], turn)
            model[has] = chosen
            price[has] = (cat.MODEL_PRICES[chosen] * spread / 10).astype(np.int64) * 10
            quote_at[has] = cursor[has] + 12 * cat.SECOND
            quote_key[has] = key[has] * 4 + turn
            lead = draws.chance(0.33, "quote/lead", key[has], turn)
            leads[has] |= lead
            quotes.append((has, quote_at[has].copy(), model[has].copy(), price[has].copy(), lead))
            state["quotes"].append(
                len(has),
                key=quote_key[has],
                t=quote_at[has],
                person=who[has],
                slot=account[has],
                device=np.where(platform[has] == cat.Platform.WEB, device[has], -1),
                phone=np.where(
                    lead | (logged[has] & draws.chance(0.3, "quote/phone", key[has], turn)),
                    people.phone(who[has], 0),
                    -1,
                ),
                model=model[has],
                price=price[has],
                platform=platform[has],
                visit=key[has],
            )
            cursor[has] = quote_at[has] + (
                draws.between(40, 200, "quote/pause", key[has], turn) * cat.SECOND
            ).astype(np.int64)
        persons["quote_at"][who] = quote_at
        persons["quote_key"][who] = quote_key
        persons["model"][who] = model
        persons["price"][who] = price

        think = draws.between(150, 1700, "order/think", key)
        quick = draws.between(90, 420, "order/quick", key)
        ordered_at = np.where(count > 0, quote_at, at) + (
            np.where(count > 0, think, quick) * cat.SECOND
        ).astype(np.int64)
        self._leave_lead(who[leads], quote_at[leads] + cat.SECOND)
        buyer = np.flatnonzero(orders)
        signs, account = self._accounts(who, ordered_at, key, buyer, account, platform)

        self.events.record_visits(
            visits,
            platform=platform,
            device=device,
            session_no=sessions + 1,
            browsing=np.where(logged, accounts, 0),
            quotes=quotes,
            buyer=buyer,
            ordered_at=ordered_at,
            signs=signs,
            order_account=account,
            model=model,
            price=price,
        )
        state["log"].append(
            len(who), t=at, person=who, fact=cat.Fact.SESSION, entity=device,
            extra=np.where(logged, accounts, 0),
        )  # fmt: skip
        # the order's GA4 event ties its account to the device: no evidence before the export begins
        shown = buyer[ordered_at[buyer] >= int(state.meta["window_from"])]
        state["log"].append(
            len(shown), t=ordered_at[shown], person=who[shown], fact=cat.Fact.DEVICE,
            entity=device[shown], extra=account[shown],
        )  # fmt: skip
        persons["orders"][who[buyer]] += 1
        self.orders.place(
            person=who[buyer],
            at=ordered_at[buyer],
            key=key[buyer],
            slot=account[buyer],
            quote_key=quote_key[buyer],
            model=model[buyer],
            price=price[buyer],
            platform=platform[buyer],
            cause=np.where(organic, 0, key)[buyer],
        )
        persons["visits"][who[organic]] += 1
        active = np.where(orders, ordered_at, np.where(count > 0, quote_at, at))
        persons["last_active"][who] = active
        self._uninstall(who, at, key, slot, device, platform)
        self._come_back(visits, organic, orders, count, active)

    def _leave_lead(self, who: Ints, at: Ints) -> None:
        """A phone number left in a form makes the person known, and mostly a contact in the CRM."""
        persons = self.state["persons"]
        persons["known"][who] = np.where(persons["known"][who] == 0, at, persons["known"][who])
        self.state["log"].append(len(who), t=at, person=who, fact=cat.Fact.LEAD)
        new = (persons["contact"][who] == 0) & self.draws.chance(0.92, "contact/lead", who)
        chosen = who[new]
        key = chosen * 4
        persons["contact"][chosen] = key + 1
        self.state["contacts"].append(
            len(chosen), key=key + 1, person=chosen, slot=0, source=0, created=at[new]
        )

    def _accounts(
        self,
        who: Ints,
        ordered_at: Ints,
        key: Ints,
        buyer: Ints,
        account: Ints,
        platform: Ints,
    ) -> tuple[Ints, Ints]:
        """Everybody signs up with the first order; a few make a second account later.

        Returns:
            Per visit: 0 nothing, 1 login, 2 sign-up at the order; and the account ordered with.
        """
        state, draws, people = self.state, self.draws, self.people
        persons = state["persons"]
        signs = np.zeros(len(who), dtype=np.int64)
        account = account.copy()
        held = persons["accounts"][who[buyer]]
        second = (held == 1) & draws.chance(0.05, "account/second", key[buyer])
        fresh = (held == 0) | second
        login = ~fresh & (account[buyer] == 0)
        signs[buyer[login]] = 1
        account[buyer[login]] = held[login]
        new = buyer[fresh]
        signs[new] = 2
        number = held[fresh] + 1
        account[new] = number
        person, born = who[new], ordered_at[new] - 60 * cat.SECOND
        persons["accounts"][person] = number
        persons["known"][person] = np.where(
            persons["known"][person] == 0, born, persons["known"][person]
        )
        flags = people.consent(person)
        leaves = draws.chance(0.012, "account/deleted", person) & (number == 1)
        deleted = np.where(
            leaves,
            born
            + (draws.between(15, 220, "account/deleted/when", person) * cat.DAY).astype(np.int64),
            0,
        )
        persons["deleted"][person] = np.where(leaves, deleted, persons["deleted"][person])
        state["accounts"].append(
            len(new),
            person=person,
            slot=number,
            created=born,
            updated=born,
            deleted=deleted,
            flag0=flags[:, 0],
            flag1=flags[:, 1],
            flag2=flags[:, 2],
            flag3=flags[:, 3],
        )
        state["log"].append(
            int(leaves.sum()), t=deleted[leaves], person=person[leaves], fact=cat.Fact.DELETED
        )
        self._preferences(person, number, born)
        app = platform[new] != cat.Platform.WEB
        if state.meta["optional"]["push_tokens"]:
            state["tokens"].append(
                int(app.sum()), t=born[app], person=person[app], slot=number[app],
                platform=platform[new][app],
            )  # fmt: skip
        # The panel's nightly sync: sometimes it finds the lead's contact, sometimes not.
        contact = persons["contact"][person]
        contacts = state["contacts"]
        merges = (contact > 0) & (number == 1) & draws.chance(0.28, "contact/merge", person)
        if merges.any():
            rows = np.flatnonzero(np.isin(contacts["key"], contact[merges]))
            order = np.argsort(contacts["person"][rows])
            ranked = np.argsort(person[merges])
            contacts["merged"][rows[order]] = born[merges][ranked]
        made = ~merges & draws.chance(0.75, "contact/sync", person, number)
        chosen = person[made]
        sync_key = chosen * 4 + 1 + number[made]
        lag = (draws.between(10, 120, "contact/lag", chosen) * cat.SECOND).astype(np.int64)
        contacts.append(
            len(chosen),
            key=sync_key,
            person=chosen,
            slot=number[made],
            source=1,
            created=born[made] + lag,
            merged=np.where(draws.chance(0.08, "contact/unlinked", chosen), 0, born[made] + lag),
            prefixed=draws.chance(0.03, "contact/prefixed", chosen),
        )
        first = persons["contact"][chosen] == 0
        persons["contact"][chosen[first]] = sync_key[first]
        return signs, account

    def _preferences(self, person: Ints, number: Ints, born: Ints) -> None:
        """Some use the preference centre; half of the time the account's flag follows."""
        draws, state = self.draws, self.state
        goes = np.flatnonzero(draws.chance(0.055, "preferences", person))
        if not len(goes):
            return
        who = person[goes]
        channel = draws.choice([20, 20, 25, 35], "preferences/channel", who)
        at = born[goes] + (draws.between(0.5, 100, "preferences/when", who) * cat.DAY).astype(
            np.int64
        )
        flagged = draws.chance(0.5, "preferences/flag", who)
        for code in range(len(cat.CHANNELS)):
            hit = channel == code
            state["persons"][f"stop{code}"][who[hit]] = at[hit]
        state["consents"].append(
            len(who), t=at, person=who, slot=number[goes], channel=channel, flag_too=flagged
        )
        state["log"].append(
            len(who), t=at, person=who, fact=cat.Fact.OPTED_OUT, entity=channel, extra=0
        )
        back = draws.chance(0.12, "preferences/back", who)
        again = at[back] + (
            draws.between(3, 60, "preferences/back/when", who[back]) * cat.DAY
        ).astype(np.int64)
        state["consents"].append(
            int(back.sum()), t=again, person=who[back], slot=number[goes][back],
            channel=channel[back], opt_in=True, flag_too=flagged[back],
        )  # fmt: skip
        state["log"].append(
            int(back.sum()), t=again, person=who[back], fact=cat.Fact.OPTED_OUT,
            entity=channel[back], extra=1,
        )  # fmt: skip

    def _uninstall(
        self, who: Ints, at: Ints, key: Ints, slot: Ints, device: Ints, platform: Ints
    ) -> None:
        removes = np.flatnonzero(
            (platform != cat.Platform.WEB) & self.draws.chance(0.055, "app/remove", key)
        )
        if not len(removes):
            return
        when = at[removes] + (
            self.draws.between(0.2, 14, "app/remove/when", key[removes]) * cat.DAY
        ).astype(np.int64)
        self.events.record_removal(
            who[removes], when, key[removes], device[removes], platform[removes]
        )
        self.state["log"].append(
            len(removes), t=when, person=who[removes], fact=cat.Fact.APP_REMOVED,
            entity=device[removes], extra=slot[removes],
        )  # fmt: skip

    def _come_back(
        self,
        visits: Visits,
        organic: NDArray[np.bool_],
        ordered: NDArray[np.bool_],
        count: Ints,
        active: Ints,
    ) -> None:
        """When organic visitors return by themselves, and what the old tool tries meanwhile."""
        draws = self.draws
        persons = self.state["persons"]
        who, key = visits.person[organic], visits.key[organic]
        soon = draws.chance(np.where(ordered[organic], 0.10, 0.345), "return/soon", key)
        days = np.where(
            soon,
            0.15 + draws.exponential(2.2, "return/days", key),
            4.0 + draws.exponential(self.people.loyalty(who), "return/later", key),
        )
        earliest = visits.t[organic] + (days * cat.DAY).astype(np.int64)
        number = persons["visits"][who].astype(np.int64)
        snapped = self._snap(earliest, who, number)
        snapped = np.where(snapped < visits.t[organic] + cat.HOUR, snapped + cat.DAY, snapped)
        persons["next_visit"][who] = snapped
        if self.old_tool is None:
            return
        following = persons["next_visit"][visits.person]
        quoted = (count > 0) & ~ordered
        at = persons["quote_at"][visits.person] + cat.HOUR
        stays = quoted & (following > at)
        self._tell("abandoned_price_view", visits, stays, at)
        idle = active + 60 * cat.DAY
        silent = organic & (following > idle) & (persons["open_until"][visits.person] <= idle)
        self._tell("winback_inactive", visits, silent, idle)

    def _tell(self, journey: str, visits: Visits, chosen: NDArray[np.bool_], at: Ints) -> None:
        if self.old_tool is not None and chosen.any():
            self.old_tool.trigger(journey, visits.person[chosen], at[chosen], visits.key[chosen])
