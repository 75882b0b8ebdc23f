"""Dead addresses: marked in the embedded registry, so that no later campaign is sent to them.

Rules: an address is marked only where the provider named it dead after it was last registered, and only while the
installation still has that very address; a new one makes it alive again. In an app's own tables nothing is written:
there they are listed (`stentor campaign failures --dead`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Update, and_, bindparam, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.store.bulk import Fields
from stentor.store.tables import installations


def _is_dying(dead: Fields) -> ColumnElement[bool]:
    return and_(
        installations.c.id == dead["installation"],
        installations.c.address == dead["address"],
        installations.c.dead_at.is_(None),
        or_(installations.c.registered_at.is_(None), installations.c.registered_at <= dead["since"]),
    )


_MARK = (
    update(installations)
    .where(_is_dying({name: bindparam(f"of_{name}") for name in ("installation", "address", "since")}))
    .values(dead_at=bindparam("now"), dead_reason=bindparam("why"))
)


async def mark_dead(connection: AsyncConnection, failures: Sequence[Mapping[str, Any]]) -> None:
    """Mark these installations, where the registry has them with that address, a statement for each.

    Args:
        failures: `installation`, `address`, `reason`, `since` (epoch seconds at which the provider last knew the
            address to be dead), and `at` (epoch seconds).
    """
    rows = [
        {
            "of_installation": row["installation"],
            "of_address": row["address"],
            "of_since": row["since"],
            "now": row["at"],
            "why": row["reason"],
        }
        for row in failures
    ]
    await connection.execute(_MARK, rows)


def marking(failures: FromClause) -> Update:
    """The same in one statement, for PostgreSQL.

    Rows are locked in the order of their ids, so that two that mark the same ones wait for each other instead of
    deadlocking.

    Args:
        failures: a table with the same columns and `dead`; those where that is false are let alone.
    """
    dying = (
        select(installations.c.id, failures.c.reason, failures.c.at)
        .join_from(installations, failures, _is_dying(dict(failures.c.items())))
        .where(failures.c.dead)
        .order_by(installations.c.id)
        .with_for_update(of=installations)
        .subquery("dying")
    )
    return (
        update(installations)
        .where(installations.c.id == dying.c.id)
        .values(dead_at=dying.c.at, dead_reason=dying.c.reason)
    )
