"""The time of day that all machines of a cluster agree on: the store's.

What one process writes another acts on: when a recipient may be tried again, when a campaign begins, when a message's
life ends. Rules: every process reads PostgreSQL's clock when it starts and then every INTERVAL seconds, and between two
readings goes by its own steady clock, so that a step of the machine's clock moves nothing; a reading that took long
says nothing. With SQLite there is one machine, whose own clock is read as often. No promise rests on two processes
agreeing: whose turn it is leases say, and those are fenced (`queue.sql`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.clock import steady
from stentor.errors import StoreUnavailable
from stentor.store.database import SQLITE, Database

INTERVAL = 10.0
"""Seconds between two readings."""
FIRST_WITHIN = 2.0
"""Seconds for which the first one is waited for."""
LONGEST = 1.0
"""Seconds that a question may take whose answer counts."""
_NOW = sa.text("SELECT extract(epoch FROM clock_timestamp())::double precision")


class StoreClock:
    """Epoch seconds by the store's clock. Inside `kept` it is read; before, it is the machine's."""

    def __init__(
        self, database: Database, clock: Callable[[], float] = time.time, passing: Callable[[], float] = steady
    ) -> None:
        """Args:
        clock: the machine's time of day, in epoch seconds.
        passing: seconds of a clock that never goes back.
        """
        self._database = database
        self._clock = clock
        self._passing = passing
        self._ahead = clock() - passing()  # of the steady clock's reading

    def __call__(self) -> float:
        return self._passing() + self._ahead

    def __repr__(self) -> str:
        return f"<StoreClock, {self() - self._clock():+.3f} s ahead of the machine's>"

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Measure now, and again and again."""
        try:
            async with asyncio.timeout(FIRST_WITHIN):
                await self.measure()
        except (StoreUnavailable, TimeoutError):
            pass  # by the machine's clock, until the store is there
        measuring = asyncio.create_task(self._measure_on())
        try:
            yield
        finally:
            measuring.cancel()

    async def measure(self) -> None:
        """Raises: StoreUnavailable."""
        if self._database.dialect == SQLITE:
            self._ahead = self._clock() - self._passing()
            return

        async def question(connection: AsyncConnection) -> tuple[float, float, float]:
            asked = self._passing()
            told = (await connection.execute(_NOW)).scalar_one()
            return asked, told, self._passing()

        asked, told, heard = await self._database.ask(question)
        if heard - asked <= LONGEST:
            self._ahead = told - (asked + heard) / 2

    async def _measure_on(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self.measure()
            except StoreUnavailable:
                continue
