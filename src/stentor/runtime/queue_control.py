"""The queue as a whole, before it is moved or replaced: `Stentor.queue`.

Rules: whether campaigns are held back is in the store, so it holds for all processes, and until somebody ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stentor.config import lanes
from stentor.runtime.resources import Resources
from stentor.runtime.rest import rest
from stentor.states import CampaignState
from stentor.store import campaigns, flags

LOOK = 0.5
"""Seconds between two looks whether all is drained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What is under way, and would be lost with the queue."""

    campaigns: Mapping[str, CampaignState]
    """Those that are running or being cancelled, and stopped ones of which something is queued; by id."""
    recipients: int
    """Planned, and without an outcome."""
    batches: int
    """In the queue's lanes, held or not."""
    unrecorded: int
    """Messages of senders that recorders haven't written down yet; 0 where senders record by themselves."""

    @property
    def empty(self) -> bool:
        return not (self.campaigns or self.recipients or self.batches or self.unrecorded)


class QueueControl:
    """Drains the queue. Every method may raise `StoreUnavailable`."""

    def __init__(self, resources: Resources) -> None:
        self._config = resources.config
        self._clock = resources.clock
        self._database = resources.database
        self._backend = resources.backend
        self._desk = resources.desk

    async def drain(
        self,
        *,
        on_progress: Callable[[Backlog], None] | None = None,
        stop: asyncio.Event | None = None,
    ) -> Backlog:
        """Have no campaign start from now on, and wait until those under way have ended and the queue is empty.

        Roles must be running somewhere. Scheduled campaigns wait, also beyond their time; paused ones of which
        something is queued must be resumed or cancelled. It stays so until `end_drain`, whoever asks.

        Args:
            on_progress: told what is left a few times a second.
            stop: set it to wait no longer.

        Returns: what is left: nothing, unless it was stopped.
        """
        await self.begin_drain()
        while True:
            left = await self.backlog()
            if on_progress is not None:
                on_progress(left)
            if left.empty or (stop is not None and stop.is_set()):
                return left
            await rest(LOOK, stop)

    async def begin_drain(self) -> None:
        """Have no campaign start from now on. Scheduled campaigns wait, also beyond their time."""
        await self._database.write(lambda connection: flags.put(connection, flags.DRAINING, "yes", self._clock()))

    async def end_drain(self) -> None:
        """Let campaigns start again. Does nothing where they may."""
        await self._database.write(lambda connection: flags.put(connection, flags.DRAINING, None, self._clock()))
        await self._backend.bell.ring()

    async def draining(self) -> bool:
        """Whether no campaign may be started."""
        return await self._database.ask(lambda connection: flags.get(connection, flags.DRAINING)) is not None

    async def backlog(self) -> Backlog:
        """What is under way just now."""
        await self._desk.look()
        under_way, recipients = await self._database.ask(campaigns.under_way)
        depths = await self._backend.queue.depths(lanes(self._config))
        outbox = self._backend.outbox
        return Backlog(
            campaigns=under_way,
            recipients=recipients,
            batches=sum(depth.total for depth in depths.values()),
            unrecorded=0 if outbox is None else await outbox.waiting(),
        )
