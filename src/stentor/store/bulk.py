"""Many rows in one statement: on PostgreSQL given as columns, an array each, so that the server executes it once.

A driver's `executemany` saves PostgreSQL nothing but round trips: it executes the statement once a row. SQLite has no
arrays and needs none: a row costs it the same either way, and `executemany` is its fastest. So a `Bulk` is the
same statement twice, and takes the same rows on both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Executable, Table, bindparam, column, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.selectable import TableValuedAlias
from sqlalchemy.types import TypeEngine

from stentor.store.database import SQLITE
from stentor.store.text import StorableText

_PREFIX = "all_"
"""Tells the lists' parameters from those that SQLAlchemy names after a table's columns."""
Fields = Mapping[str, ColumnElement[Any]]
"""What a statement is told of a row, by name: parameters where it is executed a row, columns where once for all."""


@dataclass(frozen=True, slots=True)
class Bulk:
    """A statement that is executed for many rows."""

    each: Executable
    """Takes a row as its parameters."""
    together: Executable
    """Takes all rows, as `columns` makes of them."""

    async def execute(self, connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
        """For rows that have the same keys; nothing is executed where there are none."""
        if not rows:
            return
        if connection.dialect.name == SQLITE:
            await connection.execute(self.each, rows)
        else:
            await connection.execute(self.together, columns(rows))


def columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Rows, at least one, all with the same keys, as what `unnested` takes."""
    return {_PREFIX + name: [row[name] for row in rows] for name in rows[0]}


def given(names: Sequence[str], lists: Iterable[Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Columns, of equal length, by their names, as what `unnested` takes."""
    return {_PREFIX + name: each for name, each in zip(names, lists, strict=True)}


def bulk(statement: Callable[[Fields], Executable], fields: Mapping[str, TypeEngine[Any]]) -> Bulk:
    """Both forms of an UPDATE whose WHERE and SET are made of such fields."""
    return Bulk(
        statement({name: bindparam(name, type_=type_) for name, type_ in fields.items()}),
        statement(dict(unnested(fields).c.items())),
    )


def insert_ignoring(table: Table, *names: str) -> Bulk:
    """INSERT of these columns of `table` that leaves alone what is there already."""
    given = unnested({name: table.c[name].type for name in names})
    return Bulk(
        sqlite.insert(table).values({name: bindparam(name) for name in names}).on_conflict_do_nothing(),
        postgresql.insert(table).from_select(names, select(*given.c)).on_conflict_do_nothing(),
    )


def unnested(fields: Mapping[str, TypeEngine[Any]]) -> TableValuedAlias:
    """Rows as a table, made of a list for each field that comes as a parameter (see `columns`). PostgreSQL only."""
    lists = [bindparam(_PREFIX + name, type_=ARRAY(_plain(type_), dimensions=1)) for name, type_ in fields.items()]
    named = [column(name, type_) for name, type_ in fields.items()]
    return func.unnest(*lists).table_valued(*named, name="given").render_derived(name="given")


def _plain(type_: TypeEngine[Any]) -> TypeEngine[Any]:
    """Without a collation, which no array's element has: what it is compared with has one."""
    return StorableText(type_.longest) if isinstance(type_, StorableText) else type_
