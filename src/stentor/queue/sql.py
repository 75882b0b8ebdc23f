"""The queue on the store's own database, so that a step of the queue and what it means for the store commit together.

A task is a row; a lease is a token in it, a new one with each taking, and a time until which nobody else takes it.
Whose token is in the row holds the task, whatever any clock says: what rests on a lease is written in a transaction
that finds the token there (`held`). Nothing watches over leases: one that has ended is simply ready again. On
PostgreSQL the time is the server's, so that no machine's clock ends a lease early; on SQLite it is this machine's.

Rules: statements are built once, here, and take rows of parameters; each method is one transaction; rows are locked in
the order of their ids. On PostgreSQL taking is one statement, since whoever takes is in a hurry, and each answer is a
turn of a busy event loop. Taking from an empty lane must cost next to nothing, so on SQLite, which has a single writer,
a look comes before the attempt. Urgent tasks have an index of their own, so that looking for them costs little
whatever else waits.
"""

from __future__ import annotations

import asyncio
import math
import operator
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import reduce
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    CTE,
    ColumnElement,
    Double,
    Executable,
    Integer,
    Row,
    Select,
    Text,
    and_,
    any_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.clock import steady
from stentor.queue.contract import PLAN, Change, Depth, Lease, Task
from stentor.store.database import POSTGRESQL, SQLITE, Database, insert_or_ignore
from stentor.store.letters import DeadLetter, latest_letters
from stentor.store.tables import dead_letters, payloads, tasks

_IS_HELD = and_(tasks.c.id == bindparam("task"), tasks.c.lease == bindparam("token"))
_ACK = delete(tasks).where(_IS_HELD)
_END = delete(tasks).where(tasks.c.id == bindparam("task"))
_IS_STILL_HELD = select(literal_column("1", Integer)).select_from(tasks).where(_IS_HELD).with_for_update()
_FORGET_LETTER = delete(dead_letters).where(dead_letters.c.id == bindparam("task"))
LOOK, LOOK_SOON = 0.05, 0.02
"""Seconds between two looks for urgent tasks; and where there were some in the last STREAM seconds, as where there are
some there are more."""
STREAM = 10.0
FEW_LANES = 4
"""Of so many at most, urgent tasks are taken without a look first while they come."""
URGENT, READY, UNHELD = "urgent", "ready", "unheld"
_TAKEN: tuple[tuple[str, ...], ...] = ((URGENT,), (URGENT, READY), (UNHELD,))
"""What is taken at a time."""
_TOLD = ("id", "lane", "campaign_id", "urgent", "payload")
_HOLDERS = select(tasks.c.id, tasks.c.lease).order_by(tasks.c.id).with_for_update()
_FIND_HOLDERS = {
    SQLITE: _HOLDERS.where(tasks.c.id.in_(bindparam("ids", expanding=True))),
    POSTGRESQL: _HOLDERS.where(tasks.c.id == any_(bindparam("ids", type_=ARRAY(Text, dimensions=1)))),
}


class _Statements:
    """Those that tell the time, by the parameter `now`; where that is NULL, by the clock of PostgreSQL."""

    def __init__(self, dialect: str) -> None:
        given: ColumnElement[float] = bindparam("now", type_=Double)
        own: ColumnElement[float] = literal_column("extract(epoch from now())::double precision", Double)
        now = given if dialect == SQLITE else func.coalesce(given, own)
        later = now + bindparam("seconds", type_=Double)
        is_ready = and_(tasks.c.lane == bindparam("on_lane"), tasks.c.ready_at <= now)
        free = (
            select(
                *(tasks.c[name] for name in ("id", "lane", "campaign_id", "urgent", "deliveries", "ready_at")),
                payloads.c.payload,
            )
            .join_from(tasks, payloads)
            .limit(bindparam("at_most"))
            .with_for_update(of=tasks, skip_locked=True)  # of meaning to PostgreSQL alone
        )
        unheld = and_(
            tasks.c.campaign_id == bindparam("of_campaign"), or_(tasks.c.lease.is_(None), tasks.c.ready_at <= now)
        )
        is_later = case((tasks.c.ready_at <= now, 0), else_=1)
        is_leased = case((tasks.c.ready_at <= now, 0), (tasks.c.lease.is_(None), 0), else_=1)
        letter = (*(tasks.c[name] for name in ("id", "lane", "campaign_id")), payloads.c.payload, tasks.c.deliveries)
        of_task = update(tasks).where(tasks.c.id == bindparam("task"))
        of_lease = update(tasks).where(_IS_HELD)
        earlier = case((tasks.c.deliveries > 1, 1), else_=0)

        among = tasks.c.lane.in_(bindparam("lanes", expanding=True))

        self.any_ready = select(exists().where(is_ready, tasks.c.urgent), exists().where(is_ready))
        self.with_urgent = select(tasks.c.lane).distinct().where(among, tasks.c.ready_at <= now, tasks.c.urgent)
        self.free: dict[str, Select[Any]] = {
            URGENT: free.where(is_ready, tasks.c.urgent).order_by(tasks.c.ready_at, tasks.c.id),
            READY: free.where(is_ready, ~tasks.c.urgent).order_by(tasks.c.ready_at, tasks.c.id),
            UNHELD: free.where(unheld).order_by(tasks.c.id),
        }
        self.take_at_once = {kinds: _taking([self.free[kind] for kind in kinds], later) for kinds in _TAKEN}
        self.lease = of_task.values(lease=bindparam("token"), ready_at=later, deliveries=tasks.c.deliveries + 1)
        self.extend = of_lease.values(ready_at=later)
        self.release = of_lease.values(lease=null(), ready_at=later, deliveries=0)
        self.put_back = of_lease.values(lease=null(), ready_at=later, deliveries=earlier)
        self.bury = insert(dead_letters).from_select(
            ["id", "lane", "campaign_id", "payload", "deliveries", "reason", "at"],
            select(*letter, bindparam("why", type_=dead_letters.c.reason.type), now)
            .join_from(tasks, payloads)
            .where(_IS_HELD),
        )
        self.depths = (
            select(
                tasks.c.lane,
                func.count().label("total"),
                func.sum(is_later).label("later"),
                func.sum(is_leased).label("leased"),
            )
            .where(tasks.c.lane.in_(bindparam("lanes", expanding=True)))
            .group_by(tasks.c.lane)
        )
        self.new = {**{name: bindparam(name) for name in ("id", "lane", "campaign_id", "urgent")}, "ready_at": now}


def _taking(free: Sequence[Select[Any]], until: ColumnElement[float]) -> Executable:
    """One statement of PostgreSQL's that takes what the first of these finds, and then what the others do, until there
    are `at_most`; each task gets a token of its own."""
    found: list[CTE] = []
    for number, each in enumerate(free):
        before: list[ColumnElement[int]] = [select(func.count()).select_from(cte).scalar_subquery() for cte in found]
        left = reduce(operator.sub, before, bindparam("at_most", type_=Integer))
        found.append(each.limit(left).cte(f"free{number}"))
    parts = [select(*cte.c, literal_column(str(number), Integer).label("part")) for number, cte in enumerate(found)]
    all_of_them = union_all(*parts).subquery()
    place = func.row_number().over(order_by=(all_of_them.c.part, all_of_them.c.ready_at, all_of_them.c.id))
    taken = select(*all_of_them.c, place.label("place")).cte("taken")
    token = bindparam("token", type_=Text) + "." + cast(taken.c.place, Text)
    return (
        update(tasks)
        .where(tasks.c.id == taken.c.id)
        .values(lease=token, ready_at=until, deliveries=tasks.c.deliveries + 1)
        .returning(*(taken.c[name] for name in (*_TOLD, "deliveries", "place")), tasks.c.lease)
    )


_STATEMENTS = {dialect: _Statements(dialect) for dialect in (SQLITE, POSTGRESQL)}

_Rows = list[dict[str, Any]]


class SqlQueue:
    """`queue.contract.Queue` on the tables `stentor_tasks` and `stentor_dead_letters`."""

    def __init__(self, database: Database, clock: Callable[[], float] | None = None) -> None:
        """Args:
        clock: epoch seconds; None: the server's on PostgreSQL, and this machine's on SQLite.
        """
        self._database: Final = database
        self._clock: Final = time.time if clock is None and database.dialect == SQLITE else clock
        self._sql: Final = _STATEMENTS[database.dialect]
        self._urgent_at = -math.inf  # when there was something urgent the last time

    def __repr__(self) -> str:
        return f"<SqlQueue on {self._database.name}>"

    async def take(self, lane: str, limit: int, lease: float, *, urgent: bool = False) -> list[Lease]:
        """See `queue.contract.Queue.take`."""
        if urgent:
            if leases := await self._lease((URGENT,), {"on_lane": lane}, limit, lease):
                self._urgent_at = steady()
            return leases
        kinds: tuple[str, ...] = (URGENT, READY)
        if self._database.dialect == SQLITE:
            (there,) = await self._database.rows(self._sql.any_ready, {"on_lane": lane, "now": self._now})
            kinds = tuple(kind for kind, found in zip(kinds, there, strict=True) if found)
        return await self._lease(kinds, {"on_lane": lane}, limit, lease) if kinds else []

    async def await_urgent(self, lanes: Sequence[str]) -> Sequence[str]:
        """See `queue.contract.Queue.await_urgent`. It looks many times a second, while the store is there. Where taking
        is one statement, and one of few lanes had some a moment ago, whoever waits is told to take: a look first costs
        half as much, and a turn of the loop for each task that it finds."""
        while True:
            is_stream = steady() < self._urgent_at + STREAM
            await asyncio.sleep(LOOK_SOON if is_stream else LOOK)
            if is_stream and self._database.dialect == POSTGRESQL and len(lanes) <= FEW_LANES:
                return lanes
            if rows := await self._database.rows(self._sql.with_urgent, {"lanes": list(lanes), "now": self._now}):
                self._urgent_at = steady()
                return [row.lane for row in rows]

    async def withdraw(self, campaign_id: str, limit: int, lease: float) -> list[Lease]:
        """See `queue.contract.Queue.withdraw`."""
        return await self._lease((UNHELD,), {"of_campaign": campaign_id}, limit, lease)

    async def settle(
        self,
        change: Change | None = None,
        *,
        put: Iterable[Task] = (),
        ack: Iterable[Lease] = (),
        release: Iterable[tuple[Lease, float]] = (),
        put_back: Iterable[tuple[Lease, float]] = (),
        bury: Iterable[tuple[Lease, str]] = (),
    ) -> None:
        """See `queue.contract.Queue.settle`."""
        now = self._now
        new = [_row(task, now) for task in sorted(put, key=lambda task: task.id)]
        loads = [{"id": task["id"], "payload": task.pop("payload")} for task in new]
        endings: list[tuple[Executable, _Rows]] = [
            (_ACK, _sorted(_held(lease) for lease in ack)),
            (self._sql.release, _sorted({**_held(lease), "now": now, "seconds": delay} for lease, delay in release)),
            (self._sql.put_back, _sorted({**_held(lease), "now": now, "seconds": delay} for lease, delay in put_back)),
        ]
        letters = _sorted({**_held(lease), "why": reason, "now": now} for lease, reason in bury)
        if change is None and not new and not letters and not any(rows for _, rows in endings):
            return

        async def settle(connection: AsyncConnection) -> None:
            if new:
                await connection.execute(insert_or_ignore(connection, tasks).values(self._sql.new), new)
                await connection.execute(insert_or_ignore(connection, payloads), loads)
            if change is not None:
                await change(connection)
            for statement, rows in endings:
                if rows:
                    await connection.execute(statement, rows)
            for letter in letters:
                await self._bury(connection, letter)

        await self._database.write(settle)

    async def extend(self, leases: Sequence[Lease], lease: float) -> list[Lease]:
        """See `queue.contract.Queue.extend`."""
        if not leases:
            return []
        until = steady() + lease

        async def change(connection: AsyncConnection) -> list[Lease]:
            held = await self.held(connection, leases)
            kept = [each for each in leases if each.token in held]
            if kept:
                rows = _sorted({**_held(each), "now": self._now, "seconds": lease} for each in kept)
                await connection.execute(self._sql.extend, rows)
            return [replace(each, until=until) for each in kept]

        return await self._database.write(change)

    async def held(self, connection: AsyncConnection, leases: Sequence[Lease]) -> AbstractSet[str]:
        """See `queue.contract.FencingQueue.held`."""
        ids = sorted({lease.id for lease in leases})
        rows = await connection.execute(_FIND_HOLDERS[connection.dialect.name], {"ids": ids})
        return {row.lease for row in rows}.intersection(lease.token for lease in leases)

    async def end(self, connection: AsyncConnection, tasks: Sequence[str]) -> None:
        """See `queue.contract.FencingQueue.end`."""
        if tasks:
            await connection.execute(_END, [{"task": each} for each in sorted(tasks)])

    async def depths(self, lanes: Iterable[str]) -> Mapping[str, Depth]:
        """See `queue.contract.Queue.depths`."""
        wanted = list(lanes)
        found = dict.fromkeys(wanted, Depth())
        for row in await self._database.rows(self._sql.depths, {"lanes": wanted, "now": self._now}):
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

    @property
    def _now(self) -> float | None:
        return None if self._clock is None else self._clock()

    async def _lease(self, kinds: tuple[str, ...], which: Mapping[str, Any], limit: int, lease: float) -> list[Lease]:
        """Take what is free of these kinds, one after the other, until there are `limit`."""
        taking = secrets.token_hex(8)
        until = steady() + lease
        if self._database.dialect == POSTGRESQL:
            given = {**which, "at_most": limit, "now": self._now, "seconds": lease, "token": taking}
            rows = await self._database.write_one(self._sql.take_at_once[kinds], given)
            return [_taken(row, row.lease, until) for row in sorted(rows, key=lambda row: row.place)]

        async def change(connection: AsyncConnection) -> list[Lease]:
            now = self._now
            found: list[Row[Any]] = []
            for kind in kinds:
                if left := limit - len(found):
                    found += (
                        await connection.execute(self._sql.free[kind], {**which, "at_most": left, "now": now})
                    ).all()
            tokens = [f"{taking}.{number}" for number in range(len(found))]
            if found:
                taken = zip(found, tokens, strict=True)
                rows = _sorted({"task": row.id, "token": token, "now": now, "seconds": lease} for row, token in taken)
                await connection.execute(self._sql.lease, rows)
            return [_taken(row, token, until) for row, token in zip(found, tokens, strict=True)]

        return await self._database.write(change)

    async def _bury(self, connection: AsyncConnection, letter: dict[str, Any]) -> None:
        """Move a task to the dead letters if its lease still holds, over an older letter of the same id."""
        held = {"task": letter["task"], "token": letter["token"]}
        if (await connection.execute(_IS_STILL_HELD, held)).first() is None:
            return
        await connection.execute(_FORGET_LETTER, {"task": letter["task"]})
        await connection.execute(self._sql.bury, letter)
        await connection.execute(_ACK, held)


def _taken(row: Row[Any], token: str, until: float) -> Lease:
    """Of a task as it was before it was taken."""
    told = {name: getattr(row, name) for name in _TOLD}
    return Lease(**told, deliveries=row.deliveries + 1, token=token, until=until)


def _row(task: Task, now: float | None) -> dict[str, Any]:
    return {
        "id": task.id,
        "lane": task.lane,
        "campaign_id": task.campaign_id,
        "payload": task.payload,
        "urgent": task.urgent,
        "now": now,
    }


def _held(lease: Lease) -> dict[str, Any]:
    return {"task": lease.id, "token": lease.token}


def _sorted(rows: Iterable[dict[str, Any]]) -> _Rows:
    """In the order of their ids, so that two that lock the same tasks wait for each other instead of deadlocking."""
    return sorted(rows, key=lambda row: str(row["task"]))
