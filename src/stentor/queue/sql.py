"""The queue on the store's own database, so that a step of the queue and what it means for the store commit together.

A task is a row; a lease is a token in it and a time until which nobody else takes it. Nothing watches over leases: one
that has ended is simply ready again. Times are this process's clock; one that is set back delays tasks, and loses none.

Rules: statements are built once, here, and take rows of parameters; each method is one transaction. Taking from an
empty lane must cost next to nothing, so on SQLite, which has a single writer, a look comes before the attempt.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

from sqlalchemy import (
    Double,
    Executable,
    Integer,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.queue.contract import PLAN, Change, Depth, Lease, Task
from stentor.store.database import SQLITE, Database, insert_or_ignore
from stentor.store.letters import DeadLetter, latest_letters
from stentor.store.tables import dead_letters, payloads, tasks

_NOW = bindparam("now", type_=Double)
_IS_READY = and_(tasks.c.lane == bindparam("on_lane"), tasks.c.ready_at <= _NOW)
_IS_HELD = and_(tasks.c.id == bindparam("task"), tasks.c.lease == bindparam("token"))

_ANY_READY = select(literal_column("1", Integer)).select_from(tasks).where(_IS_READY).limit(1)
_FREE = (
    select(tasks.c.id, tasks.c.lane, tasks.c.campaign_id, payloads.c.payload, tasks.c.deliveries)
    .join_from(tasks, payloads)
    .limit(bindparam("at_most"))
    .with_for_update(of=tasks, skip_locked=True)  # of meaning to PostgreSQL alone
)
_READY = _FREE.where(_IS_READY).order_by(tasks.c.ready_at, tasks.c.id)
_UNHELD = _FREE.where(
    tasks.c.campaign_id == bindparam("of_campaign"), or_(tasks.c.lease.is_(None), tasks.c.ready_at <= _NOW)
).order_by(tasks.c.id)
_LEASE = (
    update(tasks)
    .where(tasks.c.id == bindparam("task"))
    .values(lease=bindparam("token"), ready_at=bindparam("until"), deliveries=tasks.c.deliveries + 1)
)
_EXTEND = update(tasks).where(_IS_HELD).values(ready_at=bindparam("until"))
_RELEASE = update(tasks).where(_IS_HELD).values(lease=null(), ready_at=bindparam("until"), deliveries=0)
_ACK = delete(tasks).where(tasks.c.id == bindparam("task"))
_IS_STILL_HELD = select(literal_column("1", Integer)).select_from(tasks).where(_IS_HELD).with_for_update()
_FORGET_LETTER = delete(dead_letters).where(dead_letters.c.id == bindparam("task"))
_BURY = insert(dead_letters).from_select(
    ["id", "lane", "campaign_id", "payload", "deliveries", "reason", "at"],
    select(
        tasks.c.id,
        tasks.c.lane,
        tasks.c.campaign_id,
        payloads.c.payload,
        tasks.c.deliveries,
        bindparam("why"),
        bindparam("buried_at"),
    )
    .join_from(tasks, payloads)
    .where(_IS_HELD),
)
_LOSE = delete(tasks).where(_IS_HELD)
_DEPTHS = (
    select(
        tasks.c.lane,
        func.count().label("total"),
        func.sum(case((tasks.c.ready_at <= _NOW, 0), else_=1)).label("later"),
        func.sum(case((tasks.c.ready_at <= _NOW, 0), (tasks.c.lease.is_(None), 0), else_=1)).label("leased"),
    )
    .where(tasks.c.lane.in_(bindparam("lanes", expanding=True)))
    .group_by(tasks.c.lane)
)

_Rows = list[dict[str, Any]]


class SqlQueue:
    """`queue.contract.Queue` on the tables `stentor_tasks` and `stentor_dead_letters`."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database: Final = database
        self._clock: Final = clock

    def __repr__(self) -> str:
        return f"<SqlQueue on {self._database.name}>"

    async def take(self, lane: str, limit: int, lease: float) -> list[Lease]:
        """See `queue.contract.Queue.take`."""
        if self._database.dialect == SQLITE and not await self._is_any_ready(lane):
            return []
        return await self._lease(_READY, {"on_lane": lane, "at_most": limit}, lease)

    async def withdraw(self, campaign_id: str, limit: int, lease: float) -> list[Lease]:
        """See `queue.contract.Queue.withdraw`."""
        return await self._lease(_UNHELD, {"of_campaign": campaign_id, "at_most": limit}, lease)

    async def settle(
        self,
        change: Change | None = None,
        *,
        put: Iterable[Task] = (),
        ack: Iterable[Lease] = (),
        release: Iterable[tuple[Lease, float]] = (),
        bury: Iterable[tuple[Lease, str]] = (),
    ) -> None:
        """See `queue.contract.Queue.settle`."""
        now = self._clock()
        # In the order of their ids, so that two that put the same tasks wait for each other instead of deadlocking.
        new = [_new_task(task, now) for task in sorted(put, key=lambda task: task.id)]
        loads = [{"id": task["id"], "payload": task.pop("payload")} for task in new]
        endings: list[tuple[Executable, _Rows]] = [
            (_ACK, [{"task": lease.id} for lease in ack]),
            (_RELEASE, [{**_held(lease), "until": now + delay} for lease, delay in release]),
        ]
        letters = [{**_held(lease), "why": reason, "buried_at": now} for lease, reason in bury]
        if change is None and not new and not letters and not any(rows for _, rows in endings):
            return

        async def settle(connection: AsyncConnection) -> None:
            if new:
                await connection.execute(insert_or_ignore(connection, tasks), new)
                await connection.execute(insert_or_ignore(connection, payloads), loads)
            if change is not None:
                await change(connection)
            for statement, rows in endings:
                if rows:
                    await connection.execute(statement, rows)
            for letter in letters:
                await _bury(connection, letter)

        await self._database.write(settle)

    async def extend(self, leases: Sequence[Lease], lease: float) -> None:
        """See `queue.contract.Queue.extend`."""
        if not leases:
            return
        until = self._clock() + lease
        rows = [{**_held(held), "until": until} for held in leases]

        async def change(connection: AsyncConnection) -> None:
            await connection.execute(_EXTEND, rows)

        await self._database.write(change)

    async def depths(self, lanes: Iterable[str]) -> Mapping[str, Depth]:
        """See `queue.contract.Queue.depths`."""
        wanted = list(lanes)
        found = dict.fromkeys(wanted, Depth())
        for row in await self._database.rows(_DEPTHS, {"lanes": wanted, "now": self._clock()}):
            ready, delayed = row.total - row.later, row.later - row.leased
            found[row.lane] = Depth(ready=ready, delayed=delayed, leased=row.leased)
        return found

    async def queued(self, campaign_id: str) -> AbstractSet[str]:
        """See `queue.contract.Queue.queued`."""
        query = select(tasks.c.id).where(tasks.c.campaign_id == campaign_id, tasks.c.lane != PLAN)
        return {row.id for row in await self._database.rows(query)}

    async def dead_letters(self, campaign_id: str | None = None) -> list[DeadLetter]:
        """See `queue.contract.Queue.dead_letters`."""
        return await self._database.ask(lambda connection: latest_letters(connection, campaign_id))

    async def _lease(self, free: Executable, which: dict[str, Any], lease: float) -> list[Lease]:
        token = secrets.token_hex(8)

        async def change(connection: AsyncConnection) -> list[Lease]:
            now = self._clock()
            found = (await connection.execute(free, {**which, "now": now})).all()
            if found:
                rows = [{"task": row.id, "token": token, "until": now + lease} for row in found]
                await connection.execute(_LEASE, rows)
            return [
                Lease(
                    id=row.id,
                    lane=row.lane,
                    campaign_id=row.campaign_id,
                    payload=row.payload,
                    deliveries=row.deliveries + 1,
                    token=token,
                )
                for row in found
            ]

        return await self._database.write(change)

    async def _is_any_ready(self, lane: str) -> bool:
        return bool(await self._database.rows(_ANY_READY, {"on_lane": lane, "now": self._clock()}))


def _new_task(task: Task, now: float) -> dict[str, Any]:
    return {
        "id": task.id,
        "lane": task.lane,
        "campaign_id": task.campaign_id,
        "payload": task.payload,
        "ready_at": now,
    }


def _held(lease: Lease) -> dict[str, Any]:
    return {"task": lease.id, "token": lease.token}


async def _bury(connection: AsyncConnection, letter: dict[str, Any]) -> None:
    """Move a task to the dead letters if its lease still holds, over an older letter of the same id."""
    held = {"task": letter["task"], "token": letter["token"]}
    if (await connection.execute(_IS_STILL_HELD, held)).first() is None:
        return
    await connection.execute(_FORGET_LETTER, {"task": letter["task"]})
    await connection.execute(_BURY, letter)
    await connection.execute(_LOSE, held)
