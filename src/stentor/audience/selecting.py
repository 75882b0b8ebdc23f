"""A segment as a condition on an audience's rows: its names are columns or attributes, of the types that they have.

Rules: PostgreSQL says what type each column has, and is asked once an audience; in SQLite each value says it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.segments.postgresql import PostgresqlAttribute, PostgresqlColumn
from stentor.audience.segments.sql import Mismatch, Operand, Type, compiled
from stentor.audience.segments.sqlite import SqliteOperand
from stentor.audience.segments.text import read
from stentor.audience.segments.tree import Tree, names
from stentor.audience.source import Element, Source
from stentor.errors import InvalidAudience, InvalidSegment
from stentor.store.database import SQLITE

_TYPES: Mapping[str, Type] = MappingProxyType(
    {
        "text": Type.TEXT,
        "character varying": Type.TEXT,
        "smallint": Type.INTEGER,
        "integer": Type.INTEGER,
        "bigint": Type.INTEGER,
        "numeric": Type.NUMERIC,
        "real": Type.FLOAT,
        "double precision": Type.FLOAT,
        "boolean": Type.BOOLEAN,
        "timestamp with time zone": Type.ZONED,
        "timestamp without time zone": Type.TIME,
        "date": Type.DATE,
        "uuid": Type.LIKE_TEXT,
    }
)
"""By the names that PostgreSQL gives them."""
_LIKE_TEXT = ("S", "E")
"""The categories of its other types that are read as texts: texts of their own kinds, and enumerations."""


def segment_tree(segment: str) -> Tree:
    """Raises: InvalidAudience: it is no segment."""
    try:
        return read(segment)
    except InvalidSegment as error:
        raise InvalidAudience(str(error)) from None


async def segment_condition(connection: AsyncConnection, source: Source, tree: Tree, now: float) -> Element:
    """The condition that a row is in a segment.

    Args:
        now: epoch seconds, for moments that are relative.

    Raises:
        InvalidAudience: it names what isn't there, or compares a column with what its type can never be.
    """
    columns = {name: column for name in names(tree) if (column := _column(source, name)) is not None}
    types = {} if source.dialect == SQLITE else await _types(connection, source, columns)

    def operand(name: str) -> Operand:
        column = columns.get(name)
        if source.dialect == SQLITE:
            if column is not None:
                return SqliteOperand.of_column(column)
            return SqliteOperand.of_attribute(source.json(), name)
        return PostgresqlAttribute(source.json(), name) if column is None else PostgresqlColumn(column, types[name])

    try:
        return compiled(tree, operand, now)
    except Mismatch as why:
        raise InvalidAudience(f"the segment, for {source.setting}: {why}") from None


def _column(source: Source, name: str) -> Element | None:
    """The column of a name; None: it must be an attribute in the JSON. Raises: InvalidAudience: there is none."""
    return source.channel_names if name == "channel" and source.channel is not None else source.value(name)


async def _types(connection: AsyncConnection, source: Source, columns: Mapping[str, Element]) -> dict[str, Type]:
    if not columns:
        return {}
    nothing = sa.select(*(column.label(f"c{number}") for number, column in enumerate(columns.values())))
    rows = nothing.select_from(source.table).limit(0).subquery("typed")
    catalog = sa.table("pg_type", sa.column("oid"), sa.column("typcategory"), schema="pg_catalog")
    told: list[Element] = []
    for column in rows.c:
        type_ = sa.func.pg_typeof(column)
        category = sa.select(sa.cast(catalog.c.typcategory, sa.Text)).where(catalog.c.oid == type_).scalar_subquery()
        told += [sa.cast(type_, sa.Text), category]
    one = sa.select(sa.literal_column("1")).subquery("one")
    row: Sequence[str] = (await connection.execute(sa.select(*told).select_from(one.outerjoin(rows, sa.true())))).one()
    return {
        name: _TYPES.get(row[2 * number], Type.LIKE_TEXT if row[2 * number + 1] in _LIKE_TEXT else Type.OTHER)
        for number, name in enumerate(columns)
    }
