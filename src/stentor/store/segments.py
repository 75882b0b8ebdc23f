"""Segments that people saved, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.store.database import insert_or_ignore
from stentor.store.tables import segments


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedSegment:
    name: str
    segment: str
    """As people write it."""
    created_at: float
    """Epoch seconds."""
    changed_at: float


async def save(connection: AsyncConnection, name: str, segment: str, now: float) -> None:
    """Have a segment of this name, in the place of one that had it before."""
    row = {"name": name, "segment": segment, "created_at": now, "changed_at": now}
    await connection.execute(insert_or_ignore(connection, segments).values(**row))
    change = update(segments).where(segments.c.name == name, segments.c.segment != segment)
    await connection.execute(change.values(segment=segment, changed_at=now))


async def get(connection: AsyncConnection, name: str) -> SavedSegment | None:
    row = (await connection.execute(select(segments).where(segments.c.name == name))).first()
    return None if row is None else _saved(row)


async def page(connection: AsyncConnection, after: str | None, limit: int) -> Sequence[SavedSegment]:
    """The first of them in the order of their names, after one."""
    query = select(segments).order_by(segments.c.name).limit(limit)
    if after is not None:
        query = query.where(segments.c.name > after)
    return [_saved(row) for row in await connection.execute(query)]


async def remove(connection: AsyncConnection, name: str) -> bool:
    """Whether there was one."""
    return bool((await connection.execute(delete(segments).where(segments.c.name == name))).rowcount)


def _saved(row: Row[Any]) -> SavedSegment:
    return SavedSegment(name=row.name, segment=row.segment, created_at=row.created_at, changed_at=row.changed_at)
