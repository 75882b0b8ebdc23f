"""The embedded registry: Stentor's own table of installations, for those who have none.

It is read as any other table is (`sql.py`). Rules: an installation whose address died isn't in the audience until it
registers another address; what an import doesn't say of an installation stays as it is. When an address was registered
is known only if the import says so: the time of the import says nothing of it, as the address may have died before.

On PostgreSQL a thousand rows are merged by one statement, which gets them as columns and counts what became of them: it
needs no temporary table, so no right to make one, and is twice as fast as COPY into one. SQLite has neither arrays nor
a server to go to: there the rows are merged here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from stentor.audience.checks import UniqueColumns
from stentor.audience.contract import Routes, Selection
from stentor.audience.sql import SqlAudience
from stentor.config import AudienceConfig, Columns
from stentor.store.bulk import given, unnested
from stentor.store.database import SQLITE, Database
from stentor.store.tables import installations
from stentor.store.text import storable, storable_column

SETTINGS = AudienceConfig(
    table=installations.name,
    where="dead_at IS NULL",
    columns=Columns(
        id="id",
        address="address",
        channel="channel",
        app="app",
        language="language",
        time_zone="time_zone",
        registered_at="registered_at",
    ),
)


class RegistryAudience(SqlAudience):
    """A selection of the registry's installations. Every attribute can be a variable or a filter."""

    def __init__(
        self, database: Database, selection: Selection, routes: Routes, unique: UniqueColumns | None = None
    ) -> None:
        super().__init__(database, SETTINGS, selection, routes, json_column="attributes", unique=unique)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What is registered about an installation; None: not said."""

    id: str
    channel: str
    address: str
    app: str | None = None
    language: str | None = None
    time_zone: str | None = None
    attributes: str | None = None
    """A JSON object."""
    registered_at: float | None = None
    """Epoch seconds; not said: unknown, if the address is a new one."""

    def __repr__(self) -> str:
        """Shows no address."""
        return f"<Registration of {self.id} on {self.channel}>"


@dataclass(frozen=True, slots=True)
class Registered:
    """What became of registrations. Whoever is in none of these was registered just so before."""

    added: int = 0
    changed: int = 0
    """Something of it is another than it was."""
    revived: int = 0
    """Was dead, and lives again; not among `changed`."""

    def __add__(self, other: Registered) -> Registered:
        return Registered(self.added + other.added, self.changed + other.changed, self.revived + other.revived)


BATCH = 1000
"""Registrations in a transaction."""
_COLUMNS = [column.name for column in installations.columns]
_SAID = tuple(each.name for each in fields(Registration))
"""The columns that a registration may say; all but the last are text."""
_VALUES = attrgetter(*_SAID)


async def register(database: Database, rows: Sequence[Registration]) -> Registered:
    """Add installations to the registry, or change them; a transaction for each thousand.

    Another address than before, or one registered after the old one died, revives an installation. Of several rows
    with one id, the last counts.

    Raises:
        StoreUnavailable: the database cannot be written to; what was committed stays, and registering again is safe.
    """
    latest = list({storable(row.id): row for row in rows}.values())
    total = Registered()
    for start in range(0, len(latest), BATCH):
        batch = latest[start : start + BATCH]

        async def change(connection: AsyncConnection, batch: Sequence[Registration] = batch) -> Registered:
            return await _register_here(connection, batch)

        total += await (database.write(change) if database.dialect == SQLITE else _merged(database.write_one, batch))
    return total


async def register_in(connection: AsyncConnection, batch: Sequence[Registration]) -> Registered:
    """As `register`, of at most a thousand with an id each, within the caller's transaction."""
    if connection.dialect.name == SQLITE:
        return await _register_here(connection, batch)

    async def execute(statement: sa.Executable, rows: Mapping[str, Any]) -> Sequence[sa.Row[Any]]:
        return (await connection.execute(statement, rows)).all()

    return await _merged(execute, batch)


async def _merged(
    execute: Callable[[sa.Executable, Mapping[str, Any]], Awaitable[Sequence[sa.Row[Any]]]],
    batch: Sequence[Registration],
) -> Registered:
    """What PostgreSQL makes of at most a thousand with an id each: usually by one statement."""
    *texts, times = zip(*map(_VALUES, _in_order(batch)), strict=True)
    rows = given(_SAID, [*map(storable_column, texts), times])
    total = Registered()
    missed = len(batch)
    while missed:  # somebody else added some of them meanwhile: they are known the next time, and the rest is as it is
        (found,) = await execute(_MERGE, rows)
        total += Registered(found.added, found.changed, found.revived)
        missed = len(batch) - found.known - found.added
    return total


def _in_order(batch: Sequence[Registration]) -> list[Registration]:
    """By their ids, so that two that register the same ones wait for each other instead of deadlocking."""
    return sorted(batch, key=lambda row: row.id)


def _merging() -> sa.Executable:
    """The statement of PostgreSQL that does to all rows what `merge` does to one."""
    types: dict[str, TypeEngine[Any]] = dict.fromkeys(_SAID, sa.Text()) | {"registered_at": sa.Double()}
    rows = sa.select(*unnested(types).c).cte("rows").prefix_with("MATERIALIZED", dialect="postgresql")
    old = installations.alias("old")
    said = {name: rows.c[name].label(f"said_{name}") for name in _SAID if name != "id"}
    known = (
        sa.select(*old.c, *said.values())
        .join_from(rows, old, old.c.id == rows.c.id)
        .order_by(old.c.id)
        .with_for_update(of=old)
        .cte("known")
    )
    moved = sa.or_(known.c.channel != known.c.said_channel, known.c.address != known.c.said_address)
    lives = sa.or_(moved, known.c.said_registered_at > known.c.dead_at)
    kept: dict[str, sa.ColumnElement[Any]] = {name: known.c[name] for name in said}
    kept["registered_at"] = sa.case((moved, None), else_=known.c.registered_at)
    new: dict[str, sa.ColumnElement[Any]] = {
        name: sa.func.coalesce(known.c[f"said_{name}"], kept[name]) for name in said
    }
    new |= {name: sa.case((lives, None), else_=known.c[name]) for name in ("dead_at", "dead_reason")}
    changed = (
        sa.update(installations)
        .where(
            installations.c.id == known.c.id,
            sa.or_(*(installations.c[name].is_distinct_from(value) for name, value in new.items())),
        )
        .values(new)
        .returning(sa.and_(known.c.dead_at.is_not(None), installations.c.dead_at.is_(None)).label("revived"))
        .cte("changed")
    )
    fresh = sa.select(*rows.c).where(~sa.exists().where(known.c.id == rows.c.id)).order_by(rows.c.id)
    insert = postgresql.insert(installations).from_select(_SAID, fresh).on_conflict_do_nothing()
    added = insert.returning(installations.c.id).cte("added")
    return sa.select(
        sa.select(sa.func.count()).select_from(known).scalar_subquery().label("known"),
        sa.select(sa.func.count()).select_from(added).scalar_subquery().label("added"),
        sa.func.count().filter(~changed.c.revived).label("changed"),
        sa.func.count().filter(changed.c.revived).label("revived"),
    ).select_from(changed)


_MERGE = _merging()


async def _register_here(connection: AsyncConnection, batch: Sequence[Registration]) -> Registered:
    ids = msgspec.json.encode([row.id for row in batch]).decode()
    known = {row.id: row._asdict() for row in await connection.execute(_KNOWN, {"ids": ids})}
    added = changed = revived = 0
    writes = []
    for row in batch:
        old = known.get(row.id)
        new = merge(old, row)
        if new == old:
            continue
        writes.append(new)
        if old is None:
            added += 1
        elif old["dead_at"] is not None and new["dead_at"] is None:
            revived += 1
        else:
            changed += 1
    if writes:
        await connection.execute(_UPSERT, writes)
    return Registered(added, changed, revived)


def merge(old: dict[str, Any] | None, row: Registration) -> dict[str, Any]:
    """The installation as it is after registering `row`."""
    said = {name: value for name in _SAID if (value := getattr(row, name)) is not None}
    if old is None:
        return dict.fromkeys(_COLUMNS) | said
    moved = (row.channel, row.address) != (old["channel"], old["address"])
    again = old["dead_at"] is not None and row.registered_at is not None and row.registered_at > old["dead_at"]
    new = old | ({"registered_at": None} if moved else {}) | said
    return new | {"dead_at": None, "dead_reason": None} if moved or again else new


def _upsert() -> sa.Executable:
    statement = sqlite.insert(installations)
    changes = {name: statement.excluded[name] for name in _COLUMNS if name != "id"}
    return statement.on_conflict_do_update(index_elements=["id"], set_=changes)


_UPSERT = _upsert()
_AMONG = sa.func.json_each(sa.bindparam("ids")).table_valued("value", name="among")
_KNOWN = sa.select(installations).join_from(_AMONG, installations, installations.c.id == _AMONG.c.value)
