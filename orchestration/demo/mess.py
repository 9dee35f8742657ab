"""What goes wrong on the way from a fact to a source row.

Belongs here: spellings, lateness, duplication, outages, export timing, each as a pure function of
the row or the day. Does not belong here: facts, and the shapes of the sources (the writers).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from orchestration.demo import catalogue as cat
from orchestration.demo.people import People
from orchestration.demo.rng import Draws, Ints

_DEVANAGARI = str.maketrans("0123456789", "०१२३४५६७८९")
_SPELLING_WEIGHTS = np.array([44, 14, 9, 8, 6, 6, 3, 2.5, 2, 2, 1.5, 2])
#: Length of the stretches of days that hold exactly one tag outage and one doubled day each.
_STRETCH_DAYS = 40
_LOAD_STRETCH_DAYS = 60


def spell_phone(number: int, style: int) -> str:
    """One of the dozen spellings people and forms give a number; short numbers stay as they are."""
    digits = f"{number:010d}" if number in cat.PLACEHOLDER_PHONES else str(number)
    if len(digits) != 10:
        return digits
    head, tail = digits[:5], digits[5:]
    return (
        digits,
        f"+91{digits}",
        f"+91 {head} {tail}",
        f"91{digits}",
        f"0{digits}",
        f"{head}-{tail}",
        f"+91-{digits}",
        f"0091{digits}",
        f" {digits} ",
        f"{digits}.0",
        digits.translate(_DEVANAGARI),
        f"(+91) {digits[:4]} {digits[4:7]} {digits[7:]}",
    )[style]


class Mess:
    """The rates of trouble of one world."""

    __slots__ = ("draws", "people")

    def __init__(self, draws: Draws, people: People) -> None:
        self.draws = draws
        self.people = people

    # ---- text ----------------------------------------------------------------------------

    def phones(self, numbers: Ints, key: Ints, place: str) -> list[str | None]:
        """Spelt numbers; -1 stays NULL. ``place`` is the table, so tables disagree."""
        styles = self.draws.choice(_SPELLING_WEIGHTS, f"spell/phone/{place}", key)
        return [
            None if number < 0 else spell_phone(number, style)
            for number, style in zip(numbers.tolist(), styles.tolist(), strict=True)
        ]

    def emails(self, person: Ints, slot: Ints | int, key: Ints) -> list[str | None]:
        """Addresses as typed: capitals, a leading space, gmail dots, tags; NULL when not given."""
        given = self.people.has_email(person, slot).tolist()
        plain = self.people.emails(person, slot)
        styles = self.draws.choice([40, 8, 5, 3, 8, 36], "spell/mail", key).tolist()
        spelt: list[str | None] = []
        for has_one, address, style in zip(given, plain, styles, strict=True):
            if not has_one:
                spelt.append(None)
                continue
            local, _, domain = address.partition("@")
            if style == 5 and domain in ("gmail.com", "googlemail.com"):
                cut = local.rindex("s", 0, len(local))
                local = f"{local[:cut]}.{local[cut:]}"
            text = f"{local}@{domain}"
            if style == 1:
                text = text.upper()
            elif style == 2:
                text = text.title()
            elif style == 3:
                text = f" {text}"
            elif style == 4:
                text = f"{local}+cashkr@{domain}"
            spelt.append(text)
        return spelt

    def names(self, person: Ints, key: Ints) -> list[str | None]:
        """Names as typed: many scripts, ALL CAPS, 'N/A', now and then NULL."""
        firsts = self.people.first_index(person).tolist()
        lasts = self.people.last_index(person).tolist()
        styles = self.draws.choice([88, 5, 3, 2.5, 1.5], "spell/name", key).tolist()
        spelt: list[str | None] = []
        for first, last, style in zip(firsts, lasts, styles, strict=True):
            given, family = cat.FIRST_NAMES[first][0], cat.LAST_NAMES[last]
            if style == 3:
                spelt.append(None)
                continue
            text = f"{'N/A' if style == 2 else given} {family}".strip()
            if style == 1:
                text = text.upper()
            elif style == 4:
                text = f"  {text} "
            spelt.append(text)
        return spelt

    def cities(self, city: Ints, key: Ints) -> list[str]:
        """Cities in the spellings of the account form."""
        rolls = self.draws.below(12, "spell/city", key).tolist()
        return [
            cat.CITIES[index][2][roll % len(cat.CITIES[index][2])]
            for index, roll in zip(city.tolist(), rolls, strict=True)
        ]

    # ---- GA4 days ------------------------------------------------------------------------

    def outage(self, day: Ints) -> tuple[Ints, Ints]:
        """The stretch of a day (days since the epoch, IST) in which the web tag was broken.

        Returns:
            Start and end in microseconds since the day's midnight; equal when nothing broke.
        """
        stretch = day // _STRETCH_DAYS
        chosen = self.draws.below(_STRETCH_DAYS, "outage/day", stretch)
        start = self.draws.below(12, "outage/hour", stretch) * cat.HOUR + 6 * cat.HOUR
        length = (3 + self.draws.below(4, "outage/length", stretch)) * cat.HOUR
        hit = day % _STRETCH_DAYS == chosen
        return np.where(hit, start, 0), np.where(hit, start + length, 0)

    def is_doubled(self, day: Ints) -> NDArray[np.bool_]:
        """Whether the web tag fired twice that day (never on the day of an outage)."""
        stretch = day // _STRETCH_DAYS
        outage = self.draws.below(_STRETCH_DAYS, "outage/day", stretch)
        shift = 1 + self.draws.below(_STRETCH_DAYS - 1, "doubled/day", stretch)
        return day % _STRETCH_DAYS == (outage + shift) % _STRETCH_DAYS

    def exports(self, day: int) -> tuple[int, int, int, int]:
        """When the tables of a day change, in epoch microseconds UTC.

        Returns:
            First export, moment the intraday table vanishes, second and last re-export.
        """
        end = (day + 1) * cat.DAY - cat.IST
        rolls = self.draws.unit("export", day, np.arange(3))
        first = end + int((5.0 + 5.0 * rolls[0]) * cat.HOUR)
        second = first + cat.DAY + int(2.0 * rolls[1] * cat.HOUR)
        last = second + cat.DAY + int(2.0 * rolls[2] * cat.HOUR)
        return first, first + cat.HOUR, second, last

    # ---- admin ---------------------------------------------------------------------------

    def loaded_twice(self, day: Ints) -> NDArray[np.bool_]:
        """Days whose order history was loaded a second time on the following night."""
        stretch = day // _LOAD_STRETCH_DAYS
        return day % _LOAD_STRETCH_DAYS == self.draws.below(_LOAD_STRETCH_DAYS, "load/day", stretch)


def micros(moment: datetime) -> int:
    """Epoch microseconds of an aware instant, exactly."""
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * cat.SECOND + delta.microseconds


def moment(instant: int) -> datetime:
    """The aware UTC datetime of epoch microseconds."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(instant))


def ist_day(instant: Ints) -> Ints:
    """Days since the epoch in IST."""
    return (instant + cat.IST) // cat.DAY
