"""What a person is known by, brought to one spelling and hashed with a key.

Belongs here: pure text to text. Does not belong here: where the hashes are kept.

The hash is keyed BLAKE2b (RFC 7693) over kind and value: there are only ten thousand million Indian
mobile numbers, so a hash without a key could be turned back by trying them all. HMAC-SHA256 says the same
at ten times the price (20 against 2 microseconds through OpenSSL), and a pull hashes millions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import phonenumbers

from activations.errors import ConfigurationError

# Shorter keys can be guessed.
SHORTEST_KEY = 32
# Digits at the end of a phone, the same in every spelling of it.
TAIL_DIGITS = 6
_DEFAULT_REGION = "IN"
_SEPARATORS = str.maketrans("", "", " \t\u00a0()./+-")
_FLOAT_ENDING = ".0"
_GMAIL = ("gmail.com", "googlemail.com")


class Kind(StrEnum):
    """What an identifier is.

    Attributes:
        CUSTOMER: Ours, former ones included.
        USER: An account of the admin panel.
        CONTACT: A contact of the CRM.
        DEVICE: GA4's user_pseudo_id.
        ORDER: An order, which pickups, documents, payouts and GA4 purchases name.
        QUOTE: A quote, which orders name.
        MESSAGE: A message of the older tool, which its receipts name.
        PHONE: E.164.
        EMAIL: Folded.
        PHONE_TAIL: The last digits of a phone: cheap to compare, before a number is parsed.
    """

    CUSTOMER = "customer"
    USER = "user"
    CONTACT = "contact"
    DEVICE = "device"
    ORDER = "order"
    QUOTE = "quote"
    MESSAGE = "message"
    PHONE = "phone"
    EMAIL = "email"
    PHONE_TAIL = "phone_tail"


def fold_email(text: str) -> str | None:
    """Return an e-mail in lower case without +tag, at gmail without dots; None for what is none.

    The same as the macro `folded_email`, by which identity knows a mailbox.
    """
    mailbox, _, domain = text.strip().lower().partition("@")
    if not mailbox or not domain:
        return None
    mailbox = mailbox.split("+", 1)[0] or mailbox
    if domain in _GMAIL:
        return f"{mailbox.replace('.', '')}@gmail.com"
    return f"{mailbox}@{domain}"


def read_phone(text: str) -> str | None:
    """Return a phone in any spelling as E.164, a number without country code as Indian; None for what is none."""
    try:
        number = phonenumbers.parse(text.strip().removesuffix(_FLOAT_ENDING), _DEFAULT_REGION)
    except phonenumbers.NumberParseException:
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def phone_tail(text: str) -> str | None:
    """Return the last digits of a phone, or None where only parsing can tell (letters, other scripts, too short)."""
    digits = text.strip().removesuffix(_FLOAT_ENDING).translate(_SEPARATORS)
    if len(digits) < TAIL_DIGITS or not (digits.isascii() and digits.isdigit()):
        return None
    return digits[-TAIL_DIGITS:]


def normalise(kind: Kind, text: str) -> str | None:
    """Return the one spelling of an identifier, or None for what cannot be one."""
    match kind:
        case Kind.EMAIL:
            return fold_email(text)
        case Kind.PHONE:
            return read_phone(text)
        case _:
            return text.strip() or None


class KeyedHash:
    """Hashes identifiers with one key. Its repr shows no key."""

    __slots__ = ("_key",)

    def __init__(self, key: str) -> None:
        """Prepare.

        Raises:
            ConfigurationError: The key is too short to be a secret.
        """
        if len(key) < SHORTEST_KEY:
            raise ConfigurationError(
                f"ERASURE_KEY has {len(key)} characters and needs {SHORTEST_KEY} or more: make one "
                "with `openssl rand -hex 32`"
            )
        # BLAKE2b takes keys of at most 64 bytes.
        self._key = hashlib.sha512(key.encode()).digest()

    def of(self, kind: Kind, normalised: str) -> str:
        """Return the hash of an identifier that is in its one spelling, as lower-case hex."""
        return self.of_kind(kind)(normalised)

    def of_kind(self, kind: Kind) -> Callable[[str], str]:
        """Return the function that hashes identifiers of one kind, for many of them."""
        key, prefix, blake2b = self._key, f"{kind.value}:".encode(), hashlib.blake2b

        def digest(normalised: str) -> str:
            return blake2b(prefix + normalised.encode(), digest_size=32, key=key).hexdigest()

        return digest

    @property
    def check(self) -> str:
        """A mark that tells this key from another and gives nothing away."""
        return hashlib.blake2b(b"lifecycle erasure key", digest_size=8, key=self._key).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Everything one person is known by that nobody else is.

    Attributes:
        values: Kind to values, as the sources and we wrote them; never in a repr.
    """

    values: Mapping[Kind, tuple[str, ...]] = field(repr=False)

    def of(self, *kinds: Kind) -> tuple[str, ...]:
        """Return the values of some kinds."""
        return tuple(value for kind in kinds for value in self.values.get(kind, ()))

    def plus(self, found: Mapping[Kind, Iterable[str]]) -> Person:
        """Return the person with more values."""
        merged = {kind: set(values) for kind, values in self.values.items()}
        for kind, values in found.items():
            merged.setdefault(kind, set()).update(values)
        return Person(values={kind: tuple(sorted(merged[kind])) for kind in sorted(merged)})

    def to_json(self) -> str:
        """Return it as text for the ledger, which keeps it only until everything is erased."""
        return json.dumps({kind.value: list(values) for kind, values in self.values.items()})

    @classmethod
    def from_json(cls, text: str) -> Person:
        """Read what `to_json` wrote."""
        return cls(values={Kind(kind): tuple(values) for kind, values in json.loads(text).items()})


def hashes_of(person: Person, keyed: KeyedHash) -> list[tuple[Kind, str]]:
    """Return (kind, hash) of all a person is known by, each once."""
    found: dict[tuple[Kind, str], None] = {}
    for kind, values in person.values.items():
        for value in values:
            normalised = normalise(kind, value)
            if normalised is None:
                continue
            found[kind, keyed.of(kind, normalised)] = None
            tail = phone_tail(normalised) if kind is Kind.PHONE else None
            if tail is not None:
                found[Kind.PHONE_TAIL, keyed.of(Kind.PHONE_TAIL, tail)] = None
    return list(found)
