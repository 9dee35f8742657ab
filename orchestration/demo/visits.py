"""The value that carries a batch of visits from the people to the tags.

Belongs here: that value. Does not belong here: anything that happens in a visit.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestration.demo.rng import Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Visits:
    """One visit each of different people; columns of equal length.

    Attributes:
        person: Who.
        t: Start, epoch microseconds.
        key: Draw key; those of visits a message caused start at ``old_tool.INJECTED``.
        campaign: Campaign code of the link that led here, 0 for none.
        medium: ``Channel`` of that link.
        order: Chance that a caused visit ends in an order.
        quote: Chance that it asks for a quote.
    """

    person: Ints
    t: Ints
    key: Ints
    campaign: Ints
    medium: Ints
    order: Floats
    quote: Floats
