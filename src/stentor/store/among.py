"""A column's value is one of many texts: a single parameter on both databases, however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import ARRAY, ColumnElement, Text, any_, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.store.database import SQLITE


def among(connection: AsyncConnection, column: ColumnElement[Any], texts: Sequence[str]) -> ColumnElement[bool]:
    """A condition for a statement of this connection."""
    if connection.dialect.name == SQLITE:
        given = func.json_each(msgspec.json.encode(texts).decode()).table_valued("value")
        return column.in_(select(given.c.value))
    return column == any_(literal(list(texts), ARRAY(Text, dimensions=1)))
