"""Facts whose time has come become rows: they get the ids the admin panel gives them.

Belongs here: numbering, resolving keys to ids, moving rows from "will happen" to "is owed to the
sources". Does not belong here: deciding anything, and text.

Ids follow time: all rows up to an instant are numbered in the order of (time, key), so it does
not matter in how many strides the world got there.
"""

from __future__ import annotations

import numpy as np

from orchestration.demo import catalogue as cat
from orchestration.demo.catalogue import Fact
from orchestration.demo.frames import Frame
from orchestration.demo.people import People
from orchestration.demo.rng import Ints
from orchestration.demo.state import State

_FIRST_IDS = {
    "user": 10_001, "quote": 500_001, "order": 200_001, "history": 1, "pickup": 300_001,
    "payout": 700_001,
}  # fmt: skip
_ORDER_FACTS = np.array(
    [Fact.CONFIRMED, Fact.PICKUP_FAILED, Fact.PICKED_UP, Fact.COMPLETED, Fact.CANCELLED,
     Fact.EXPIRED, Fact.FAILED, Fact.RETURNED],
)  # fmt: skip
#: Closed orders stay at hand this long: documents, feedback and second loads refer to them.
_ORDER_MEMORY = 6 * cat.DAY
_QUOTE_MEMORY = 22 * cat.DAY


def settle(state: State, people: People, until: int) -> None:
    """Number and release everything that happened by an instant."""
    _accounts(state, until)
    _consents(state, until)
    _quotes(state, people, until)
    _orders(state, until)
    lookup = _OrderNumbers(state["orders"])
    _pickups(state, until, lookup)
    _history(state, until, lookup)
    _attachments(state, until, lookup)
    _events(state, until, lookup)
    _log(state, until, lookup)
    _release_changed(state)
    _forget(state, until)


class _OrderNumbers:
    """Order key → number (0 when the order is not known any more)."""

    def __init__(self, orders: Frame) -> None:
        self._sorter = np.argsort(orders["key"], kind="stable")
        self._keys = orders["key"][self._sorter]
        self._numbers = orders["number"]

    def of(self, keys: Ints) -> Ints:
        if not len(self._keys):
            return np.zeros(len(keys), dtype=np.int64)
        place = np.searchsorted(self._keys, keys).clip(max=len(self._keys) - 1)
        hit = self._keys[place] == keys
        return np.where(hit, self._numbers[self._sorter[place]], 0)


def _number(state: State, counter: str, count: int) -> Ints:
    following = state.meta["next_id"].setdefault(counter, _FIRST_IDS[counter])
    state.meta["next_id"][counter] = following + count
    return np.arange(following, following + count)


def _due(values: Ints, open_: Ints, until: int, *ties: Ints) -> Ints:
    rows = np.flatnonzero((open_ == 0) & (values <= until))
    return rows[np.lexsort((*[tie[rows] for tie in reversed(ties)], values[rows]))]


def _split(frame: Frame, mature: np.ndarray) -> Frame:
    """Take the mature rows out of a frame."""
    taken = frame.take(mature)
    frame.keep(~mature)
    return taken


def _accounts(state: State, until: int) -> None:
    accounts, persons = state["accounts"], state["persons"]
    rows = _due(
        accounts["created"], accounts["user_id"], until, accounts["person"], accounts["slot"]
    )
    ids = _number(state, "user", len(rows))
    accounts["user_id"][rows] = ids
    accounts["dirty"][rows] = True
    person, slot = accounts["person"][rows], accounts["slot"][rows]
    for number, column in ((1, "account1"), (2, "account2")):
        persons[column][person[slot == number]] = ids[slot == number]
    state["log"].append(
        len(rows), t=accounts["created"][rows], person=person, fact=Fact.SIGNED_UP, entity=ids,
        extra=slot,
    )  # fmt: skip
    left = (
        (accounts["deleted"] > 0)
        & (accounts["deleted"] <= until)
        & (accounts["updated"] < accounts["deleted"])
    )
    accounts["updated"] = np.where(left, accounts["deleted"], accounts["updated"])
    accounts["dirty"] = accounts["dirty"] | left


def _consents(state: State, until: int) -> None:
    consents, accounts = state["consents"], state["accounts"]
    mature = _split(consents, consents["t"] <= until)
    if not len(mature):
        return
    mature = mature.take(np.lexsort((mature["person"], mature["t"])))
    flagged = np.flatnonzero(mature["flag_too"])
    held = accounts["person"] * 4 + accounts["slot"]
    sorter = np.argsort(held, kind="stable")
    for row in flagged.tolist():
        wanted = int(mature["person"][row]) * 4 + int(mature["slot"][row])
        place = int(sorter[np.searchsorted(held, wanted, sorter=sorter)])
        if accounts["deleted"][place] and accounts["deleted"][place] <= mature["t"][row]:
            continue
        accounts[f"flag{int(mature['channel'][row])}"][place] = mature["opt_in"][row]
        accounts["updated"][place] = max(accounts["updated"][place], mature["t"][row])
        accounts["dirty"][place] = True
    state.owed["consents"].extend(mature)


def _quotes(state: State, people: People, until: int) -> None:
    quotes = state["quotes"]
    rows = _due(quotes["t"], quotes["quote_id"], until, quotes["key"])
    ids = _number(state, "quote", len(rows))
    quotes["quote_id"][rows] = ids
    untold = rows[~_told(state, people, quotes.take(rows))]
    quotes["device"][untold] = -1
    linked = rows[
        (quotes["device"][rows] >= 0) & ((quotes["phone"][rows] >= 0) | (quotes["slot"][rows] > 0))
    ]
    state["log"].append(
        len(linked), t=quotes["t"][linked], person=quotes["person"][linked], fact=Fact.DEVICE,
        entity=quotes["device"][linked],
        extra=np.where(quotes["slot"][linked] > 0, quotes["slot"][linked], -1),
    )  # fmt: skip
    state.owed["quotes"].extend(quotes.take(rows))
    state["log"].append(
        len(rows), t=quotes["t"][rows], person=quotes["person"][rows], fact=Fact.QUOTE,
        entity=ids, extra=quotes["slot"][rows].astype(np.int64) * 4 + (quotes["phone"][rows] >= 0),
    )  # fmt: skip


def _told(state: State, people: People, rows: Frame) -> np.ndarray:
    """The tag hands its client id over only where it runs and was allowed to."""
    person = rows["person"]
    return (
        (rows["device"] >= 0)
        & (rows["t"] >= int(state.meta["window_from"]))
        & ~people.blocks_analytics(person)
        & ~people.denies_consent(person)
        & people.draws.chance(0.93, "quote/client", rows["key"])
    )


def _orders(state: State, until: int) -> None:
    orders, quotes = state["orders"], state["quotes"]
    rows = _due(orders["created"], orders["number"], until, orders["key"])
    orders["number"][rows] = _number(state, "order", len(rows))
    if len(rows):
        sorter = np.argsort(quotes["key"], kind="stable")
        place = np.searchsorted(quotes["key"], orders["quote_key"][rows], sorter=sorter)
        found = sorter[place.clip(max=len(sorter) - 1)]
        hit = quotes["key"][found] == orders["quote_key"][rows]
        orders["quote_id"][rows] = np.where(hit, quotes["quote_id"][found], 0)
    state["log"].append(
        len(rows), t=orders["created"][rows], person=orders["person"][rows],
        fact=Fact.ORDER_PLACED, entity=orders["number"][rows], extra=orders["cause"][rows],
    )  # fmt: skip


def _pickups(state: State, until: int, lookup: _OrderNumbers) -> None:
    pickups = state["pickups"]
    rows = _due(pickups["created"], pickups["pickup_id"], until, pickups["order"])
    pickups["pickup_id"][rows] = _number(state, "pickup", len(rows))
    pickups["number"][rows] = lookup.of(pickups["order"][rows])
    state["log"].append(
        len(rows), t=pickups["created"][rows], person=pickups["person"][rows],
        fact=Fact.PICKUP_SCHEDULED, entity=pickups["pickup_id"][rows],
        extra=pickups["slot_start"][rows],
    )  # fmt: skip


def _history(state: State, until: int, lookup: _OrderNumbers) -> None:
    history = state["history"]
    mature = _split(history, history["insert"] <= until)
    mature = mature.take(np.lexsort((mature["step"], mature["order"], mature["insert"])))
    mature["id"] = _number(state, "history", len(mature))
    mature["number"] = lookup.of(mature["order"])
    state.owed["history"].extend(mature)


def _attachments(state: State, until: int, lookup: _OrderNumbers) -> None:
    for name in ("documents", "payouts", "feedback", "tokens"):
        frame = state[name]
        mature = _split(frame, frame["t"] <= until)
        if not len(mature):
            continue
        tie = mature["person"] if name == "tokens" else mature["order"]
        mature = mature.take(np.lexsort((tie, mature["t"])))
        if name != "tokens":
            mature["number"] = lookup.of(mature["order"])
        if name == "payouts":
            mature["payout_id"] = _number(state, "payout", len(mature))
        if name in ("documents", "feedback"):
            state["log"].append(
                len(mature), t=mature["t"], person=mature["person"],
                fact=Fact.DOCUMENT if name == "documents" else Fact.FEEDBACK,
                entity=mature["number"],
                extra=mature["rating"] if name == "feedback" else 0,
            )  # fmt: skip
        state.owed[name].extend(mature)


def _events(state: State, until: int, lookup: _OrderNumbers) -> None:
    events, persons = state["events"], state["persons"]
    rows = np.flatnonzero(~events["ready"] & (events["t"] <= until))
    for number, column in ((1, "account1"), (2, "account2")):
        mine = rows[events["slot"][rows] == number]
        events["user_id"][mine] = persons[column][events["person"][mine]]
    ordered = rows[events["order"][rows] != 0]
    events["number"][ordered] = lookup.of(events["order"][ordered])
    events["ready"][rows] = True


def _log(state: State, until: int, lookup: _OrderNumbers) -> None:
    log = state["log"]
    mature = _split(log, log["t"] <= until)
    mature = mature.take(
        np.lexsort((mature["extra"], mature["entity"], mature["fact"], mature["person"],
                    mature["t"]))
    )  # fmt: skip
    keyed = np.isin(mature["fact"], _ORDER_FACTS)
    mature["entity"] = np.where(keyed, lookup.of(mature["entity"]), mature["entity"])
    state.owed["log"].extend(mature)


def _release_changed(state: State) -> None:
    """Rows that changed go to the sources whole."""
    for name, id_ in (("accounts", "user_id"), ("orders", "number"), ("pickups", "pickup_id")):
        frame = state[name]
        changed = frame["dirty"] & (frame[id_] > 0)
        state.owed[name].extend(frame.take(changed))
        frame["dirty"] = frame["dirty"] & ~changed


def _forget(state: State, until: int) -> None:
    orders = state["orders"]
    keep = ~(orders["done"] & (orders["updated"] < until - _ORDER_MEMORY))
    # A correction does not move ``updated``; its instant is ``next``.
    keep |= orders["next"] > until - _ORDER_MEMORY
    gone = orders["key"][~keep]
    orders.keep(keep)
    if len(gone):
        state["pickups"].keep(~np.isin(state["pickups"]["order"], gone))
    quotes = state["quotes"]
    quotes.keep((quotes["quote_id"] == 0) | (quotes["t"] > until - _QUOTE_MEMORY))
