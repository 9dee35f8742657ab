"""The send-once ledger: intents, claims, answers, consent, audiences, in one database.

Use `Ledger`; the rows it takes and returns are in `activations.rows`, its tables in
`activations.ledger.schema`.
"""

from __future__ import annotations

from activations.ledger.decisions import DecisionCounts
from activations.ledger.erasures import Erasure, ErasureStep
from activations.ledger.ledger import Ledger
from activations.ledger.runs import SyncRun

__all__ = ["DecisionCounts", "Erasure", "ErasureStep", "Ledger", "SyncRun"]
