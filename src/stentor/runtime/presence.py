"""A role's process shows that it runs: a row in the store, written anew every few seconds, and removed at its stop.

Rules: it is one small statement each time; whatever becomes of it, the role's work neither waits nor stops for it;
while the store is away, it goes on as soon as that is back.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.answer_times import LatelyTimed
from stentor.clock import steady
from stentor.errors import StentorError
from stentor.pipeline import Stage
from stentor.runtime.child import Role
from stentor.sending.sender import LaneSender
from stentor.store import role_processes
from stentor.store.database import Database
from stentor.store.role_processes import ServedLane, ShownProcess
from stentor.version import __version__

INTERVAL = 10.0
"""Seconds between two signs."""
LATELY = 6
"""Signs over which answer times are told: a minute's."""
FORGET_EVERY = 360
"""Signs between two times that a process removes those of others that are long gone."""
LEAVE_WITHIN = 1.0
"""Seconds that a process that stops has to remove its own."""


class Presence:
    """What one process shows of itself. Inside `kept` it is shown."""

    def __init__(
        self,
        database: Database,
        role: Role,
        stages: Sequence[Stage] = (),
        *,
        clock: Callable[[], float] = time.time,
        interval: float = INTERVAL,
    ) -> None:
        """Args:
        stages: those at work; may grow. Of senders, what they know of their lanes is shown.
        clock: the machine's time of day, in epoch seconds.
        interval: seconds between two signs.
        """
        host = socket.gethostname()
        self._process = ShownProcess(
            id=secrets.token_hex(8), role=role, host=host, pid=os.getpid(), version=__version__
        )
        self._database = database
        self._stages = stages
        self._clock = clock
        self._interval = interval
        self._began = steady()
        self._signs = 0
        self._timed: dict[str, LatelyTimed] = {}

    def __repr__(self) -> str:
        return f"<Presence of {self._process.role} {self._process.id}, {self._signs} signs>"

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Show it now, and again and again; no longer when this context ends."""
        showing = asyncio.create_task(self._show_on(), name="show that the role runs")
        try:
            yield
        finally:
            showing.cancel()
            with suppress(TimeoutError, StentorError):
                async with asyncio.timeout(LEAVE_WITHIN):
                    await asyncio.wait([showing])  # lest it write the row after it was removed
                    await self._database.write(self._take_leave)

    async def show(self) -> None:
        """Show it once. Raises: StoreUnavailable, and as `Database.write`."""
        lanes = self._lanes()
        forgets = self._signs % FORGET_EVERY == 0

        async def change(connection: AsyncConnection) -> None:
            await role_processes.show(connection, self._process, steady() - self._began, lanes, self._clock)
            if forgets:
                await role_processes.forget(connection, self._clock)

        await self._database.write(change)
        self._signs += 1

    async def _show_on(self) -> None:
        while True:
            with suppress(StentorError):  # whoever works here tells of that
                await self.show()
            await asyncio.sleep(self._interval)

    async def _take_leave(self, connection: AsyncConnection) -> None:
        await role_processes.take_leave(connection, self._process.id)

    def _lanes(self) -> dict[str, ServedLane]:
        return {
            stage.name: ServedLane(timed=self._lately(stage), expires_at=stage.credentials_expire_at)
            for stage in self._stages
            if isinstance(stage, LaneSender)
        }

    def _lately(self, sender: LaneSender) -> dict[int, int]:
        times = sender.answer_times
        if times is None:
            return {}
        if sender.name not in self._timed:
            self._timed[sender.name] = LatelyTimed(times, LATELY)
        return self._timed[sender.name].look()
