"""The processes of roles as rows: each shows itself every few seconds, and takes its row away when it stops.

Rules: every time here is the store's, so that no two machines' clocks need agree; a row is written by its own process
alone, in one statement; whoever reads the rows takes them as they are, whichever version of Stentor wrote them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import ColumnElement, Double, cast, delete, extract, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.store.database import SQLITE
from stentor.store.tables import role_processes

SILENT = 30.0
"""Seconds without a sign after which a process may have been killed, or cut off from the store."""
FORGOTTEN_AFTER = 3600.0
"""Seconds after its last sign for which a process is remembered that took no leave: it was killed, say."""
MOST = 10_000
"""Processes that are read at most."""


class ServedLane(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a sender says of one of its lanes."""

    timed: dict[int, int] = {}
    """How long answers took in the last minute: how many by each band of `AnswerTimes`."""
    expires_at: float | None = None
    """When the credentials end by themselves, in epoch seconds; None: never, or nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSign:
    """A process that does a role's work, and when it last showed itself. Times are the store's epoch seconds."""

    id: str
    role: str
    host: str
    pid: int
    version: str
    started_at: float
    seen_at: float
    silent_for: float
    """Seconds since its last sign."""
    lanes: Mapping[str, ServedLane] = field(default_factory=dict)
    """Those that a sender serves."""

    @property
    def is_silent(self) -> bool:
        """Whether it may have been killed, or cut off from the store."""
        return self.silent_for > SILENT


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownProcess:
    """What a process tells of itself."""

    id: str
    role: str
    host: str
    pid: int
    version: str


_LANES = msgspec.json.Decoder(dict[str, ServedLane])


async def show(
    connection: AsyncConnection,
    process: ShownProcess,
    running_for: float,
    lanes: Mapping[str, ServedLane],
    clock: Callable[[], float],
) -> None:
    """Have it known that a process runs now.

    Args:
        running_for: seconds since it began.
        clock: the machine's epoch seconds, which are the store's if that is in SQLite.
    """
    now = _now(connection, clock)
    dialect = sqlite if connection.dialect.name == SQLITE else postgresql
    insert = dialect.insert(role_processes).values(
        id=process.id,
        role=process.role,
        host=process.host,
        pid=process.pid,
        version=process.version,
        started_at=now - running_for,
        seen_at=now,
        lanes=msgspec.json.encode(lanes) if lanes else None,
    )
    latest = {"seen_at": insert.excluded.seen_at, "lanes": insert.excluded.lanes}
    await connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=latest))


async def take_leave(connection: AsyncConnection, process_id: str) -> None:
    """Have it known that a process runs no longer."""
    await connection.execute(delete(role_processes).where(role_processes.c.id == process_id))


async def forget(connection: AsyncConnection, clock: Callable[[], float]) -> None:
    """Remove those that showed no sign for `FORGOTTEN_AFTER` seconds."""
    old = role_processes.c.seen_at < _now(connection, clock) - FORGOTTEN_AFTER
    await connection.execute(delete(role_processes).where(old))


async def all_signs(connection: AsyncConnection, clock: Callable[[], float]) -> list[ProcessSign]:
    """Every process that is remembered, by role, host and start."""
    now = _now(connection, clock).label("now")
    columns = role_processes.c
    query = select(role_processes, now).order_by(columns.role, columns.host, columns.started_at, columns.id).limit(MOST)
    return [
        ProcessSign(
            id=row.id,
            role=row.role,
            host=row.host,
            pid=row.pid,
            version=row.version,
            started_at=row.started_at,
            seen_at=row.seen_at,
            silent_for=max(0.0, row.now - row.seen_at),
            lanes=_decoded(row.lanes),
        )
        for row in await connection.execute(query)
    ]


def _decoded(lanes: bytes | None) -> dict[str, ServedLane]:
    """What a newer Stentor wrote in another form is not understood, and not shown."""
    try:
        return _LANES.decode(lanes) if lanes else {}
    except msgspec.MsgspecError:
        return {}


def _now(connection: AsyncConnection, clock: Callable[[], float]) -> ColumnElement[float]:
    """The store's time, within a statement."""
    if connection.dialect.name == SQLITE:
        return literal(clock(), Double)
    return cast(extract("epoch", func.clock_timestamp()), Double)
