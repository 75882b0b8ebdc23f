"""Lists of installations that campaigns leave out, by name."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.store.among import among
from stentor.store.bulk import insert_ignoring
from stentor.store.database import insert_or_ignore
from stentor.store.tables import exclusion_lists, exclusions

_INSERT = insert_ignoring(exclusions, "list", "installation")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExclusionList:
    """A list. Times are epoch seconds."""

    name: str
    installations: int
    """How many are on it."""
    created_at: float
    changed_at: float


async def add(connection: AsyncConnection, name: str, installations: Collection[str], now: float) -> int:
    """Have these on a list, which is made if there is none of this name. Returns: how many were not on it."""
    row = {"name": name, "created_at": now, "changed_at": now}
    await connection.execute(insert_or_ignore(connection, exclusion_lists).values(**row))
    there = select(exclusions.c.installation).where(
        exclusions.c.list == name, among(connection, exclusions.c.installation, sorted(installations))
    )
    before = {each.installation for each in await connection.execute(there)}
    news = [{"list": name, "installation": each} for each in sorted(set(installations) - before)]
    await _INSERT.execute(connection, news)
    if news:
        await _changed(connection, name, now)
    return len(news)


async def remove(connection: AsyncConnection, name: str, installations: Collection[str], now: float) -> int:
    """Take these off a list. Returns: how many were on it."""
    named = among(connection, exclusions.c.installation, sorted(installations))
    gone = await connection.execute(delete(exclusions).where(exclusions.c.list == name, named))
    if gone.rowcount:
        await _changed(connection, name, now)
    return int(gone.rowcount)


async def drop(connection: AsyncConnection, name: str) -> bool:
    """Delete a list. Returns: whether there was one."""
    return bool((await connection.execute(delete(exclusion_lists).where(exclusion_lists.c.name == name))).rowcount)


async def lists(connection: AsyncConnection) -> Sequence[ExclusionList]:
    """All of them, in the order of their names."""
    on_it = (
        select(func.count())
        .select_from(exclusions)
        .where(exclusions.c.list == exclusion_lists.c.name)
        .correlate(exclusion_lists)
        .scalar_subquery()
    )
    query = select(exclusion_lists, on_it.label("installations")).order_by(exclusion_lists.c.name)
    return [
        ExclusionList(
            name=row.name, installations=row.installations, created_at=row.created_at, changed_at=row.changed_at
        )
        for row in await connection.execute(query)
    ]


async def names(connection: AsyncConnection) -> list[str]:
    """Those of all lists, in order."""
    query = select(exclusion_lists.c.name).order_by(exclusion_lists.c.name)
    return [row.name for row in await connection.execute(query)]


async def page(connection: AsyncConnection, name: str, after: str | None, limit: int) -> list[str]:
    """The installations on a list, in order, after one of them."""
    query = select(exclusions.c.installation).where(exclusions.c.list == name)
    if after is not None:
        query = query.where(exclusions.c.installation > after)
    return [
        row.installation for row in await connection.execute(query.order_by(exclusions.c.installation).limit(limit))
    ]


async def erase(connection: AsyncConnection, installation: str) -> None:
    """Take an installation off all lists."""
    await connection.execute(delete(exclusions).where(exclusions.c.installation == installation))


async def _changed(connection: AsyncConnection, name: str, now: float) -> None:
    await connection.execute(update(exclusion_lists).where(exclusion_lists.c.name == name).values(changed_at=now))
