"""The time of day that all machines of a cluster agree on: the store's.

What one process writes another acts on: when a recipient may be tried again, when a campaign begins, when a message's
life ends. Rules: every process measures how far its machine's clock is from PostgreSQL's, when it starts and then every
INTERVAL seconds, and goes by what it measured last; a measurement that took long says nothing. With SQLite there is one
machine, and nothing to measure.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.errors import StoreUnavailable
from stentor.store.database import SQLITE, Database

INTERVAL = 10.0
"""Seconds between two measurements."""
FIRST_WITHIN = 2.0
"""Seconds for which the first one is waited for."""
LONGEST = 1.0
"""Seconds that a question may take whose answer counts."""
_NOW = sa.text("SELECT extract(epoch FROM clock_timestamp())::double precision")


class StoreClock:
    """Epoch seconds by the store's clock. Inside `kept` it is measured; before, it is the machine's."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._behind = 0.0

    def __call__(self) -> float:
        return self._clock() + self._behind

    def __repr__(self) -> str:
        return f"<StoreClock, the machine's is {self._behind:+.3f} s behind>"

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
            return

        async def question(connection: AsyncConnection) -> tuple[float, float, float]:
            asked = self._clock()
            told = (await connection.execute(_NOW)).scalar_one()
            return asked, told, self._clock()

        asked, told, heard = await self._database.ask(question)
        if 0 <= heard - asked <= LONGEST:
            self._behind = told - (asked + heard) / 2

    async def _measure_on(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self.measure()
            except StoreUnavailable:
                continue
