"""Who was erased, as sets of hashes in memory: what landing asks about every batch.

Belongs here: the look-up. Does not belong here: which column of which table holds what
(`orchestration.sources.erased`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from activations.erasure.identifiers import KeyedHash, Kind, normalise, phone_tail


class ErasedIndex:
    """Looks identifiers up among those of erased people.

    A million distinct values cost a second or two: a hash each. A phone is parsed (80 microseconds)
    only where its last digits are those of an erased one.
    """

    def __init__(
        self,
        keyed: KeyedHash,
        entries: Mapping[Kind, Mapping[str, datetime]],
        *,
        keep: Callable[[Kind, Mapping[str, datetime]], None] = lambda _kind, _hashes: None,
    ) -> None:
        """Build the index.

        Args:
            keyed: The key the hashes were made with.
            entries: Kind to hash to when that erasure was asked for (aware UTC).
            keep: Makes hashes that were learned durable.
        """
        self._keyed = keyed
        self._entries = {kind: dict(found) for kind, found in entries.items()}
        self._keep = keep

    def knows(self, kind: str) -> bool:
        """Say whether any identifier of a kind was erased."""
        return bool(self._entries.get(Kind(kind)))

    def find(self, kind: str, values: Iterable[str]) -> dict[str, datetime]:
        """Return the values that belong to erased people, with when the erasure was asked for."""
        wanted = Kind(kind)
        known = self._entries.get(wanted)
        if not known:
            return {}
        tails = self._entries.get(Kind.PHONE_TAIL, {}) if wanted is Kind.PHONE else None
        found: dict[str, datetime] = {}
        of, tail_of = self._keyed.of_kind(wanted), self._keyed.of_kind(Kind.PHONE_TAIL)
        for value in values:
            if tails is not None:
                tail = phone_tail(value)
                if tail is not None and tail_of(tail) not in tails:
                    continue
            normalised = normalise(wanted, value)
            at = None if normalised is None else known.get(of(normalised))
            if at is not None:
                found[value] = at
        return found

    def learn(self, kind: str, values: Mapping[str, datetime]) -> None:
        """Remember ids found on rows of erased people: rows that name only these are theirs too.

        Args:
            kind: Of the ids.
            values: Value to when the erasure it follows from was asked for.
        """
        learned = Kind(kind)
        known = self._entries.setdefault(learned, {})
        fresh: dict[str, datetime] = {}
        for value, at in values.items():
            normalised = normalise(learned, value)
            digest = None if normalised is None else self._keyed.of(learned, normalised)
            if digest is not None and digest not in known:
                fresh[digest] = at
        if fresh:
            self._keep(learned, fresh)
            known.update(fresh)
