"""SIGKILL at random moments, hundreds of times: afterwards every recipient has one outcome, and the ledgers agree.

The moments are the same each time; `make kill` draws others, and more. A failure names the seed of its trial.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from stentor.store.database import Database
from stentor.store.migrate import migrate
from stentor.testing.postgres import Postgres
from tests.integration.kill.stage import copy_of
from tests.integration.kill.trial import play_all

CHUNKS = 6
TRIALS = 20
"""In a chunk: tests are spread over processes."""
LARGEST = 240


@pytest.mark.parametrize("chunk", range(CHUNKS))
async def test_nothing_is_lost(chunk: int, tmp_path: Path, blank: Path, processes: ForkServerContext) -> None:
    @asynccontextmanager
    async def open_store(seed: int) -> AsyncIterator[str]:
        yield copy_of(blank, tmp_path / f"{seed}.db")

    seeds = range(chunk * TRIALS, (chunk + 1) * TRIALS)
    tale = await play_all(seeds, open_store, processes, largest=LARGEST, at_once=5)
    assert tale.kills > TRIALS / 2
    assert tale.in_midst > 0, "no sender was killed in the midst of sending"
    assert tale.repeated > 0, "nothing was in flight when a sender was killed"


@pytest.mark.parametrize("chunk", range(2))
async def test_nothing_is_lost_with_postgresql(
    chunk: int, postgres_server: Postgres, processes: ForkServerContext
) -> None:
    turn = asyncio.Lock()  # Alembic keeps what it does in globals

    @asynccontextmanager
    async def open_store(_seed: int) -> AsyncIterator[str]:
        async with postgres_server.database() as url:
            async with turn:
                database = Database.open(url)
                await migrate(database)
                await database.aclose()
            yield url

    seeds = range(10_000 + chunk * 8, 10_000 + (chunk + 1) * 8)
    tale = await play_all(seeds, open_store, processes, largest=LARGEST, at_once=2)
    assert tale.kills > 0
