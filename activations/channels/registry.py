"""The one list of channels.

Belongs here: one entry a channel. A new channel is a folder beside this file and a line here; the
conformance suite then holds it to what every channel promises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from activations.channels.base import Channel
from activations.channels.email import EmailChannel, EmailConfig
from activations.channels.whatsapp import WhatsAppChannel, WhatsAppConfig
from activations.errors import UnknownChannelError


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelEntry:
    """A registered channel.

    Attributes:
        name: Its name everywhere.
        config: Its settings dataclass.
        build: Makes the channel of its settings.
    """

    name: str
    config: type[Any]
    build: Callable[[Any], Channel]


CHANNELS: Mapping[str, ChannelEntry] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            ChannelEntry(name="whatsapp", config=WhatsAppConfig, build=WhatsAppChannel),
            ChannelEntry(name="email", config=EmailConfig, build=EmailChannel),
        )
    }
)


def build_channel(name: str, config: object) -> Channel:
    """Make a channel of its settings.

    Args:
        name: A key of `CHANNELS`.
        config: An instance of that entry's settings.

    Raises:
        UnknownChannelError: When nobody registered the name, or the settings are another's.
        ConfigurationError: When the settings lack something.
    """
    entry = CHANNELS.get(name)
    if entry is None:
        raise UnknownChannelError(
            f"no channel is called {name!r}; registered are {', '.join(sorted(CHANNELS))}"
        )
    if not isinstance(config, entry.config):
        raise UnknownChannelError(
            f"channel {name} takes {entry.config.__name__}, not {type(config).__name__}"
        )
    return entry.build(config)
