"""Requests that are repeated, and answered alike: `Stentor.replies`. See `store.replies`."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stentor.errors import StoreUnavailable
from stentor.runtime.resources import Resources
from stentor.store import replies
from stentor.store.replies import Busy, KeptReply, KeyClaim, OtherQuestion

logger = logging.getLogger(__name__)


class Replies:
    """What was answered under which key. Every method may raise `StoreUnavailable`."""

    def __init__(self, resources: Resources) -> None:
        self._database = resources.database
        self._clock = resources.clock

    async def claim(self, owner: str, key: str, question: bytes) -> KeyClaim | KeptReply | Busy | OtherQuestion:
        """Reserve a key of a caller for what it asks, or say what became of it.

        Args:
            question: SHA-256 of what is asked.
        """
        token = secrets.token_hex(8)
        return await replies.claim(self._database, owner, key, question, token, self._clock())

    @asynccontextmanager
    async def kept(self, claim: KeyClaim) -> AsyncIterator[None]:
        """Keep others from taking a request over, for as long as this context lasts."""
        keeping = asyncio.create_task(self._keep(claim))
        try:
            yield
        finally:
            keeping.cancel()

    async def answer(self, claim: KeyClaim, reply: KeptReply, *, kept: KeptReply | None = None) -> None:
        """Keep what was answered, unless somebody else took the request over.

        Args:
            kept: what is kept already, in the transaction of what was done. The same isn't written twice.
        """
        if reply != kept:
            await self._database.write(lambda connection: replies.answer(connection, claim, reply))

    async def give_back(self, claim: KeyClaim) -> None:
        """Let the request be tried again at once: it could not be answered."""
        await self._database.write(lambda connection: replies.extend(connection, claim, 0.0))

    async def forget(self) -> int:
        """Delete what is older than `replies.KEEP`. Returns: how many that were."""
        return await self._database.write(lambda connection: replies.forget(connection, self._clock()))

    async def _keep(self, claim: KeyClaim) -> None:
        while True:
            await asyncio.sleep(replies.LEASE / 3)
            try:
                await self._database.write(
                    lambda connection: replies.extend(connection, claim, self._clock() + replies.LEASE)
                )
            except StoreUnavailable as error:
                logger.warning("a request cannot be kept from being taken over: %s", error)
