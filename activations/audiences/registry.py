"""The one list of audience destinations.

Belongs here: one entry a destination. A new one is a folder beside this file and a line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from activations.audiences.base import AudienceDestination
from activations.audiences.meta_custom_audience import MetaAudienceConfig, MetaCustomAudience
from activations.errors import UnknownChannelError


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationEntry:
    """A registered destination: its name, settings and how it is made of them."""

    name: str
    config: type[Any]
    build: Callable[[Any], AudienceDestination]


DESTINATIONS: Mapping[str, DestinationEntry] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            DestinationEntry(
                name="meta_custom_audience", config=MetaAudienceConfig, build=MetaCustomAudience
            ),
        )
    }
)


def build_destination(name: str, config: object) -> AudienceDestination:
    """Make a destination of its settings.

    Raises:
        UnknownChannelError: When nobody registered the name, or the settings are another's.
        ConfigurationError: When the settings lack something.
    """
    entry = DESTINATIONS.get(name)
    if entry is None:
        raise UnknownChannelError(
            f"no audience destination is called {name!r}; registered are "
            f"{', '.join(sorted(DESTINATIONS))}"
        )
    if not isinstance(config, entry.config):
        raise UnknownChannelError(
            f"destination {name} takes {entry.config.__name__}, not {type(config).__name__}"
        )
    return entry.build(config)
