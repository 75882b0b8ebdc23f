"""A process shows that it runs, whatever the store does, and its work never waits for that."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from stentor.answer_times import AnswerTimes
from stentor.config import SendingConfig
from stentor.runtime.presence import FORGET_EVERY, Presence
from stentor.sending.sender import LaneSender
from stentor.store import role_processes
from stentor.store.database import Database
from stentor.store.migrate import migrate
from stentor.store.role_processes import ProcessSign

SOON = 0.01
"""Seconds between two signs."""
LONG = 30.0
"""Seconds that a busy machine may take."""


class OneLane:
    """Of a provider: what a sender is asked about, and no more."""

    name = "apns/ios"
    rate = None
    expires_at = 5e9

    def __init__(self) -> None:
        self.answer_times = AnswerTimes()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    found = Database.open(database_url, patience=0.05)
    await migrate(found)
    yield found
    await found.aclose()


async def signs(database: Database) -> list[ProcessSign]:
    return await database.ask(lambda connection: role_processes.all_signs(connection, time.time))


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(LONG):
        while not await condition():  # noqa: ASYNC110 - the store has no event to wait for
            await asyncio.sleep(SOON)


async def test_it_is_there_while_the_work_lasts(database: Database) -> None:
    async with Presence(database, "planner", interval=SOON).kept():
        await until(lambda: signs(database))
        [first] = await signs(database)

        async def shown_again() -> bool:
            return (await signs(database))[0].seen_at > first.seen_at

        await until(shown_again)
        [again] = await signs(database)
        assert (again.role, again.id, again.started_at) == ("planner", first.id, first.started_at)
    assert await signs(database) == []


async def test_it_is_removed_though_the_work_failed(database: Database) -> None:
    async def work() -> None:
        presence = Presence(database, "recorder")
        async with presence.kept():
            await presence.show()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work()
    assert await signs(database) == []


async def test_two_of_a_machine_are_told_apart(database: Database) -> None:
    for _ in range(2):
        await Presence(database, "sender").show()
    assert len({each.id for each in await signs(database)}) == 2


async def test_a_sign_is_one_statement(database: Database) -> None:
    """The first one, and one an hour, also removes what is long gone."""
    written: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith("BEGIN"):
            written.append(statement.split(maxsplit=1)[0])

    presence = Presence(database, "sender")
    event.listen(database._engine.sync_engine, "before_cursor_execute", note)
    for _ in range(3):
        await presence.show()
    assert written == ["INSERT", "DELETE", "INSERT", "INSERT"]
    presence._signs = FORGET_EVERY
    await presence.show()
    assert written[4:] == ["INSERT", "DELETE"]


async def test_a_sender_tells_of_its_lanes(database: Database) -> None:
    nothing: Any = None
    lane: Any = OneLane()
    stages: list[Any] = [LaneSender(lane, nothing, nothing, nothing, SendingConfig())]
    presence = Presence(database, "sender", stages)
    await presence.show()
    lane.answer_times.note(0.2)
    await presence.show()
    [found] = await signs(database)
    [served] = found.lanes.values()
    assert list(found.lanes) == ["apns/ios"]
    assert (sum(served.timed.values()), served.expires_at) == (1, 5e9)


async def test_a_store_that_is_away_stops_nobody(tmp_path: Path) -> None:
    """Nor does it hold up the end; and when it is back, the sign is there by itself."""
    file = tmp_path / "stentor.db"
    database = Database.open(f"sqlite:///{file}", patience=0.05)
    await migrate(database)
    other = sqlite3.connect(file, isolation_level=None, timeout=LONG)
    other.execute("BEGIN IMMEDIATE")
    try:
        async with Presence(database, "planner", interval=0.5).kept():  # the other must find its turn between two

            async def hindered() -> bool:
                return database.hindrance(0.0) is not None

            await until(hindered)
            assert await signs(database) == []
            other.execute("ROLLBACK")
            await until(lambda: signs(database))
            other.execute("BEGIN IMMEDIATE")
        assert len(await signs(database)) == 1, "it could not be removed, and nobody waited for that"
    finally:
        other.close()
        await database.aclose()
