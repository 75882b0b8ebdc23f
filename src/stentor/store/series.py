"""Series and their runs as rows: a recurring campaign, and what became of each instant at which it was due.

Rules: a run is one row for its series and its instant, so that only one scheduler claims it; its campaign's id follows
from both. A run that is claimed and not started is held by a scheduler for a while, and taken over by another after
that. What becomes of it is written once, in the transaction that starts its campaign if it is started. Every function
takes the connection of the transaction it is part of. Times are epoch seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, and_, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.states import FINAL
from stentor.store.campaigns import id_of
from stentor.store.database import insert_or_ignore
from stentor.store.tables import campaigns, series, series_runs

NAMED = 5
"""Series that are named at most where a name could mean several."""
RUNS_KEPT = 1000
"""Runs of a series that are kept, the newest ones."""


class Missed(StrEnum):
    """What becomes of runs that were due while no scheduler ran."""

    SKIP = "skip"
    """They are left out."""
    ONE = "one"
    """The newest of them is sent late."""


class RunState(StrEnum):
    DUE = "due"
    """A scheduler makes its campaign, or tries that again."""
    STARTED = "started"
    """There is a campaign, which has its own state."""
    FAILED = "failed"
    """It could not be made."""
    SKIPPED = "skipped"
    """The run before it was still being sent."""
    MISSED = "missed"
    """No scheduler ran when it was due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A recurring campaign. What it sends is a draft of the same id (`CampaignKind.SERIES`)."""

    id: str
    name: str
    cron: str
    zone: str
    missed: Missed = Missed.SKIP
    paused: bool = False
    next_at: float | None = None
    """When the next run is due; None: it is paused, or there is none."""
    revision: int = 0
    created_at: float
    changed_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRun:
    """What became of a series at an instant."""

    series_id: str
    due: float
    campaign_id: str
    """The run's campaign, if it was started; it may have been pruned since."""
    state: RunState
    reason: str | None = None
    """Why it was not sent, or why making it is tried again."""
    runs: int = 1
    """Of a stretch that was missed: how many were due, from `due` on."""
    at: float
    """When it got its state."""

    @property
    def was_started(self) -> bool:
        """Whether there is a campaign, unless it was pruned."""
        return self.state is RunState.STARTED


def run_id(series_id: str, due: float) -> str:
    """The id of the campaign of a run: the same whoever makes it."""
    return id_of(due, hashlib.sha256(f"{series_id}/{due!r}".encode()).digest())


async def add(connection: AsyncConnection, new: Series) -> bool:
    """Store a new series; once, however often it is told. Returns: whether it is there, and not another of its name."""
    row = {name: getattr(new, name) for name in Series.__dataclass_fields__}
    await connection.execute(insert_or_ignore(connection, series).values(**row | {"missed": new.missed.value}))
    return await get(connection, new.id) is not None


async def get(connection: AsyncConnection, series_id: str) -> Series | None:
    row = (await connection.execute(select(series).where(series.c.id == series_id))).first()
    return None if row is None else _series(row)


async def lock(connection: AsyncConnection, series_id: str) -> Series | None:
    """As `get`; nobody else changes it, or goes on in a transaction that calls this, until ours ends."""
    await connection.execute(select(series.c.id).where(series.c.id == series_id).with_for_update())
    return await get(connection, series_id)


async def find(connection: AsyncConnection, name: str) -> Sequence[Series]:
    """Those that somebody means by an id, a name, or any part of an id, in this order."""
    for condition in (series.c.id == name, series.c.name == name, series.c.id.contains(name, autoescape=True)):
        rows = (await connection.execute(select(series).where(condition).order_by(series.c.id).limit(NAMED + 1))).all()
        if rows:
            return [_series(row) for row in rows]
    return []


async def named(connection: AsyncConnection, name: str) -> Series | None:
    row = (await connection.execute(select(series).where(series.c.name == name))).first()
    return None if row is None else _series(row)


async def page(connection: AsyncConnection, after: str | None, limit: int) -> Sequence[Series]:
    """The first of them in the order of their names, after a name."""
    query = select(series).order_by(series.c.name).limit(limit)
    if after is not None:
        query = query.where(series.c.name > after)
    return [_series(row) for row in await connection.execute(query)]


async def change(connection: AsyncConnection, series_id: str, revision: int, values: Mapping[str, Any]) -> bool:
    """Set columns of a series that was changed `revision` times. Returns: whether it was."""
    ours = and_(series.c.id == series_id, series.c.revision == revision)
    changed = await connection.execute(update(series).where(ours).values({**values, "revision": revision + 1}))
    return bool(changed.rowcount)


async def advance(connection: AsyncConnection, series_id: str, next_at: float | None) -> None:
    """Say when its next run is due, as what was due before is on record."""
    await connection.execute(update(series).where(series.c.id == series_id).values(next_at=next_at))


async def remove(connection: AsyncConnection, series_id: str) -> bool:
    """Delete a series with its draft and the list of its runs; their campaigns stay. Returns: whether there was one."""
    there = await get(connection, series_id) is not None
    await connection.execute(delete(series).where(series.c.id == series_id))
    if there:
        await connection.execute(delete(campaigns).where(campaigns.c.id == series_id))
    return there


async def due(connection: AsyncConnection, now: float) -> Sequence[str]:
    """The ids of series of which a run is due."""
    return list((await connection.execute(select(series.c.id).where(series.c.next_at <= now))).scalars())


async def unmade(connection: AsyncConnection, now: float) -> Sequence[SeriesRun]:
    """Runs that were claimed, and that nobody works on now."""
    query = select(series_runs).where(series_runs.c.state == RunState.DUE.value, series_runs.c.until <= now)
    return [_run(row) for row in await connection.execute(query.order_by(series_runs.c.due))]


async def under_way(connection: AsyncConnection, series_id: str) -> SeriesRun | None:
    """The newest run that is still being made or sent; None: there is none."""
    moving = campaigns.c.state.not_in([state.value for state in FINAL])
    query = (
        select(series_runs)
        .outerjoin(campaigns, campaigns.c.id == series_runs.c.campaign_id)
        .where(
            series_runs.c.series_id == series_id,
            or_(series_runs.c.state == RunState.DUE.value, and_(series_runs.c.state == RunState.STARTED.value, moving)),
        )
        .order_by(series_runs.c.due.desc())
        .limit(1)
    )
    row = (await connection.execute(query)).first()
    return None if row is None else _run(row)


async def record(connection: AsyncConnection, run: SeriesRun) -> None:
    """Have a run on record, unless there is one of its series and instant; forget the oldest of many."""
    row = {name: getattr(run, name) for name in SeriesRun.__dataclass_fields__}
    await connection.execute(insert_or_ignore(connection, series_runs).values(**row | {"state": run.state.value}))
    c = series_runs.c
    kept = select(c.due).where(c.series_id == run.series_id).order_by(c.due.desc()).offset(RUNS_KEPT).limit(1)
    oldest = (await connection.execute(kept)).scalar()
    if oldest is not None:
        await connection.execute(delete(series_runs).where(c.series_id == run.series_id, c.due <= oldest))


async def hold(connection: AsyncConnection, run: SeriesRun, now: float, until: float) -> bool:
    """Have a claimed run to oneself until then. Returns: whether nobody else has it."""
    free = series_runs.c.until <= now
    return bool((await connection.execute(update(series_runs).where(*_due(run), free).values(until=until))).rowcount)


async def keep(connection: AsyncConnection, run: SeriesRun, until: float, reason: str | None = None) -> bool:
    """Hold it for longer, or have it tried again then for a reason. Returns: whether it is still to be made."""
    values = {"until": until} | ({} if reason is None else {"reason": reason})
    return bool((await connection.execute(update(series_runs).where(*_due(run)).values(values))).rowcount)


async def settle(
    connection: AsyncConnection, run: SeriesRun, state: RunState, now: float, reason: str | None = None
) -> bool:
    """What became of a claimed run. Returns: whether nobody had said so before."""
    values = {"state": state.value, "reason": reason, "at": now, "until": 0.0}
    return bool((await connection.execute(update(series_runs).where(*_due(run)).values(values))).rowcount)


async def run(connection: AsyncConnection, series_id: str, due: float) -> SeriesRun | None:
    """The run of a series that was due then."""
    query = select(series_runs).where(series_runs.c.series_id == series_id, series_runs.c.due == due)
    row = (await connection.execute(query)).first()
    return None if row is None else _run(row)


async def runs(connection: AsyncConnection, series_id: str, before: float | None, limit: int) -> Sequence[SeriesRun]:
    """What became of a series, the newest first; what was due before a moment."""
    query = select(series_runs).where(series_runs.c.series_id == series_id)
    if before is not None:
        query = query.where(series_runs.c.due < before)
    return [_run(row) for row in await connection.execute(query.order_by(series_runs.c.due.desc()).limit(limit))]


async def newest_runs(connection: AsyncConnection, ids: Sequence[str]) -> Mapping[str, SeriesRun]:
    """The newest run of each of these that has one."""
    c = series_runs.c
    newest = select(c.series_id, func.max(c.due).label("due")).where(c.series_id.in_(ids)).group_by(c.series_id)
    latest = newest.subquery()
    query = select(series_runs).join(latest, and_(c.series_id == latest.c.series_id, c.due == latest.c.due))
    return {row.series_id: _run(row) for row in await connection.execute(query)}


def _due(run: SeriesRun) -> Sequence[Any]:
    c = series_runs.c
    return c.series_id == run.series_id, c.due == run.due, c.state == RunState.DUE.value


def _series(row: Row[Any]) -> Series:
    return Series(**{**row._mapping, "missed": Missed(row.missed), "paused": bool(row.paused)})


def _run(row: Row[Any]) -> SeriesRun:
    values = {name: row._mapping[name] for name in SeriesRun.__dataclass_fields__}
    return SeriesRun(**values | {"state": RunState(row.state)})
