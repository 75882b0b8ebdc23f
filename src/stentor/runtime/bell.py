"""How a change of a campaign reaches every process at once: a bell that all of them hear, and then look for themselves.

Rules: the bell says that something changed, never what; who doesn't hear it looks within a second all the same, also
where NATS is away or doesn't let us ring.
"""

from __future__ import annotations

import asyncio
from typing import Protocol


class Bell(Protocol):
    """Rung where something changed; see `LocalBell` and `queue.bells.NatsBell`."""

    async def ring(self) -> None:
        """Have everybody look. Nothing is lost where nobody hears it."""

    async def wait(self) -> None:
        """Returns when it was rung, and at the latest when it is time to look."""


class LocalBell:
    """Where there is nothing to ring over: everybody looks a few times a second."""

    INTERVAL = 0.2
    """Seconds between two looks."""

    async def ring(self) -> None:
        """Nothing: they look soon."""

    async def wait(self) -> None:
        """Until it is time to look."""
        await asyncio.sleep(self.INTERVAL)
