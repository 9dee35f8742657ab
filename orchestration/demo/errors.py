"""What can go wrong in the demo world.

```
WorldError                  somebody must act, a retry does not help unless said
├── WorldExistsError        the folder already holds a world: open it, or choose another folder
├── WorldMissingError       no (complete) world in the folder: create it
├── WorldClockError         asked to advance to an instant that is not later, or not aware UTC
└── SandboxUnreachableError the sandbox did not answer: start it; a retry helps
```
"""

from __future__ import annotations


class WorldError(Exception):
    """Base of everything the demo world raises on purpose."""


class WorldExistsError(WorldError):
    """The folder already holds a world."""


class WorldMissingError(WorldError):
    """The folder holds no complete world."""


class WorldClockError(WorldError):
    """The asked instant lies in the world's past or carries no time zone."""


class SandboxUnreachableError(WorldError):
    """The sandbox's control API did not answer as it should; the same call may be tried again."""
