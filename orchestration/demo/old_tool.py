"""The former marketing tool: what it sent before the world's start, while people lived on.

Belongs here: who it messaged and why, with which arm, and the visits its messages caused. Does
not belong here: the export it left behind (``crm_writer.py``).

It is deliberately simpler than ours: it looks at quotes and orders only, knows no caps, sends
between 9 and 21 o'clock. Its journeys have controls, so lift can be measured in its history.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orchestration.demo import catalogue as cat
from orchestration.demo.frames import Frame
from orchestration.demo.people import People
from orchestration.demo.reactions import Outcome, campaign_numbers, play_out
from orchestration.demo.rng import Ints
from orchestration.demo.state import State

ENTRY_SCHEMA = {
    "key": "i8", "contact": "i8", "person": "i8", "journey": "i2", "t": "i8", "holdout": "?",
    "control": "?", "variant": "i1", "sent": "i8", "channel": "i1",
}  # fmt: skip
_PROMOTIONAL = frozenset({"abandoned_price_view", "cancelled_recovery", "winback_inactive"})
#: Journeys that ran an experiment; the others have no variant.
EXPERIMENTS = {
    "abandoned_price_view": "exp_apv_subject",
    "feedback_request": "exp_fb_script",
    "order_not_completed": "exp_onc_cta",
    "pickup_reminder": "exp_pick_timing",
    "winback_inactive": "exp_wb_offer",
}
_HOLDOUT, _CONTROL = 0.04, 0.15
#: Keys of visits that messages cause start here; those of organic visits stay far below.
INJECTED = np.int64(2**58)


class OldTool:
    """Entries and sends of the former tool, collected while the history is played."""

    __slots__ = ("_until", "entries", "people", "state")

    def __init__(self, state: State, people: People) -> None:
        self.state = state
        self.people = people
        self.entries = Frame(ENTRY_SCHEMA)
        self._until = int(state.meta["start"])

    def trigger(self, journey: str, person: Ints, at: Ints, key: Ints) -> Outcome:
        """A journey's condition came true for people; record it, and inject the visits it causes.

        Args:
            journey: Campaign name.
            person: Who.
            at: When each became eligible.
            key: Draw key of what it is about.

        Returns:
            What became of the messages; those never sent failed and were never read.
        """
        state, people, draws = self.state, self.people, self.people.draws
        code = cat.CAMPAIGNS.index(journey)
        persons = state["persons"]
        promotional = journey in _PROMOTIONAL
        known = (persons["contact"][person] > 0) & (persons["known"][person] <= at)
        begin = int(state.meta["old_tool_from"])
        inside = known & (at >= begin) & (at < self._until)
        alive = (persons["deleted"][person] == 0) | (persons["deleted"][person] > at)
        holdout = draws.chance(_HOLDOUT, "old/holdout", person)
        control = holdout | draws.chance(_CONTROL, f"old/control/{journey}", person)
        # Office hours, 9 to 21 o'clock IST, releases spread over twenty minutes.
        hour = (at + cat.IST) % cat.DAY
        wait = np.where(hour < 9 * cat.HOUR, 9 * cat.HOUR - hour, 0)
        wait = np.where(hour >= 21 * cat.HOUR, 33 * cat.HOUR - hour, wait)
        spread = draws.between(30e6, 1200e6, "old/spread", key).astype(np.int64)
        sent = at + wait + spread
        channel = reachable_channel(state, people, person, sent, promotional=promotional)
        entered = inside & alive & (channel >= 0)
        sends = entered & ~control & (sent < self._until)
        variant = np.where(draws.chance(0.5, "old/variant", person, code), 1, 2)
        variant = variant if journey in EXPERIMENTS else np.zeros_like(variant)
        chosen = np.flatnonzero(entered)
        self.entries.append(
            len(chosen),
            key=key[chosen],
            contact=persons["contact"][person[chosen]],
            person=person[chosen],
            journey=code,
            t=at[chosen],
            holdout=holdout[chosen],
            control=control[chosen],
            variant=variant[chosen],
            sent=np.where(sends, sent, 0)[chosen],
            channel=channel[chosen],
        )
        clicks, orders, quotes = campaign_numbers(state.behaviour, [journey])
        outcome = play_out(
            people,
            person=person,
            channel=np.maximum(channel, 0),
            click_rate=np.full(len(person), clicks[0]),
            promotional=np.full(len(person), promotional),
            sent=sent,
            key=message_key(key, code),
        )
        never = np.where(sends, 0, cat.NEVER)
        outcome = Outcome(
            failed=outcome.failed | ~sends,
            delivered=np.maximum(outcome.delivered, never),
            read=np.maximum(outcome.read, never),
            machine_open=np.maximum(outcome.machine_open, never),
            click=np.maximum(outcome.click, never),
            stop=np.maximum(outcome.stop, never),
            complaint=np.maximum(outcome.complaint, never),
        )
        visits = np.flatnonzero((outcome.click < cat.NEVER) & (channel >= 0))
        state["injected"].append(
            len(visits),
            person=person[visits],
            t=outcome.click[visits],
            key=injected_key(message_key(key, code)[visits]),
            campaign=code,
            medium=channel[visits],
            order=orders[0],
            quote=quotes[0],
        )
        for number in range(len(cat.CHANNELS)):
            hit = (outcome.stop < cat.NEVER) & (channel == number)
            who = person[hit]
            held = persons[f"stop{number}"][who]
            persons[f"stop{number}"][who] = np.where(held == 0, outcome.stop[hit], held)
            state["log"].append(
                len(who), t=outcome.stop[hit], person=who, fact=cat.Fact.OPTED_OUT, entity=number
            )
        return outcome


def message_key(key: Ints, code: int) -> Ints:
    """Draw key of the message a journey sends about something."""
    return (key * 16 + code) & np.int64(2**60 - 1)


def injected_key(key: Ints) -> Ints:
    """Key of the visit a message causes; never that of an organic visit."""
    return (key & (INJECTED // 2 - 1)) | INJECTED


def reachable_channel(
    state: State, people: People, person: Ints, at: Ints, *, promotional: bool
) -> NDArray[np.int8]:
    """First of WhatsApp, SMS, e-mail, push that may and can be used; -1 when none."""
    persons = state["persons"]
    flags = people.consent(person)
    kind = people.phone_kind(person)
    phone = ~np.isin(
        kind, [cat.PhoneKind.PLACEHOLDER, cat.PhoneKind.INVALID, cat.PhoneKind.LANDLINE]
    )
    app = (people.platform(person, 0) != cat.Platform.WEB) | people.has_second_device(person)
    usable = (phone, phone, people.has_email(person, 0), app)
    channel = np.full(len(person), -1, dtype=np.int8)
    for code in reversed(range(len(cat.CHANNELS))):
        stop = persons[f"stop{code}"][person]
        allowed = (flags[:, code] == 1) if promotional else (flags[:, code] != 0)
        allowed &= (stop == 0) | (stop > at)
        channel = np.where(usable[code] & allowed, code, channel)
    return channel.astype(np.int8)
