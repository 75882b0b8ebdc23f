"""A store and a queue that are away: logged once when they go, and once when they are back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text

from stentor.config import QueueConfig
from stentor.errors import QueueUnavailable, StoreUnavailable
from stentor.queue.nats import Nats
from stentor.store.database import Database
from stentor.testing.nats import run_nats
from stentor.testing.postgres import Postgres


@pytest.fixture(autouse=True)
def _heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "stentor")


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [f"{record.levelname} {record.getMessage()}" for record in caplog.records]


async def ask(question: Callable[[], Awaitable[object]], times: int) -> None:
    """Ask until so many questions were answered, or that many in vain."""
    while times:
        try:
            await question()
        except (StoreUnavailable, QueueUnavailable):
            await asyncio.sleep(0.05)
        times -= 1


async def test_a_store_that_goes_and_returns(
    postgres: str, postgres_server: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database.open(postgres, patience=1.5)

    async def question() -> object:
        return await database.rows(text("SELECT 1"))

    await ask(question, 1)
    assert said(caplog) == []
    await asyncio.to_thread(postgres_server.stop)
    try:
        await ask(question, 3)
    finally:
        await asyncio.to_thread(postgres_server.start)
    await ask(question, 5)
    await database.aclose()
    gone, back = said(caplog)
    assert gone.startswith("WARNING The PostgreSQL database test_")
    assert "answers again, after" in back
    assert postgres not in gone + back


async def test_a_queue_that_goes_and_returns(caplog: pytest.LogCaptureFixture) -> None:
    with run_nats() as server:
        queue = Nats(QueueConfig(url=server.url.replace("nats://", "nats://somebody:hunter2@")))

        async def question() -> object:
            return await queue.request("$JS.API.INFO")

        await ask(question, 1)
        assert said(caplog) == []
        await asyncio.to_thread(server.stop)
        while not caplog.records:
            await ask(question, 1)
        await ask(question, 2)
        await asyncio.to_thread(server.start)
        while queue.problem:
            await ask(question, 1)
        await ask(question, 3)
        await queue.aclose()
    gone, back = said(caplog)
    assert gone == f"WARNING {queue.name} cannot be reached"
    assert back.startswith(f"INFO {queue.name} answers again, after ")
