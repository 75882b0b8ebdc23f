"""The queue on a real SQLite and a real PostgreSQL: the contract's suite, and what only this queue promises."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.queue.contract import Depth, Queue
from stentor.queue.sql import SqlQueue
from stentor.store.database import Database, insert_or_ignore
from stentor.store.migrate import migrate
from stentor.store.tables import lanes, tasks
from stentor.testing.queue import (
    LANE,
    ChangeFailed,
    ManualClock,
    QueueContract,
    depth,
    make_task,
)


class TestSqlQueue(QueueContract):
    """On both databases: there is nothing that one does and the other doesn't."""

    @pytest.fixture
    async def database(self, database_url: str) -> AsyncIterator[Database]:
        database = Database.open(database_url)
        await migrate(database)
        yield database
        await database.aclose()

    @pytest.fixture
    async def queue(self, clock: ManualClock, database: Database) -> Queue:
        return SqlQueue(database, clock)

    @pytest.fixture
    async def other_queue(self, clock: ManualClock, database_url: str, queue: Queue) -> AsyncIterator[Queue]:
        database = Database.open(database_url)
        yield SqlQueue(database, clock)
        await database.aclose()

    async def test_what_is_put_and_changed_commits_together(self, queue: Queue, database: Database) -> None:
        async def change(connection: AsyncConnection) -> None:
            await connection.execute(insert_or_ignore(connection, lanes), {"lane": LANE})

        async def change_and_fail(connection: AsyncConnection) -> None:
            await connection.execute(insert_or_ignore(connection, lanes), {"lane": "another"})
            raise ChangeFailed

        await queue.settle(change, put=[make_task(1)])
        held = await self.take_one(queue)
        with pytest.raises(ChangeFailed):
            await queue.settle(change_and_fail, put=[make_task(2)], ack=[held])
        async with database.read() as connection:
            assert (await connection.scalars(select(lanes.c.lane))).all() == [LANE]
        assert await depth(queue) == Depth(leased=1)

    async def test_a_change_sees_what_was_put_and_leases_unended(self, queue: Queue) -> None:
        await queue.settle(put=[make_task(1)])
        held = await self.take_one(queue)
        seen: list[int] = []

        async def change(connection: AsyncConnection) -> None:
            seen.append((await connection.execute(select(func.count()).select_from(tasks))).scalar_one())

        await queue.settle(change, put=[make_task(2)], ack=[held])
        assert seen == [2]


def test_nothing_of_the_contract_is_left_out(request: pytest.FixtureRequest) -> None:
    contract = {name for name in vars(QueueContract) if name.startswith("test_")}
    assert len(contract) >= 35
    assert not contract & vars(TestSqlQueue).keys()
    items = [item for item in request.session.items if item.parent and item.parent.name == TestSqlQueue.__name__]
    assert not [item for item in items for mark in item.iter_markers() if mark.name in ("skip", "skipif", "xfail")]


def test_nothing_differs() -> None:
    assert not TestSqlQueue.DIFFERENCES
