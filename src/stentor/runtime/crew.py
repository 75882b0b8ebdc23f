"""The processes that do the roles' work on one machine: those of a campaign that is run here, or all of them to serve.

Rules: what runs, and how many of each, follows from the settings and the queue; each process gets its settings from a
`Supervisor`, which starts again those that die.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stentor.config import Config
from stentor.errors import InvalidConfiguration
from stentor.planning.caretaker import Caretaker
from stentor.runtime.backend import Backend
from stentor.runtime.supervisor import Closing, Supervisor
from stentor.runtime.worker import Role
from stentor.store.database import Database

logger = logging.getLogger(__name__)

LOOK = 0.25
"""Seconds between two looks whether all are at work."""
NO_RECORDERS = "there is no work for recorders: the queue is in the store, where senders record by themselves"


class Crew:
    """Starts the processes of one configuration, and sees them out."""

    def __init__(self, config: Config, backend: Backend, database: Database) -> None:
        self._config = config
        self._backend = backend
        self._database = database
        self._supervisor: Supervisor | None = None
        self.closings: list[Closing] = []
        """What the processes cost that are gone, by their own account."""

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[Supervisor]:
        """What it takes to send a campaign, for as long as this context lasts. Within another one it is the same."""
        if self._supervisor is not None:
            yield self._supervisor
            return
        roles: list[Role] = ["planner", *self._senders()]
        if self._backend.outbox is not None:
            roles += ["recorder", "scheduler"]
        else:  # no scheduler for so short a time; what another queue held is put once
            await Caretaker(self._database, self._backend.queue).look()
        async with Supervisor(self._config, roles) as supervisor:
            self._supervisor = supervisor
            try:
                yield supervisor
            finally:
                self._supervisor = None
        self.closings += supervisor.closings

    async def serve(
        self, stop: asyncio.Event, *, senders: int | None, planners: int, recorders: int | None, listen: str | None
    ) -> None:
        """See `Stentor.serve`."""
        if recorders and self._backend.outbox is None:
            raise InvalidConfiguration(NO_RECORDERS)
        await self._backend.ready()
        roles: list[Role] = [*_times("planner", planners), *self._senders(senders), "scheduler"]
        if self._backend.outbox is not None:
            roles += _times("recorder", 1 if recorders is None else recorders)
        async with Supervisor(self._config, roles, listen=listen, relay=True) as supervisor:
            if supervisor.address is not None:
                logger.info("answering probes on http://%s", supervisor.address)
            while not stop.is_set():
                supervisor.check()
                await rest(LOOK, stop)
            logger.info("stopping")
        self.closings += supervisor.closings

    def _senders(self, number: int | None = None) -> list[Role]:
        return _times("sender", (self._config.sending.senders or os.cpu_count() or 1) if number is None else number)


def _times(role: Role, number: int) -> list[Role]:
    return [role] * number


async def rest(seconds: float, stop: asyncio.Event | None) -> None:
    """Returns after so long, or when `stop` is set."""
    if stop is None:
        await asyncio.sleep(seconds)
        return
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
