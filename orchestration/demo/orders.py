"""What becomes of an order: confirmed, picked up or missed, paid, reviewed, returned.

Belongs here: the status path of the admin panel with its timings. Does not belong here: why
people order (``behaviour.py``) and the panel's rows (``admin_writer.py``).

Each order waits in a phase for its next instant; due orders move one step at a time. A pickup's
outcome is drawn only when its slot starts, because a reminder read until then changes it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orchestration.demo import catalogue as cat
from orchestration.demo.catalogue import DAY, HOUR, MINUTE, NEVER, Fact, Status
from orchestration.demo.mess import Mess
from orchestration.demo.old_tool import OldTool
from orchestration.demo.people import People
from orchestration.demo.rng import Ints
from orchestration.demo.state import State

# Phases: what an order is waiting for.
_RESOLVE, _SCHEDULE, AWAITING_SLOT, _RESULT, _AFTER_FAILURE, _COMPLETE, _AFTERMATH = range(7)
# Plans: what will happen then.
_CONFIRM, _CANCEL, _EXPIRE = range(3)
_PICK, _MISS_DOCS, _MISS_ANSWER, _MISS_ADDRESS, _MISS_BUSY = range(5)
_REBOOK, _GIVE_UP = range(2)
_PAY, _HAGGLE = range(2)
_NOTHING, _CORRECT, _RETURN = range(3)

_SLOT_HOURS = np.array([9, 12, 15, 18])
_MISS_WEIGHTS = np.array([75, 23, 43], dtype=float)


class OrderLife:
    """Moves the orders of a world forward."""

    __slots__ = ("draws", "mess", "old_tool", "people", "state")

    def __init__(self, state: State, people: People, mess: Mess, old_tool: OldTool | None) -> None:
        self.state = state
        self.people = people
        self.mess = mess
        self.draws = people.draws
        self.old_tool = old_tool

    def place(
        self,
        *,
        person: Ints,
        at: Ints,
        key: Ints,
        slot: Ints,
        quote_key: Ints,
        model: Ints,
        price: Ints,
        platform: Ints,
        cause: Ints,
    ) -> None:
        """Orders come in; decide how the first hours go."""
        if not len(person):
            return
        draws = self.draws
        roll = draws.unit("order/resolve", key)
        prompt = roll < 0.69
        cancels = (roll >= 0.69) & (roll < 0.735)
        # The rest waits for somebody to call; a reminder brings some of them back.
        nudged = np.zeros(len(key))
        if self.old_tool is not None:
            outcome = self.old_tool.trigger(
                "order_not_completed",
                person,
                np.where(prompt | cancels, NEVER, at + DAY),
                key,
            )
            nudged = np.where(outcome.read < NEVER, 0.22 * self.state.behaviour.uplift, 0.0)
        tardy = ~prompt & ~cancels & draws.chance(0.09 + nudged, "order/tardy", key)
        hours = np.select(
            [prompt, cancels, tardy],
            [
                draws.between(0.17, 2.0, "order/confirm", key),
                draws.between(0.8, 20.0, "order/cancel", key),
                draws.between(25.0, 110.0, "order/late", key),
            ],
            120.0,
        )
        plan = np.select([prompt | tardy, cancels], [_CONFIRM, _CANCEL], _EXPIRE)
        state = self.state
        state["persons"]["open_until"][person] = NEVER
        state["orders"].append(
            len(person),
            key=key,
            person=person,
            slot=slot,
            quote_key=quote_key,
            model=model,
            price=price,
            final=-1,
            status=Status.PLACED,
            platform=platform,
            created=at,
            updated=at,
            phase=_RESOLVE,
            plan=plan,
            next=at + (hours * HOUR).astype(np.int64),
            cause=cause,
            dirty=True,
        )
        self._history(key, Status.PLACED, at, 0)

    def play(self, until: int) -> None:
        """Play every step due by an instant."""
        while True:
            orders = self.state["orders"]
            due = np.flatnonzero(~orders["done"] & (orders["next"] <= until))
            if not len(due):
                return
            phases = orders["phase"][due].copy()
            for phase, step in (
                (_RESOLVE, self._resolve),
                (_SCHEDULE, self._schedule),
                (AWAITING_SLOT, self._slot),
                (_RESULT, self._result),
                (_AFTER_FAILURE, self._after_failure),
                (_COMPLETE, self._complete),
                (_AFTERMATH, self._aftermath),
            ):
                rows = due[phases == phase]
                if len(rows):
                    step(rows)

    # ---- steps ---------------------------------------------------------------------------

    def _resolve(self, rows: Ints) -> None:
        orders = self.state["orders"]
        plan, at = orders["plan"][rows], orders["next"][rows].copy()
        confirmed = rows[plan == _CONFIRM]
        if len(confirmed):
            key, when = orders["key"][confirmed], at[plan == _CONFIRM]
            self._move(confirmed, Status.CONFIRMED, Fact.CONFIRMED, when)
            pause = self.draws.between(1.4, 9.0, "order/schedule", key)
            orders["next"][confirmed] = when + (pause * MINUTE).astype(np.int64)
            orders["phase"][confirmed] = _SCHEDULE
            uploads = self.draws.chance(0.80, "documents", key)
            hours = np.where(
                self.draws.chance(0.55, "documents/soon", key),
                self.draws.between(0.3, 10.0, "documents/wait", key),
                self.draws.between(10.0, 85.0, "documents/wait/long", key),
            )
            docs = np.where(uploads, when + (hours * HOUR).astype(np.int64), 0)
            orders["docs"][confirmed] = docs
            self.state["documents"].append(
                int(uploads.sum()), t=docs[uploads], order=key[uploads],
                person=orders["person"][confirmed[uploads]],
            )  # fmt: skip
            if self.old_tool is not None:
                day_later = when + DAY
                missing = (docs == 0) | (docs > day_later)
                self.old_tool.trigger(
                    "docs_reminder",
                    orders["person"][confirmed],
                    np.where(missing, day_later, NEVER),
                    key,
                )
        cancelled = plan == _CANCEL
        self._close(rows[cancelled], Status.CANCELLED, Fact.CANCELLED, at[cancelled], reason=1)
        expired = plan == _EXPIRE
        self._close(rows[expired], Status.EXPIRED, Fact.EXPIRED, at[expired], reason=3)

    def _schedule(self, rows: Ints) -> None:
        """A pickup is booked, the first or a new one."""
        state, draws = self.state, self.draws
        orders = state["orders"]
        at, key = orders["next"][rows].copy(), orders["key"][rows]
        attempt = orders["attempt"][rows].astype(np.int64) + 1
        orders["attempt"][rows] = attempt
        self._move(rows, Status.PICKUP_SCHEDULED, None, at)
        ahead = draws.choice([26, 34, 22, 18], "slot/days", key, attempt) + 1
        hour = _SLOT_HOURS[draws.below(4, "slot/hour", key, attempt)]
        midnight = (at + cat.IST) // DAY * DAY - cat.IST
        start = midnight + ahead * DAY + hour * HOUR
        # Never less than half a day away: the crews' tours are planned the evening before.
        start = np.where(start - at < 12 * HOUR, start + DAY, start)
        orders["slot_start"][rows] = start
        orders["nudge"][rows] = 0
        orders["phase"][rows] = AWAITING_SLOT
        orders["next"][rows] = start
        state["pickups"].append(
            len(rows),
            order=key,
            attempt=attempt,
            person=orders["person"][rows],
            slot_start=start,
            created=at,
            updated=at,
            dirty=True,
        )
        if self.old_tool is not None:
            moment = np.maximum(start - DAY, at + 30 * MINUTE)
            outcome = self.old_tool.trigger(
                "pickup_reminder",
                orders["person"][rows],
                np.where(moment < start - 2 * HOUR, moment, NEVER),
                key * 4 + attempt,
            )
            read = np.where(outcome.read < start, outcome.read, 0)
            orders["nudge"][rows] = read

    def _slot(self, rows: Ints) -> None:
        """The slot begins: is the seller there, with the papers?"""
        orders, draws = self.state["orders"], self.draws
        key, start = orders["key"][rows], orders["slot_start"][rows]
        attempt = orders["attempt"][rows].astype(np.int64)
        docs = (orders["docs"][rows] > 0) & (orders["docs"][rows] < start)
        effect = self.state.behaviour.reminder_effect * self.state.behaviour.uplift
        heed = np.where(orders["nudge"][rows] > 0, max(0.0, 1.0 - effect), 1.0)
        no_docs = ~docs & draws.chance(0.52 * heed, "pickup/docs", key, attempt)
        chance = np.where(attempt == 1, 0.245, 0.23) * heed
        misses = no_docs | draws.chance(chance, "pickup/miss", key, attempt)
        cause = _MISS_ANSWER + draws.choice(_MISS_WEIGHTS, "pickup/cause", key, attempt)
        plan = np.where(no_docs, _MISS_DOCS, np.where(misses, cause, _PICK))
        picked = start + (draws.between(8, 165, "pickup/when", key, attempt) * MINUTE).astype(
            np.int64
        )
        missed = (
            start
            + 3 * HOUR
            + (draws.between(4, 60, "pickup/missed", key, attempt) * MINUTE).astype(np.int64)
        )
        orders["plan"][rows] = plan
        orders["next"][rows] = np.where(misses, missed, picked)
        orders["phase"][rows] = _RESULT

    def _result(self, rows: Ints) -> None:
        orders, draws = self.state["orders"], self.draws
        plan, at = orders["plan"][rows].copy(), orders["next"][rows].copy()
        self._close_pickups(rows, plan, at)
        good = plan == _PICK
        done = rows[good]
        if len(done):
            key, when = orders["key"][done], at[good]
            self._move(done, Status.PICKED_UP, Fact.PICKED_UP, when)
            haggles = draws.chance(0.028, "order/haggle", key)
            hours = draws.between(2.3, 35.0, "order/complete", key)
            pause = np.where(haggles, 10 * MINUTE, (hours * HOUR).astype(np.int64))
            orders["plan"][done] = np.where(haggles, _HAGGLE, _PAY)
            orders["next"][done] = when + pause
            orders["phase"][done] = _COMPLETE
        failed = rows[~good]
        if len(failed):
            key, when = orders["key"][failed], at[~good]
            attempt = orders["attempt"][failed].astype(np.int64)
            self._move(failed, Status.PICKUP_FAILED, Fact.PICKUP_FAILED, when)
            nudged = np.zeros(len(failed))
            if self.old_tool is not None:
                outcome = self.old_tool.trigger(
                    "pickup_recovery",
                    orders["person"][failed],
                    np.where(attempt < 3, when + 2 * HOUR, NEVER),
                    key * 4 + attempt,
                )
                nudged = np.where(outcome.read < NEVER, 0.18 * self.state.behaviour.uplift, 0.0)
            again = (attempt < 3) & draws.chance(0.34 + nudged, "pickup/again", key, attempt)
            hours = np.where(again, draws.between(4.5, 48.0, "pickup/rebook", key, attempt), 168.0)
            orders["plan"][failed] = np.where(again, _REBOOK, _GIVE_UP)
            orders["next"][failed] = when + (hours * HOUR).astype(np.int64)
            orders["phase"][failed] = _AFTER_FAILURE

    def _after_failure(self, rows: Ints) -> None:
        orders = self.state["orders"]
        again = orders["plan"][rows] == _REBOOK
        if again.any():
            self._schedule(rows[again])
        at = orders["next"][rows].copy()
        self._close(rows[~again], Status.FAILED, Fact.FAILED, at[~again], reason=4)

    def _complete(self, rows: Ints) -> None:
        state, draws = self.state, self.draws
        orders = state["orders"]
        at = orders["next"][rows].copy()
        haggled = orders["plan"][rows] == _HAGGLE
        self._close(rows[haggled], Status.CANCELLED, Fact.CANCELLED, at[haggled], reason=2)
        paid, when = rows[~haggled], at[~haggled]
        if not len(paid):
            return
        key = orders["key"][paid]
        cut = draws.chance(0.12, "order/cut", key)
        share = np.where(cut, draws.between(0.74, 0.95, "order/cut/share", key), 1.0)
        final = (orders["price"][paid] * share / 10).astype(np.int64) * 10
        orders["final"][paid] = final
        orders["completed"][paid] = when
        self._move(paid, Status.COMPLETED, Fact.COMPLETED, when)
        state["persons"]["open_until"][orders["person"][paid]] = when
        state["payouts"].append(
            len(paid), t=when, order=key, amount=final,
            mode=draws.choice([33, 34, 33], "payout/mode", key),
        )  # fmt: skip
        answered = np.zeros(len(paid))
        if self.old_tool is not None:
            outcome = self.old_tool.trigger(
                "feedback_request", orders["person"][paid], when + DAY, key
            )
            answered = np.where(outcome.read < NEVER, 0.22, 0.0)
        rates = draws.chance(0.10 + answered, "feedback", key)
        hours = draws.between(3.0, 60.0, "feedback/wait", key)
        state["feedback"].append(
            int(rates.sum()),
            t=(when + (hours * HOUR).astype(np.int64))[rates],
            order=key[rates],
            person=orders["person"][paid[rates]],
            rating=1 + draws.choice([3, 4, 22, 36, 35], "feedback/rating", key[rates]),
        )
        roll = draws.unit("order/aftermath", key)
        plan = np.select([roll < 0.012, roll < 0.045], [_RETURN, _CORRECT], _NOTHING)
        hours = np.where(
            plan == _RETURN,
            draws.between(36.0, 190.0, "order/return", key),
            draws.between(6.0, 110.0, "order/correct", key),
        )
        orders["plan"][paid] = plan
        orders["phase"][paid] = _AFTERMATH
        orders["next"][paid] = when + (hours * HOUR).astype(np.int64)

    def _aftermath(self, rows: Ints) -> None:
        """Returned, or the final price was corrected behind ``updated_at``'s back."""
        orders, draws = self.state["orders"], self.draws
        plan, at = orders["plan"][rows], orders["next"][rows].copy()
        corrected = rows[plan == _CORRECT]
        if len(corrected):
            share = draws.between(0.80, 0.97, "order/correct/share", orders["key"][corrected])
            orders["final"][corrected] = (orders["final"][corrected] * share / 10).astype(
                np.int64
            ) * 10
            orders["dirty"][corrected] = True
        returned = plan == _RETURN
        back, when = rows[returned], at[returned]
        if len(back):
            self._move(back, Status.RETURNED, Fact.RETURNED, when)
            self.state["payouts"].append(
                len(back), t=when, order=orders["key"][back], amount=-orders["final"][back],
                mode=draws.choice([33, 34, 33], "payout/mode", orders["key"][back]), reversal=True,
            )  # fmt: skip
        orders["done"][rows] = True

    # ---- helpers -------------------------------------------------------------------------

    def _move(self, rows: Ints, status: Status, fact: Fact | None, at: Ints) -> None:
        """Set a status, its history row and its line in the log."""
        orders = self.state["orders"]
        orders["status"][rows] = status
        orders["updated"][rows] = at
        orders["dirty"][rows] = True
        key = orders["key"][rows]
        attempt = orders["attempt"][rows].astype(np.int64)
        self._history(key, status, at, attempt)
        if fact is not None:
            self.state["log"].append(
                len(rows), t=at, person=orders["person"][rows], fact=fact, entity=key,
                extra=attempt,
            )  # fmt: skip

    def _close(self, rows: Ints, status: Status, fact: Fact, at: Ints, *, reason: int) -> None:
        if not len(rows):
            return
        orders = self.state["orders"]
        orders["reason"][rows] = reason
        self._move(rows, status, fact, at)
        orders["done"][rows] = True
        person = orders["person"][rows]
        self.state["persons"]["open_until"][person] = at
        if self.old_tool is not None:
            self.old_tool.trigger("cancelled_recovery", person, at + 3 * DAY, orders["key"][rows])

    def _close_pickups(self, rows: Ints, plan: Ints, at: Ints) -> None:
        orders, pickups = self.state["orders"], self.state["pickups"]
        waiting = np.flatnonzero(pickups["status"] == 0)
        wanted = orders["key"][rows] * 4 + orders["attempt"][rows]
        held = pickups["order"][waiting] * 4 + pickups["attempt"][waiting]
        sorter = np.argsort(held, kind="stable")
        found = waiting[sorter[np.searchsorted(held, wanted, sorter=sorter)]]
        pickups["status"][found] = np.where(plan == _PICK, 1, 2)
        pickups["reason"][found] = np.where(plan == _PICK, 0, plan)
        pickups["updated"][found] = at
        pickups["dirty"][found] = True

    def _history(self, key: Ints, status: Status, at: Ints, attempt: Ints | int) -> None:
        """History rows with their mess: some early, some written late, some twice, whole days."""
        draws = self.draws
        step = np.broadcast_to(np.asarray(attempt) * 16 + int(status), key.shape)
        early: NDArray[np.bool_] = draws.chance(0.006, "history/early", key, step)
        stamp = np.where(early, at - 2 * MINUTE, at)
        tardy = draws.chance(0.012, "history/tardy", key, step)
        pause = (draws.between(3, 40, "history/pause", key, step) * MINUTE).astype(np.int64)
        insert = np.where(tardy, at + pause, at)
        self.state["history"].append(
            len(key), t=stamp, insert=insert, order=key, status=status, step=step
        )
        twice = draws.chance(0.014, "history/twice", key, step)
        self.state["history"].append(
            int(twice.sum()), t=stamp[twice], insert=insert[twice], order=key[twice],
            status=status, step=step[twice] + 1000,
        )  # fmt: skip
        day = (insert + cat.IST) // DAY
        loaded = self.mess.loaded_twice(day)
        night = (day + 1) * DAY - cat.IST + 3 * HOUR
        self.state["history"].append(
            int(loaded.sum()), t=stamp[loaded], insert=night[loaded], order=key[loaded],
            status=status, step=step[loaded] + 2000,
        )  # fmt: skip
