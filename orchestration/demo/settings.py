"""How the demo world behaves, in numbers. Changing one changes the world of every seed.

Belongs here: probabilities and durations of behaviour. Does not belong here: constants of the
formats (``catalogue.py``) and the rates of mess (``mess.py``).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What a person does after reading a message of one campaign.

    Attributes:
        click: Chance to follow the link, given read or opened.
        order: Chance that the visit which follows ends in an order.
        quote: Chance that the visit asks for a new quote when it does not order at once.
    """

    click: float
    order: float
    quote: float


def _responses() -> dict[str, Response]:
    return {
        "abandoned_price_view": Response(click=0.34, order=0.45, quote=0.25),
        "cancelled_recovery": Response(click=0.22, order=0.30, quote=0.40),
        "winback_inactive": Response(click=0.20, order=0.18, quote=0.60),
        "order_not_completed": Response(click=0.30, order=0.0, quote=0.05),
        "docs_reminder": Response(click=0.25, order=0.0, quote=0.0),
        "pickup_recovery": Response(click=0.30, order=0.0, quote=0.0),
        "pickup_reminder": Response(click=0.08, order=0.0, quote=0.0),
        "feedback_request": Response(click=0.15, order=0.0, quote=0.02),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """Knobs of a world; the defaults give about the shared example company's numbers.

    Attributes:
        uplift: Scales what messages change: 0 gives reactions without any effect on orders and
            pickups (lift must then measure as nothing), 1 the default effect.
        reminder_effect: Share of missed pickups a read pickup reminder prevents at uplift 1.
        recent_share: Share of the people who first came inside the GA4 window.
        arrivals_per_person_day: New people a day after the start, for each person at the start.
        older_days: How far before the GA4 window the admin panel's history begins.
        old_tool_days: How long before the start the former marketing tool was in use.
        responses: Reaction by campaign; campaigns not named use ``other``.
        other: Reaction to any other campaign.
    """

    uplift: float = 1.0
    reminder_effect: float = 0.6
    recent_share: float = 0.46
    arrivals_per_person_day: float = 0.0052
    older_days: int = 820
    old_tool_days: int = 75
    responses: dict[str, Response] = field(default_factory=_responses)
    other: Response = Response(click=0.10, order=0.03, quote=0.20)

    def response(self, campaign: str) -> Response:
        """The response to a campaign."""
        return self.responses.get(campaign, self.other)

    def to_json(self) -> dict[str, Any]:
        """Plain values for the state file."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Behaviour:
        """Inverse of ``to_json``."""
        plain = dict(values)
        plain["responses"] = {key: Response(**item) for key, item in plain["responses"].items()}
        plain["other"] = Response(**plain["other"])
        return cls(**plain)
