"""Keeps people out of logs and error columns.

Belongs here: making a provider's free text safe to store. Does not belong here: anything that
decides by that text.
"""

from __future__ import annotations

import re

_MAIL = re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+")
# Seven digits or more, however grouped: a phone number, or an id nobody needs in a sentence.
_NUMBER = re.compile(r"\+?\d(?:[\s().-]?\d){6,}")
_LONGEST = 200


def scrub(text: str) -> str:
    """Return a text without e-mail addresses and long numbers, at most 200 characters."""
    cleaned = _NUMBER.sub("[number]", _MAIL.sub("[address]", text))
    return " ".join(cleaned.split())[:_LONGEST]
