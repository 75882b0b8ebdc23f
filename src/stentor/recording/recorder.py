"""The recorder: makes outcomes durable, and only then lets the queue end a batch's lease.

What comes in while one transaction is under way goes together into the next, so the number of transactions follows
the database's speed and not the number of batches. Rules: a recipient's first terminal outcome is its last, however
often and by whomever a batch is sent again; whatever is told here twice counts once. While the database cannot be
written to, everything waits here, and so do those who told it; nothing is given up.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.errors import StoreUnavailable
from stentor.outcome import Outcome
from stentor.queue.contract import Lease, Queue
from stentor.recording.contract import Failure, Settlement, Standing, Then, Waiting
from stentor.recording.hygiene import mark_dead
from stentor.store.database import Database, insert_or_ignore
from stentor.store.tables import batches, failures

logger = logging.getLogger(__name__)

GATHER = 0.03
"""Seconds for which the first settlement after a while waits for others: a transaction costs as much as several."""
LONGEST_PAUSE = 2.0
"""Seconds between attempts while the database cannot be written to."""
COLUMNS = {
    Outcome.PENDING: "pending",
    Outcome.ACCEPTED: "accepted",
    Outcome.REJECTED: "rejected",
    Outcome.EXPIRED: "expired",
    Outcome.CANCELLED: "cancelled",
    Outcome.AMBIGUOUS: "ambiguous",
}
"""The column of `batches` that counts each outcome."""

_WAITING = msgspec.msgpack.Decoder(tuple[Waiting, ...])
_NOBODY = msgspec.msgpack.encode(())
_AMONG = batches.c.id.in_(bindparam("ids", expanding=True))
_STANDINGS = select(batches.c.id, batches.c.outcomes, batches.c.waiting, batches.c.pending).where(_AMONG)
_LOCK = (
    select(batches.c.id, batches.c.size, batches.c.outcomes, batches.c.waiting)
    .where(_AMONG)
    .order_by(batches.c.id)
    .with_for_update()
)
_UPDATE = (
    update(batches)
    .where(batches.c.id == bindparam("batch"))
    .values({name: bindparam(name) for name in ("outcomes", "waiting", "recorded_at", *COLUMNS.values())})
)


@dataclass(slots=True)
class _Row:
    """A batch's row while its settlements are merged into it."""

    size: int
    outcomes: bytes
    waiting: bytes | None


class Recorder:
    """Records what senders tell it. `run` must be going for `record` to return."""

    def __init__(self, database: Database, queue: Queue, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._queue = queue
        self._clock = clock
        self._told: list[tuple[Settlement, asyncio.Future[None]]] = []
        self._wake = asyncio.Event()
        self._stopping = False
        self.problem: str | None = None
        """Why nothing can be recorded just now; None while it can."""

    async def standings(self, leases: Sequence[Lease]) -> dict[str, Standing]:
        """What is recorded of some batches, by id; those the store doesn't know (yet) are absent.

        Raises: StoreUnavailable.
        """
        rows = await self._database.rows(_STANDINGS, {"ids": [lease.id for lease in leases]})
        return {
            row.id: Standing(
                outcomes=row.outcomes,
                waiting=_WAITING.decode(row.waiting) if row.waiting else (),
                pending=row.pending,
            )
            for row in rows
        }

    async def record(self, settlement: Settlement) -> None:
        """Returns when the settlement is durable and its lease has ended as it says."""
        done = asyncio.get_running_loop().create_future()
        self._told.append((settlement, done))
        self._wake.set()
        await done

    async def run(self) -> None:
        """Record until `stop`; then whatever was told before it is still recorded."""
        pause = 0.0
        while self._told or not self._stopping:
            if not self._told:
                self._wake.clear()
                await self._wake.wait()
                if not self._stopping:
                    await asyncio.sleep(GATHER)
                continue
            told, self._told = self._told, []
            try:
                await self.commit([settlement for settlement, _ in told])
            except StoreUnavailable as error:
                if self.problem is None:  # once; where the store is away, the store cannot tell anybody
                    logger.warning("outcomes wait to be recorded, and nothing is lost: %s", error)
                self.problem = str(error)
                self._told = told + self._told
                pause = min(LONGEST_PAUSE, pause * 2 or 0.1)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                continue
            self.problem = None
            pause = 0.0
            for _, done in told:
                if not done.done():
                    done.set_result(None)

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    async def commit(self, settlements: Sequence[Settlement]) -> None:
        """Record these at once, in a transaction of their own; `run` needn't be going. Raises: StoreUnavailable."""
        news = [settlement for settlement in settlements if settlement.outcomes or settlement.waiting]

        async def change(connection: AsyncConnection) -> None:
            await write(connection, news, self._clock())

        await self._queue.settle(
            change if news else None,
            ack=[each.lease for each in settlements if each.then is Then.ACK],
            release=[(each.lease, each.delay) for each in settlements if each.then is Then.RELEASE],
            bury=[(each.lease, each.why) for each in settlements if each.then is Then.BURY],
        )


async def write(connection: AsyncConnection, settlements: Sequence[Settlement], now: float) -> None:
    """Merge settlements into the rows of their batches, in the order given, within the caller's transaction."""
    rows = await _lock_rows(connection, {settlement.lease.id for settlement in settlements})
    lost: list[dict[str, Any]] = []
    for settlement in settlements:
        row = rows.get(settlement.lease.id)
        if row is None:
            continue  # a batch that was never planned: its campaign was deleted
        new = _merge(row, settlement)
        if new:
            batch = settlement.batch
            recipients = batch.recipients if batch else await _recipients(connection, settlement.lease.id)
            addresses = batch.addresses if batch else [b""] * len(recipients)
            lost += [_failure(settlement.lease, each, recipients, addresses, now) for each in new]
    if rows:
        await connection.execute(_UPDATE, [_values(batch, row, now) for batch, row in rows.items()])
    if lost:
        await connection.execute(insert_or_ignore(connection, failures), [_without_address(row) for row in lost])
        if dead := [row for row in lost if row["dead"]]:
            await mark_dead(connection, dead, now)


async def _lock_rows(connection: AsyncConnection, ids: Iterable[str]) -> dict[str, _Row]:
    """Sorted, so that two recorders that share batches take their locks in one order."""
    rows = await connection.execute(_LOCK, {"ids": sorted(ids)})
    return {row.id: _Row(row.size, row.outcomes or bytes(row.size), row.waiting) for row in rows}


async def _recipients(connection: AsyncConnection, batch_id: str) -> list[bytes]:
    """As they were planned: of a batch that cannot be read any more."""
    found = await connection.scalar(select(batches.c.recipients).where(batches.c.id == batch_id))
    return msgspec.msgpack.decode(found or _NOBODY, type=list[bytes])


def _merge(row: _Row, settlement: Settlement) -> list[Failure]:
    """Put what is new into the row. Returns the failures that are new with it."""
    before = row.outcomes
    if settlement.outcomes:
        row.outcomes = merge_outcomes(before, settlement.outcomes)
    if settlement.waiting or row.waiting is not None:
        waiting = {each.position: each for each in _WAITING.decode(row.waiting or _NOBODY)}
        for each in settlement.waiting:
            known = waiting.get(each.position)
            if known is None or each.tries >= known.tries:
                waiting[each.position] = each
        still = [each for each in waiting.values() if row.outcomes[each.position] == Outcome.PENDING]
        row.waiting = msgspec.msgpack.encode(still) if still else None
    return [failure for failure in settlement.failures if before[failure.position] == Outcome.PENDING]


def _failure(
    lease: Lease, failure: Failure, recipients: Sequence[bytes], addresses: Sequence[bytes], now: float
) -> dict[str, Any]:
    return {
        "batch_id": lease.id,
        "position": failure.position,
        "campaign_id": lease.campaign_id,
        "lane": lease.lane,
        "installation": recipients[failure.position].decode(),
        "outcome": int(failure.outcome),
        "reason": failure.reason,
        "status": failure.status,
        "detail": failure.detail,
        "dead": failure.dead,
        "tries": failure.tries,
        "at": now,
        "address": addresses[failure.position].decode(errors="replace"),
        "since": failure.since,
    }


def merge_outcomes(before: bytes, news: bytes) -> bytes:
    """The first terminal outcome of each recipient."""
    if not any(before):
        return news
    if not any(news):
        return before
    return bytes([old or new for old, new in zip(before, news, strict=True)])


def _values(batch: str, row: _Row, now: float) -> dict[str, Any]:
    counts = {name: row.outcomes.count(outcome) for outcome, name in COLUMNS.items()}
    return {"batch": batch, "outcomes": row.outcomes, "waiting": row.waiting, "recorded_at": now, **counts}


def _without_address(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("address", "since")}
