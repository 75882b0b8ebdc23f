"""Installations of the registry, looked up one by one or page by page, for people and programs.

Rules: no query reads more than a page of what is in the registry, whatever is asked for, as each follows an index. All
installations come in the order of their ids; those of a channel, or the dead or alive ones, come channel by channel and
app by app, and then in the order of their ids, those that name no app last. Pages go on after a key and not by a
number, so what comes or goes meanwhile moves nobody else from one page to another.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.errors import InvalidConfiguration
from stentor.store.tables import installations

_ALIVE, _DEAD = installations.c.dead_at.is_(None), installations.c.dead_at.is_not(None)
_ONE = select(installations)
_CURSOR = msgspec.msgpack.Decoder(tuple[str | None, str | None, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Which installations are wanted; None: whatever it is."""

    channel: str | None = None
    app: str | None = None
    """With `channel` only."""
    dead: bool | None = None

    @property
    def everything(self) -> bool:
        return self.channel is None and self.dead is None

    @property
    def sections(self) -> list[ColumnElement[bool]]:
        """The parts of the registry that are read; each has an index."""
        return [_ALIVE, _DEAD] if self.dead is None else [_DEAD if self.dead else _ALIVE]


@dataclass(frozen=True, slots=True)
class _Group:
    """The installations of one channel that name one app, or none."""

    channel: str
    app: str | None

    @property
    def condition(self) -> ColumnElement[bool]:
        named = installations.c.app.is_(None) if self.app is None else installations.c.app == self.app
        return (installations.c.channel == self.channel) & named


async def find(connection: AsyncConnection, installation_id: str, *, lock: bool = False) -> Row[Any] | None:
    """One installation; with `lock`, as it stays until the transaction ends."""
    query = _ONE.where(installations.c.id == installation_id)
    return (await connection.execute(query.with_for_update() if lock else query)).first()


async def page(
    connection: AsyncConnection, kind: Listing, cursor: str | None, limit: int
) -> tuple[Sequence[Row[Any]], str | None]:
    """The first `limit` installations of a kind after a cursor, and the cursor to go on with; None: these are the last.

    Raises:
        InvalidConfiguration: this is no cursor of such a list.
    """
    after = None if cursor is None else _read(cursor)
    if kind.everything:
        rows = await _by_id(connection, None if after is None else after[2], limit + 1)
    else:
        rows = await _by_group(connection, kind, after, limit + 1)
    more = len(rows) > limit
    rows = rows[:limit]
    return rows, _write(rows[-1]) if more else None


async def _by_id(connection: AsyncConnection, after: str | None, limit: int) -> list[Row[Any]]:
    query = _ONE.order_by(installations.c.id).limit(limit)
    if after is not None:
        query = query.where(installations.c.id > after)
    return list(await connection.execute(query))


async def _by_group(
    connection: AsyncConnection, kind: Listing, after: tuple[str | None, str | None, str] | None, limit: int
) -> list[Row[Any]]:
    found: list[Row[Any]] = []
    last: str | None = None
    if after is None:
        group = await _first(connection, kind)
    else:
        channel, app, last = after
        group = None if channel is None else _Group(channel, app)
    while group is not None and len(found) < limit:
        found += await _of_group(connection, kind, group, last, limit - len(found))
        group, last = await _next(connection, kind, group), None
    return found


async def _of_group(
    connection: AsyncConnection, kind: Listing, group: _Group, after: str | None, limit: int
) -> list[Row[Any]]:
    rows: list[Row[Any]] = []
    order = (installations.c.app, installations.c.id)  # PostgreSQL doesn't see that all have the same app if it is NULL
    for section in kind.sections:
        query = _ONE.where(group.condition, section).order_by(*order).limit(limit)
        if after is not None:
            query = query.where(installations.c.id > after)
        rows += await connection.execute(query)
    return sorted(rows, key=lambda row: str(row.id))[:limit]


async def _first(connection: AsyncConnection, kind: Listing) -> _Group | None:
    if kind.channel is None:
        channel = await _least(connection, kind, select(installations.c.channel))
        return None if channel is None else await _first_of(connection, kind, channel)
    if kind.app is not None:
        return _Group(kind.channel, kind.app)
    return await _first_of(connection, kind, kind.channel)


async def _first_of(connection: AsyncConnection, kind: Listing, channel: str) -> _Group:
    named = select(installations.c.app).where(installations.c.channel == channel, installations.c.app.is_not(None))
    return _Group(channel, await _least(connection, kind, named))


async def _next(connection: AsyncConnection, kind: Listing, group: _Group) -> _Group | None:
    """The group after this one; none that names no app is left out, though it may be empty."""
    if kind.app is not None:
        return None
    if group.app is not None:
        same = installations.c.channel == group.channel
        later = select(installations.c.app).where(same, installations.c.app > group.app)
        return _Group(group.channel, await _least(connection, kind, later))
    if kind.channel is not None:
        return None
    later = select(installations.c.channel).where(installations.c.channel > group.channel)
    channel = await _least(connection, kind, later)
    return None if channel is None else await _first_of(connection, kind, channel)


async def _least(connection: AsyncConnection, kind: Listing, query: Select[Any]) -> str | None:
    """The least value that a query of one column finds in the wanted sections, as the database orders them."""
    (column,) = query.selected_columns
    firsts = [query.where(section).order_by(column).limit(1).subquery() for section in kind.sections]
    found = [value for first in firsts if (value := (await connection.execute(select(first))).scalar()) is not None]
    if len(found) < 2 or found[0] == found[1]:
        return found[0] if found else None
    either = query.where(column.in_(found)).order_by(column).limit(1)
    least: str = (await connection.execute(either)).scalar_one()
    return least


def _write(row: Row[Any]) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode((row.channel, row.app, row.id))).decode().rstrip("=")


def _read(cursor: str) -> tuple[str | None, str | None, str]:
    try:
        return _CURSOR.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise InvalidConfiguration("this is not a cursor of this list; begin without one") from None
