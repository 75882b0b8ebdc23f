"""Stores for kill trials: an empty one for each seed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from stentor.store.database import Database
from stentor.store.migrate import migrate
from stentor.testing.postgres import Postgres
from tests.integration.kill.stage import copy_of
from tests.integration.kill.trial import OpenStore


def on_sqlite(blank: Path, folder: Path) -> OpenStore:
    """Copies of `blank`."""

    @asynccontextmanager
    async def open_store(seed: int) -> AsyncIterator[str]:
        yield copy_of(blank, folder / f"{seed}.db")

    return open_store


def on_postgresql(server: Postgres) -> OpenStore:
    turn = asyncio.Lock()  # Alembic keeps what it does in globals

    @asynccontextmanager
    async def open_store(_seed: int) -> AsyncIterator[str]:
        async with server.database() as url:
            async with turn:
                database = Database.open(url)
                await migrate(database)
                await database.aclose()
            yield url

    return open_store
