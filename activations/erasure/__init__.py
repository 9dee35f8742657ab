"""Forgetting a person: who somebody is by keyed hashes, and the providers that can erase.

Belongs here: identifiers and their hashes (`identifiers`), the index of who was erased (`index`), the
requests providers take and what their answers mean (`destinations`). Does not belong here: the
ledger's rows (`activations.ledger.erasures`) and the warehouse (`orchestration.lib.erasure`).
"""

from __future__ import annotations

from activations.erasure.identifiers import KeyedHash, Kind, Person, normalise
from activations.erasure.index import ErasedIndex

__all__ = ["ErasedIndex", "KeyedHash", "Kind", "Person", "normalise"]
