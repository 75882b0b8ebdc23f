"""The queue on a real SQLite and a real PostgreSQL: the contract's suite, and what only this queue promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import asyncpg  # type: ignore[import-untyped]  # has no annotations
import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.queue.contract import Depth, Lease, Queue
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
from tests.integration.asking import asking


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


async def test_taking_is_one_question_of_postgresql(postgres: str) -> None:
    """Each answer is a turn of the sender's loop, which has much else to do in each."""
    database = Database.open(postgres)
    await migrate(database)
    queue = SqlQueue(database)
    await queue.settle(put=[make_task(1), make_task(2, urgent=True), make_task(3, urgent=True), make_task(4)])
    with asking() as asked:
        urgent = await queue.take(LANE, 1, 60.0, urgent=True)
        others = await queue.take(LANE, 2, 60.0)
        assert await queue.await_urgent([LANE]) == [LANE]
    assert (len(asked.statements), asked.transactions) == (2, 0)
    assert [lease.id for lease in (*urgent, *others)] == [make_task(number).id for number in (2, 3, 1)]
    assert [lease.urgent for lease in others] == [True, False]
    assert len({lease.token for lease in (*urgent, *others)}) == 3
    await database.aclose()


ENDINGS: dict[str, Callable[[SqlQueue, Sequence[Lease]], Awaitable[object]]] = {
    "ack": lambda queue, leases: queue.settle(ack=leases),
    "release": lambda queue, leases: queue.settle(release=[(lease, 1.0) for lease in leases]),
    "put back": lambda queue, leases: queue.settle(put_back=[(lease, 1.0) for lease in leases]),
    "bury": lambda queue, leases: queue.settle(bury=[(lease, "it killed its senders") for lease in leases]),
    "extend": lambda queue, leases: queue.extend(leases, 60.0),
}


BLOCKED = "SELECT count(*) FROM pg_locks WHERE NOT granted"


@pytest.mark.parametrize("ending", ENDINGS)
async def test_who_waits_for_a_task_has_none_that_comes_after_it(postgres: str, ending: str) -> None:
    """Two that end the same tasks, named in whatever order, would else wait for each other: a deadlock."""
    database = Database.open(postgres)
    await migrate(database)
    queue = SqlQueue(database)
    for number in (2, 1, 0):  # so that the table has them in another order
        await queue.settle(put=[make_task(number)])
    leases = sorted(await queue.take(LANE, 3, 60.0), key=lambda lease: lease.id, reverse=True)
    other = await asyncpg.connect(postgres, timeout=30)
    async with other.transaction():
        await other.execute("SELECT 1 FROM stentor_tasks WHERE id = $1 FOR UPDATE", leases[-1].id)
        waiting = asyncio.ensure_future(ENDINGS[ending](queue, leases))
        async with asyncio.timeout(30):
            while not await other.fetchval(BLOCKED):  # noqa: ASYNC110 - a server tells nobody that somebody waits
                await asyncio.sleep(0.01)
        free = await other.fetch("SELECT id FROM stentor_tasks FOR UPDATE SKIP LOCKED")
        assert {row["id"] for row in free} == {lease.id for lease in leases}
    await waiting
    await other.close()
    await database.aclose()


def test_nothing_of_the_contract_is_left_out(request: pytest.FixtureRequest) -> None:
    contract = {name for name in vars(QueueContract) if name.startswith("test_")}
    assert len(contract) >= 35
    assert not contract & vars(TestSqlQueue).keys()
    items = [item for item in request.session.items if item.parent and item.parent.name == TestSqlQueue.__name__]
    assert not [item for item in items for mark in item.iter_markers() if mark.name in ("skip", "skipif", "xfail")]


def test_nothing_differs() -> None:
    assert not TestSqlQueue.DIFFERENCES
