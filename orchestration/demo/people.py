"""Who the people are: everything about a person that never changes.

Belongs here: identifiers, names, devices, consents given at sign-up, temperament, all as pure
functions of the person's number. Does not belong here: what a person does (``behaviour.py``) and
how the sources misspell it (``mess.py``).

A person is an index from 0. Two neighbours (2k, 2k+1) may be a household. Phone numbers and
e-mail addresses carry the index, so an address leads back to its person without a table.
"""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import NDArray

from orchestration.demo import catalogue as cat
from orchestration.demo.rng import Draws, Floats, Ints

#: Address slots of a person: the usual one, that of a second account, one left in a lead form.
SLOTS = 4
#: Numbers drawn from 60…, 69… and 70…: there every number is a valid Indian mobile number,
#: and neither test range (90000…) nor kiosks (91000…) nor placeholders can be met.
_PREFIXES = np.array([60, 69, 70], dtype=np.int64)
_PHONE_SPACE = 300_000_000
_MAIL_INDEX = re.compile(r"s(\d+)$")

Flags = NDArray[np.bool_]


class People:
    """The population of one world, known by index only."""

    __slots__ = ("_inverse", "_offset", "_step", "draws")

    def __init__(self, draws: Draws) -> None:
        self.draws = draws
        # An affine map modulo the size of the number space is a bijection when the step has no
        # common factor with it: unique numbers, and the inverse gives the person back.
        step = 150_000_001 + 2 * int(draws.below(60_000_000, "phone/step", 0)[0])
        while math.gcd(step, _PHONE_SPACE) != 1:
            step += 2
        self._step = step
        self._inverse = pow(step, -1, _PHONE_SPACE)
        self._offset = int(draws.below(_PHONE_SPACE, "phone/offset", 0)[0])

    # ---- identity ------------------------------------------------------------------------

    def is_test(self, person: Ints) -> Flags:
        """Staff who try things out: 0.4 %."""
        return self.draws.chance(0.004, "test", person)

    def in_household(self, person: Ints) -> Flags:
        """Whether the person shares a phone number with a neighbour."""
        return self.draws.chance(0.052, "household", person // 2) & ~self.is_test(person)

    def phone_kind(self, person: Ints) -> Ints:
        """``PhoneKind`` of the number the person gives."""
        roll = self.draws.unit("phone/kind", person)
        kind = np.select(
            [roll < 0.004, roll < 0.007, roll < 0.0105, roll < 0.0125],
            [
                cat.PhoneKind.KIOSK,
                cat.PhoneKind.PLACEHOLDER,
                cat.PhoneKind.INVALID,
                cat.PhoneKind.LANDLINE,
            ],
            cat.PhoneKind.OWN,
        )
        kind = np.where(self.in_household(person), cat.PhoneKind.HOUSEHOLD, kind)
        return np.where(self.is_test(person), cat.PhoneKind.OWN, kind).astype(np.int64)

    def own_phone(self, person: Ints, slot: Ints | int = 0) -> Ints:
        """The person's own ten-digit number for a slot."""
        position = (person * SLOTS + slot) % _PHONE_SPACE
        # 3e8 positions times a step below 2.8e8 stay within int64 (9.2e18).
        scattered = (position * self._step + self._offset) % _PHONE_SPACE
        return _PREFIXES[scattered // 100_000_000] * 100_000_000 + scattered % 100_000_000

    def phone(self, person: Ints, slot: Ints | int = 0) -> Ints:
        """The number the person gives (0 … 9 or 10 digits when invalid or a placeholder)."""
        kind = self.phone_kind(person)
        person = np.asarray(person)
        first = np.where(kind == cat.PhoneKind.HOUSEHOLD, person - person % 2, person)
        slot = np.where(kind == cat.PhoneKind.HOUSEHOLD, 0, slot)
        number = self.own_phone(first, slot)
        number = np.where(self.is_test(person), cat.TEST_PHONE + person % 1000, number)
        # 0.4 % of 2,500 people: a counter's number stands on some ten accounts.
        kiosk = cat.KIOSK_PHONE + person // 2500
        number = np.where(kind == cat.PhoneKind.KIOSK, kiosk, number)
        filler = np.array(cat.PLACEHOLDER_PHONES)[self.draws.below(3, "phone/filler", person)]
        number = np.where(kind == cat.PhoneKind.PLACEHOLDER, filler, number)
        number = np.where(kind == cat.PhoneKind.INVALID, number // 100, number)
        city_code = np.array([22, 11, 80, 40, 20, 44, 33])[
            self.draws.below(7, "phone/landline", person)
        ]
        landline = city_code * 100_000_000 + 20_000_000 + person % 10_000_000
        return np.where(kind == cat.PhoneKind.LANDLINE, landline, number)

    def person_of_phone(self, national: int) -> int:
        """Whose own number this is.

        Returns:
            The person's index (the elder of a household), or -1 when no person can have it.
        """
        prefix, rest = divmod(national, 100_000_000)
        matches = np.flatnonzero(prefix == _PREFIXES)
        if not len(matches):
            return -1
        scattered = int(matches[0]) * 100_000_000 + rest
        position = (scattered - self._offset) * self._inverse % _PHONE_SPACE
        return position // SLOTS

    def has_email(self, person: Ints, slot: Ints | int = 0) -> Flags:
        """Whether the person gave an e-mail address."""
        return self.draws.chance(0.67, "mail", person, slot)

    def emails(self, person: Ints, slot: Ints | int = 0) -> list[str]:
        """Canonical addresses (lower case, no dots or tags), also of people who never gave one."""
        person = np.asarray(person)
        slots = np.broadcast_to(np.asarray(slot), person.shape)
        domains = self.draws.choice(cat.MAIL_WEIGHTS, "mail/domain", person)
        testers = self.is_test(person) & self.draws.chance(0.6, "mail/test", person)
        names = self.first_index(person)
        return [
            f"{cat.FIRST_NAMES[name][1]}s{index * SLOTS + slot}"
            f"@{cat.TEST_DOMAIN if tester else cat.MAIL_DOMAINS[domain]}"
            for index, slot, name, domain, tester in zip(
                person.tolist(),
                slots.tolist(),
                names.tolist(),
                domains.tolist(),
                testers.tolist(),
                strict=True,
            )
        ]

    @staticmethod
    def person_of_email(address: str) -> int:
        """The index an address carries, or -1."""
        local = address.strip().lower().partition("@")[0].partition("+")[0].replace(".", "")
        found = _MAIL_INDEX.search(local)
        return int(found.group(1)) // SLOTS if found else -1

    def first_index(self, person: Ints) -> Ints:
        """Index into ``FIRST_NAMES``."""
        weights = np.array([3.0] * 19 + [1.0] * (len(cat.FIRST_NAMES) - 19))
        return self.draws.choice(weights, "name/first", person)

    def last_index(self, person: Ints) -> Ints:
        """Index into ``LAST_NAMES``; a household has one family name."""
        root = np.where(self.in_household(person), person - person % 2, person)
        return self.draws.below(len(cat.LAST_NAMES), "name/last", root)

    def city(self, person: Ints) -> Ints:
        """Index into ``CITIES``."""
        root = np.where(self.in_household(person), person - person % 2, person)
        return self.draws.choice(cat.CITY_WEIGHTS, "city", root)

    def language(self, person: Ints) -> Ints:
        """Index into ``LANGUAGES``."""
        return self.draws.below(len(cat.LANGUAGES), "language", person)

    # ---- devices -------------------------------------------------------------------------

    def platform(self, person: Ints, slot: Ints | int) -> Ints:
        """``Platform`` of the main (0) or the second (1) device; the two always differ."""
        main = self.draws.choice([60, 30, 10], "platform", person)
        other = self.draws.choice([0, 74, 26], "platform/second", person)
        second = np.where(main == cat.Platform.WEB, other, cat.Platform.WEB)
        return np.where(np.asarray(slot) == 0, main, second)

    def is_desktop(self, person: Ints) -> Flags:
        """Whether the person's browser is on a computer."""
        return self.draws.chance(0.28, "desktop", person)

    def has_second_device(self, person: Ints) -> Flags:
        """Whether the person uses both browser and app."""
        return self.draws.chance(0.16, "device/second", person)

    def device_owner(self, person: Ints) -> Ints:
        """Whose main device the person uses: a household often has one."""
        shared = self.in_household(person) & self.draws.chance(
            0.65, "household/device", person // 2
        )
        return np.where(shared, person - person % 2, person)

    def pseudo_ids(self, device: Ints, first_seconds: Ints) -> list[str]:
        """GA4 client ids (web) or app instance ids.

        Args:
            device: ``owner * 8 + slot * 4 + generation``.
            first_seconds: Epoch seconds of the device's first visit, part of a web client id.
        """
        owner, slot = device // 8, device % 8 // 4
        web = self.platform(owner, slot) == cat.Platform.WEB
        number = 100_000_000 + self.draws.below(2_000_000_000, "pseudo/web", device)
        high, low = self.draws.bits("pseudo/high", device), self.draws.bits("pseudo/low", device)
        return [
            f"{n}.{s}" if is_web else f"{h:016x}{w:016x}"
            for is_web, n, s, h, w in zip(
                web.tolist(),
                number.tolist(),
                np.asarray(first_seconds).tolist(),
                high.tolist(),
                low.tolist(),
                strict=True,
            )
        ]

    def blocks_analytics(self, person: Ints) -> Flags:
        """People whose browser sends nothing to GA4 at all: 6 %."""
        return self.draws.chance(0.06, "ga/blocked", person)

    def denies_consent(self, person: Ints) -> Flags:
        """People who refuse analytics storage: rows arrive without ids: 5 %."""
        return self.draws.chance(0.05, "ga/denied", person)

    def clock_offset(self, person: Ints) -> Ints:
        """What must be added to the device's timestamps, in microseconds; 0 for most."""
        wrong = self.draws.chance(0.008, "clock/wrong", person)
        offset = self.draws.between(-8000e6, 8000e6, "clock/offset", person).astype(np.int64)
        return np.where(wrong, offset, 0)

    # ---- temperament and consent ---------------------------------------------------------

    def consent(self, person: Ints) -> NDArray[np.int8]:
        """Opt-in flags given at sign-up, one column a channel: 1, 0, or -1 for never asked."""
        yes = (0.84, 0.87, 0.62, 0.33)
        columns = []
        for channel, share in enumerate(yes):
            asked = ~self.draws.chance(0.04, "consent/asked", person, channel)
            given = self.draws.chance(share, "consent/given", person, channel)
            columns.append(np.where(asked, given, -1))
        return np.stack(columns, axis=1).astype(np.int8)

    def eagerness(self, person: Ints) -> Floats:
        """Personal chance that a visit with a quote ends in an order."""
        roll = self.draws.unit("eagerness", person)
        return 0.05 + 0.76 * roll

    def loyalty(self, person: Ints) -> Floats:
        """Mean days until a person comes back after an episode has ended."""
        return 120.0 + 1100.0 * self.draws.unit("loyalty", person) ** 0.7

    def attention(self, person: Ints) -> Floats:
        """Personal factor on reading and clicking, mean 1."""
        return 0.35 + 1.3 * self.draws.unit("attention", person)

    def lacks(self, person: Ints, channel: Ints) -> Flags:
        """The person's address cannot be reached on this channel, for good."""
        share = np.array([0.055, 0.06, 0.025, 0.12])[np.asarray(channel)]
        return self.draws.chance(share, "address/lacks", person, channel)
