"""Templates that people saved, by name, in all their versions.

Rules: a version is never changed. A name keeps counting when its template was deleted, so that a name and a number mean
one text forever, also to the campaigns that were made from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, Select, and_, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.errors import ChangedMeanwhile
from stentor.store.database import insert_or_ignore
from stentor.store.tables import template_versions as versions
from stentor.store.tables import templates


class UsedTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """The version of a template that a campaign was made from."""

    name: str
    version: int

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateVersion:
    """One version of a template, without its content."""

    name: str
    version: int
    """From 1."""
    newest: int
    """The template's newest version."""
    title: str
    """What its message is called: its title, or else its body."""
    created_at: float
    """When the template was saved first, in epoch seconds."""
    saved_at: float
    """When this version was."""
    saved_by: str
    """By whom; empty if that is not known."""
    restored: int | None = None
    """The version that it is a copy of; None: somebody wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion:
    """A version that is to be saved."""

    name: str
    content: bytes = field(repr=False)
    """As `planning.content` encodes it."""
    title: str
    saved_at: float
    saved_by: str
    restored: int | None = None


_LISTED = (*(each for each in versions.c if each.name != "content"), templates.c.version.label("newest"))
_PRESENT = and_(versions.c.name == templates.c.name, ~templates.c.deleted)


def _present(*columns: Any) -> Select[Any]:
    return select(*_LISTED, templates.c.created_at, *columns).join_from(versions, templates, _PRESENT)


async def save(connection: AsyncConnection, new: NewVersion, over: int | None) -> int:
    """Save a version of a template, unless its newest one says the same; once, however often it is told.

    Args:
        over: the newest version that its writer saw, 0 for none; None: it goes over whatever there is.

    Returns: the number of the version that says it.

    Raises: ChangedMeanwhile: the newest version is another one.
    """
    row = {"name": new.name, "version": 0, "deleted": True, "created_at": new.saved_at}
    await connection.execute(insert_or_ignore(connection, templates).values(**row))
    ours = templates.c.name == new.name
    found = (await connection.execute(select(templates).where(ours).with_for_update())).one()
    if not found.deleted:
        newest = await whole(connection, new.name)
        assert newest is not None, "the newest version of what is not deleted is there"
        version, content = newest
        if content == new.content:
            return version.version
        if over is not None and over != version.version:
            raise _another(version, over)
    elif over:
        raise ChangedMeanwhile(f"the template {new.name} was deleted by somebody else meanwhile; nothing was saved")
    number: int = found.version + 1
    await connection.execute(
        insert(versions).values(
            name=new.name,
            version=number,
            content=new.content,
            title=new.title,
            saved_at=new.saved_at,
            saved_by=new.saved_by,
            restored=new.restored,
        )
    )
    change: dict[str, Any] = {"version": number, "deleted": False}
    if found.deleted:
        change["created_at"] = new.saved_at
    await connection.execute(update(templates).where(ours).values(change))
    return number


def _another(newest: TemplateVersion, over: int) -> ChangedMeanwhile:
    who = f" by {newest.saved_by}" if newest.saved_by else ""
    when = datetime.fromtimestamp(newest.saved_at).astimezone().isoformat(" ", "seconds")
    version = f"version {newest.version} of {newest.name} was saved{who} on {when}"
    if over:
        seen = f"{version}, after version {over} that you saw; nothing was saved now"
        return ChangedMeanwhile(f"{seen}. Compare the two, and save yours over version {newest.version}")
    there = f"there is a template {newest.name} already: {version}; nothing was saved now"
    return ChangedMeanwhile(f"{there}. Choose another name, or save yours over version {newest.version}")


async def get(connection: AsyncConnection, name: str, version: int | None = None) -> TemplateVersion | None:
    """A version, without its content; None: there is none.

    Args:
        version: its number; None: the newest.
    """
    row = (await connection.execute(_present().where(_which(name, version)))).first()
    return None if row is None else _version(row)


async def whole(
    connection: AsyncConnection, name: str, version: int | None = None
) -> tuple[TemplateVersion, bytes] | None:
    """As `get`, with its content."""
    row = (await connection.execute(_present(versions.c.content).where(_which(name, version)))).first()
    return None if row is None else (_version(row), bytes(row.content))


async def page(connection: AsyncConnection, after: str | None, limit: int) -> Sequence[TemplateVersion]:
    """The newest version of each, in the order of their names, after one."""
    query = _present().where(versions.c.version == templates.c.version).order_by(versions.c.name).limit(limit)
    if after is not None:
        query = query.where(versions.c.name > after)
    return [_version(row) for row in await connection.execute(query)]


async def history(connection: AsyncConnection, name: str, before: int | None, limit: int) -> Sequence[TemplateVersion]:
    """The versions of one, the newest first, before one."""
    query = _present().where(versions.c.name == name).order_by(versions.c.version.desc()).limit(limit)
    if before is not None:
        query = query.where(versions.c.version < before)
    return [_version(row) for row in await connection.execute(query)]


async def remove(connection: AsyncConnection, name: str, over: int | None) -> bool:
    """Delete all its versions.

    Args:
        over: the newest version that was seen; None: whatever there is.

    Returns: whether there was one.

    Raises: ChangedMeanwhile: the newest version is another one.
    """
    ours = and_(templates.c.name == name, ~templates.c.deleted)
    found = (await connection.execute(select(templates).where(ours).with_for_update())).first()
    if found is None:
        return False
    if over is not None and over != found.version:
        raise ChangedMeanwhile(
            f"version {found.version} of {name} was saved after version {over} that you saw; nothing was deleted"
        )
    await connection.execute(update(templates).where(ours).values(deleted=True))
    await connection.execute(delete(versions).where(versions.c.name == name))
    return True


def _which(name: str, version: int | None) -> Any:
    return and_(versions.c.name == name, versions.c.version == (templates.c.version if version is None else version))


def _version(row: Row[Any]) -> TemplateVersion:
    return TemplateVersion(
        name=row.name,
        version=row.version,
        newest=row.newest,
        title=row.title,
        created_at=row.created_at,
        saved_at=row.saved_at,
        saved_by=row.saved_by,
        restored=row.restored,
    )
