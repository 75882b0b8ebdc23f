"""How a change of a campaign reaches every process at once: a bell that all of them hear, and then look for themselves.

Rules: the bell says that something changed, never what; who doesn't hear it looks within a second all the same, also
where NATS is away or doesn't let us ring.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from nats.aio.client import Client
from nats.aio.msg import Msg

from stentor.errors import StentorError
from stentor.queue.nats import Nats


class Bell(Protocol):
    """Rung where something changed; see `LocalBell` and `NatsBell`."""

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


class NatsBell:
    """A subject that every process of one `[queue]` subscribes to."""

    INTERVAL = 0.5
    """Seconds between two looks where it isn't rung."""

    PATIENCE = 1.0
    """Seconds for which ringing takes at most."""

    def __init__(self, nats: Nats, name: str) -> None:
        self._nats = nats
        self._subject = f"{name}.bell"
        nats.spare(self._subject)
        self._client: Client | None = None
        self._rung = asyncio.Event()

    async def ring(self) -> None:
        """See `Bell.ring`."""
        try:
            async with asyncio.timeout(self.PATIENCE), self._nats.trouble():
                client = await self._nats.client()
                await client.publish(self._subject, b"")
                await client.flush()
        except (StentorError, TimeoutError):
            return

    async def wait(self) -> None:
        """See `Bell.wait`."""
        try:
            async with asyncio.timeout(self.INTERVAL):
                await self._listen()
                await self._rung.wait()
        except TimeoutError:
            pass
        self._rung.clear()

    async def _listen(self) -> None:
        try:
            async with self._nats.trouble():
                client = await self._nats.client()
                if client is not self._client:
                    await client.subscribe(self._subject, cb=self._hear)
                    self._client = client
        except StentorError:
            return

    async def _hear(self, _message: Msg) -> None:
        self._rung.set()
