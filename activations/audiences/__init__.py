"""Audiences: groups of people kept in step at a destination, by difference.

`sync_audience` is the way in; `registry` lists the destinations.
"""

from __future__ import annotations

from activations.audiences.base import AudienceLimits, AudienceReport, AudienceRow
from activations.audiences.sync import sync_audience

__all__ = ["AudienceLimits", "AudienceReport", "AudienceRow", "sync_audience"]
