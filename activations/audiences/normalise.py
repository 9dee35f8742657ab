"""Identifiers as ad platforms want them before hashing.

Belongs here: pure text to text, and SHA-256. Does not belong here: which people are in an audience
(SQL). Source: Meta's customer-information-parameters page. Meta's rules are its own: it wants a
phone without ``+`` where others want one, and keeps the dots of a mailbox where others drop them.
A missing value is the empty text and never the hash of the empty text.
"""

from __future__ import annotations

import hashlib
import re

_NOT_DIGIT = re.compile(r"[^0-9]")
# A mobile number in India begins with 6 to 9; people write it with 0, 91, 0091 or nothing before.
_INDIA = re.compile(r"(?:0{0,2}91|0)?([6-9][0-9]{9})")


def normalise_email(text: str) -> str:
    """Return an e-mail address trimmed and in lower case, nothing else; '' for none."""
    return text.strip().lower()


def normalise_phone(text: str) -> str:
    """Return a phone number as digits with country code, no ``+``, no leading zeros.

    A number without country code is read as Indian when it can be an Indian mobile.

    Args:
        text: As written; spaces, brackets and dashes do not matter.

    Returns:
        Digits, or '' when there are none.
    """
    has_code = text.strip().startswith("+")
    digits = _NOT_DIGIT.sub("", text)
    indian = None if has_code else _INDIA.fullmatch(digits)
    if indian is not None:
        return f"91{indian[1]}"
    return digits.lstrip("0")


def hash_identifier(normalised: str) -> str:
    """Return the lower-case hex SHA-256 of a normalised identifier, '' for the empty one."""
    return hashlib.sha256(normalised.encode()).hexdigest() if normalised else ""


def hash_email(text: str) -> str:
    """Return the hash Meta matches an e-mail address by, '' for none."""
    return hash_identifier(normalise_email(text))


def hash_phone(text: str) -> str:
    """Return the hash Meta matches a phone number by, '' for none."""
    return hash_identifier(normalise_phone(text))
