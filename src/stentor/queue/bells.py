"""How every process of one `[queue]` is told at once that there is something to look at: a subject of NATS.

Rules: what is rung says what to look for, never more; who doesn't hear it looks a few times a second all the same.
"""

from __future__ import annotations

import asyncio

from nats.aio.client import Client
from nats.aio.msg import Msg

from stentor.errors import StentorError
from stentor.queue.nats import Nats

INTERVAL = 0.5
"""Seconds between two looks where it isn't rung."""
PATIENCE = 1.0
"""Seconds for which ringing takes at most."""


class NatsBell:
    """A subject that every process of one `[queue]` subscribes to."""

    def __init__(self, nats: Nats, name: str, word: bytes = b"", interval: float = INTERVAL) -> None:
        """Args:
        name: of the `[queue]`.
        word: what is rung; whoever waits for another word doesn't hear it.
        interval: seconds after which whoever waits looks all the same.
        """
        self._nats = nats
        self._word = word
        self._interval = interval
        self._subject = f"{name}.bell"
        nats.spare(self._subject)
        self._client: Client | None = None
        self._rung = asyncio.Event()

    async def ring(self) -> None:
        """Have everybody look. Nothing is lost where nobody hears it, or we may not ring."""
        try:
            async with asyncio.timeout(PATIENCE), self._nats.trouble():
                client = await self._nats.client()
                await client.publish(self._subject, self._word)
                await client.flush()
        except (StentorError, TimeoutError):
            return

    async def wait(self) -> None:
        """Returns when it was rung, and at the latest when it is time to look."""
        try:
            async with asyncio.timeout(self._interval):
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

    async def _hear(self, message: Msg) -> None:
        if message.data == self._word:
            self._rung.set()
