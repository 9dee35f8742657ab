"""What can go wrong with a source, as one tree, so that a caller can decide without reading text.

    SourceError                    base; never raised itself
    ├── SourceConfigError          who acts: whoever set the settings; a retry does not help
    ├── SourceAuthError            who acts: whoever owns the credential; a retry does not help
    ├── SourceUnreachableError     who acts: nobody at first; a retry may help (`is_transient`)
    ├── SourceSchemaError          who acts: whoever changed the source's columns; no retry
    ├── SourceFileError            who acts: whoever exports the file; no retry until it is replaced
    └── SourcePartialError         several of the above in one pull; `causes` holds them

Every message is one line: the thing, what is wrong with it, and the next step. Nothing secret and
nothing personal gets in: texts pass `redact`, and row values are never quoted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestration.sources.landing import PullResult

_URL_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")
_SECRET_PARAMETER = re.compile(
    r"(?i)\b(password|passwd|pwd|token|access_token|api_key|apikey|secret|hapikey|key)=[^&\s,;]+"
)
_BEARER = re.compile(r"(?i)\bbearer\s+\S+")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
# A mobile number in any usual spelling has ten digits or more; a day has eight, a port five.
_DIGITS = re.compile(r"(?<![\w.])\+?\d[\d\s-]{8,16}\d(?![\w.])")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\b")
_PHONE_DIGITS = 10


def _without_phone(match: re.Match[str]) -> str:
    text = match[0]
    digits = sum(character.isdigit() for character in text)
    return text if digits < _PHONE_DIGITS or _DAY.match(text) else "<number>"


def redact(text: str) -> str:
    """Return `text` on one line without credentials, e-mail addresses and phone numbers."""
    one_line = " ".join(text.split())
    cleaned = _URL_CREDENTIALS.sub("", one_line)
    cleaned = _SECRET_PARAMETER.sub(r"\1=***", cleaned)
    cleaned = _BEARER.sub("Bearer ***", cleaned)
    cleaned = _EMAIL.sub("<e-mail>", cleaned)
    return _DIGITS.sub(_without_phone, cleaned)


class SourceError(Exception):
    """A source could not be read, wholly or in part. What was landed before stays as it was.

    Attributes:
        thing: What failed, by the name a person knows it by (a file, a table, a server).
        problem: What is wrong with it.
        next_step: What to do about it.
        is_transient: Whether the same pull may succeed later without anybody acting.
        results: What the same pull did land and commit before or beside the failure.
    """

    is_transient: bool = False

    def __init__(self, thing: str, problem: str, next_step: str) -> None:
        self.thing = redact(thing)
        self.problem = redact(problem)
        self.next_step = redact(next_step)
        self.results: tuple[PullResult, ...] = ()
        super().__init__(self.thing, self.problem, self.next_step)

    def __str__(self) -> str:
        return f"{self.thing}: {self.problem}. Next step: {self.next_step}"


class SourceConfigError(SourceError):
    """A setting is wrong or contradicts another one."""


class SourceAuthError(SourceError):
    """The source knows us not, or no longer: wrong, expired or too weak a credential."""


class SourceUnreachableError(SourceError):
    """The source did not answer, or said that it cannot now."""

    is_transient = True


class SourceSchemaError(SourceError):
    """The source's tables, columns or types are not the ones agreed."""


class SourceFileError(SourceError):
    """An export file is missing, cut short or not what its name says."""


class SourcePartialError(SourceError):
    """Several things failed in one pull; the others were landed.

    Attributes:
        causes: The failures, in the order in which they happened.
    """

    def __init__(self, causes: Sequence[SourceError]) -> None:
        self.causes: tuple[SourceError, ...] = tuple(causes)
        first = causes[0]
        names = ", ".join(cause.thing for cause in self.causes[:5])
        more = "" if len(self.causes) <= 5 else f" and {len(self.causes) - 5} more"
        super().__init__(
            f"{names}{more}",
            f"{len(self.causes)} parts of one pull failed, first: {first.problem}",
            first.next_step,
        )
        self.is_transient = all(cause.is_transient for cause in self.causes)

    def __reduce__(self) -> tuple[type[SourcePartialError], tuple[tuple[SourceError, ...]]]:
        return type(self), (self.causes,)


def raise_collected(failures: Sequence[SourceError], results: Sequence[PullResult]) -> None:
    """Raise what was collected as one error carrying `results`; return when there is nothing."""
    if not failures:
        return
    error = failures[0] if len(failures) == 1 else SourcePartialError(failures)
    error.results = tuple(results)
    raise error
