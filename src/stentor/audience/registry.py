"""The embedded registry: Stentor's own table of installations, for those who have none. Written by `stentor import`.

It is read as any other table is (`sql.py`). Rules: an installation whose address died isn't in the audience until it
registers another address; what an import doesn't say of an installation stays as it is. When an address was registered
is known only if the import says so: the time of the import says nothing of it, as the address may have died before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import Routes, Selection
from stentor.audience.sql import SqlAudience
from stentor.config import AudienceConfig, Columns
from stentor.store.database import SQLITE, Database
from stentor.store.tables import installations

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

    def __init__(self, database: Database, selection: Selection, routes: Routes) -> None:
        super().__init__(database, SETTINGS, selection, routes, json_column="attributes")


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


async def register(database: Database, rows: Sequence[Registration]) -> Registered:
    """Add installations to the registry, or change them; a transaction for each thousand.

    Another address than before, or one registered after the old one died, revives an installation. Of several rows
    with one id, the last counts.

    Raises:
        StoreUnavailable: the database cannot be written to; what was committed stays, and registering again is safe.
    """
    latest = list({row.id: row for row in rows}.values())
    total = Registered()
    for start in range(0, len(latest), BATCH):
        batch = latest[start : start + BATCH]

        async def change(connection: AsyncConnection, batch: Sequence[Registration] = batch) -> Registered:
            return await _register(connection, batch)

        total += await database.write(change)
    return total


async def _register(connection: AsyncConnection, batch: Sequence[Registration]) -> Registered:
    known = {row.id: row._asdict() for row in await connection.execute(_known([row.id for row in batch]))}
    added = changed = revived = 0
    writes = []
    for row in batch:
        old = known.get(row.id)
        new = _merge(old, row)
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
        await connection.execute(_upsert(connection.dialect.name), writes)
    return Registered(added, changed, revived)


def _known(ids: Sequence[str]) -> sa.Select[Any]:
    return sa.select(installations).where(installations.c.id.in_(ids))


def _merge(old: dict[str, Any] | None, row: Registration) -> dict[str, Any]:
    """The installation as it is after registering `row`."""
    said = {name: value for name in _COLUMNS if (value := getattr(row, name, None)) is not None}
    if old is None:
        return dict.fromkeys(_COLUMNS) | said
    moved = (row.channel, row.address) != (old["channel"], old["address"])
    again = old["dead_at"] is not None and row.registered_at is not None and row.registered_at > old["dead_at"]
    new = old | ({"registered_at": None} if moved else {}) | said
    return new | {"dead_at": None, "dead_reason": None} if moved or again else new


def _upsert(dialect: str) -> sa.Executable:
    insert: Any = sqlite.insert if dialect == SQLITE else postgresql.insert
    statement = insert(installations)
    changes = {name: statement.excluded[name] for name in _COLUMNS if name != "id"}
    upsert: sa.Executable = statement.on_conflict_do_update(index_elements=["id"], set_=changes)
    return upsert
