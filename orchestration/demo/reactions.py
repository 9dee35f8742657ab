"""What a person does with a message: the draws every message goes through, old tool's or ours.

Belongs here: delivery, reading, clicking, complaining, as a pure function of person, channel,
campaign and the message's key. Does not belong here: what the click's visit does
(``behaviour.py``) and how receipts travel (``sandbox.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestration.demo import catalogue as cat
from orchestration.demo.people import People
from orchestration.demo.rng import Ints
from orchestration.demo.settings import Behaviour

#: Chance to read (open) a delivered message, by channel, before the personal factor.
_READ = np.array([0.64, 0.40, 0.30, 0.22])
#: Chance that a promotional message which was read brings an opt-out, by channel.
_STOP = np.array([0.011, 0.008, 0.006, 0.0])
_COMPLAINT = 0.002
_MACHINE_OPEN = 0.12


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What happens to messages; instants in epoch microseconds, ``catalogue.NEVER`` when not.

    Attributes:
        failed: The provider reports the address as unreachable (bounce, undeliverable).
        delivered: Instant of delivery.
        read: Instant a human read or opened it.
        machine_open: Instant a mail proxy fetched the pixel.
        click: Instant the link was followed.
        stop: Instant of the opt-out (STOP reply, unsubscribe).
        complaint: Instant it was reported as spam.
    """

    failed: NDArray[np.bool_]
    delivered: Ints
    read: Ints
    machine_open: Ints
    click: Ints
    stop: Ints
    complaint: Ints


def play_out(
    people: People,
    *,
    person: Ints,
    channel: Ints,
    click_rate: NDArray[np.float64],
    promotional: NDArray[np.bool_],
    sent: Ints,
    key: Ints,
) -> Outcome:
    """Decide what becomes of messages.

    Args:
        people: The population; says whose address is dead and who reads much.
        person: Recipient of each message.
        channel: ``Channel`` of each message.
        click_rate: Chance to follow the link, given read.
        promotional: Whether it advertises; care messages are read more and rarely stopped.
        sent: When the provider accepted it.
        key: Draw key of the message.
    """
    draws = people.draws
    failed = people.lacks(person, channel) | draws.chance(0.004, "message/failed", key)
    slow = draws.chance(0.07, "message/slow", key)
    lag = np.where(
        slow,
        draws.between(600, 32_000, "message/lag/slow", key),
        draws.between(0.8, 45, "message/lag", key),
    )
    delivered = np.where(failed, cat.NEVER, sent + (lag * cat.SECOND).astype(np.int64))
    factor = people.attention(person)
    chance = np.minimum(_READ[channel] * factor * np.where(promotional, 1.0, 1.25), 0.97)
    wait = np.exp(np.log(540.0) + 1.3 * draws.normal("message/read/wait", key)).clip(3, 100_000)
    reads = ~failed & draws.chance(chance, "message/read", key)
    read = np.where(reads, delivered + (wait * cat.SECOND).astype(np.int64), cat.NEVER)
    clicks = reads & draws.chance(np.minimum(click_rate * factor, 0.9), "message/click", key)
    pause = (draws.between(4, 150, "message/click/wait", key) * cat.SECOND).astype(np.int64)
    click = np.where(clicks, read + pause, cat.NEVER)
    stops = reads & promotional & ~clicks & draws.chance(_STOP[channel], "message/stop", key)
    stop = np.where(stops, read + 2 * pause, cat.NEVER)
    mail = channel == cat.Channel.EMAIL
    complains = reads & mail & promotional & draws.chance(_COMPLAINT, "message/complaint", key)
    complaint = np.where(complains, read + 3 * pause, cat.NEVER)
    proxied = mail & ~failed & draws.chance(_MACHINE_OPEN, "message/machine", key)
    machine = np.where(proxied, delivered + 2 * cat.SECOND, cat.NEVER)
    return Outcome(
        failed=failed,
        delivered=delivered,
        read=read,
        machine_open=machine,
        click=click,
        stop=stop,
        complaint=complaint,
    )


def campaign_numbers(
    behaviour: Behaviour, campaigns: list[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Click, order and quote chances by campaign code, the latter two scaled by the uplift."""
    responses = [behaviour.response(name) for name in campaigns]
    return (
        np.array([response.click for response in responses]),
        np.array([min(response.order * behaviour.uplift, 1.0) for response in responses]),
        np.array([min(response.quote * behaviour.uplift, 1.0) for response in responses]),
    )
