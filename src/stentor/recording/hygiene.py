"""Dead addresses: marked in the embedded registry, so that no later campaign is sent to them.

Rules: an address is marked only where the provider named it dead after it was last registered, and only while the
installation still has that very address; a new one makes it alive again. In an app's own tables nothing is written:
there they are listed (`stentor campaign failures --dead`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, or_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.store.tables import installations

_MARK = (
    update(installations)
    .where(
        installations.c.id == bindparam("of_installation"),
        installations.c.address == bindparam("at_address"),
        installations.c.dead_at.is_(None),
        or_(installations.c.registered_at.is_(None), installations.c.registered_at <= bindparam("since")),
    )
    .values(dead_at=bindparam("now"), dead_reason=bindparam("why"))
)


async def mark_dead(connection: AsyncConnection, failures: Sequence[Mapping[str, Any]], now: float) -> None:
    """Mark these installations, where the registry has them with that address.

    Args:
        failures: `installation`, `address`, `reason`, and `since` (epoch seconds at which the provider last knew the
            address to be dead; None: now).
    """
    rows = [
        {
            "of_installation": row["installation"],
            "at_address": row["address"],
            "why": row["reason"],
            "since": now if row["since"] is None else row["since"],
            "now": now,
        }
        for row in sorted(failures, key=lambda row: str(row["installation"]))
    ]
    await connection.execute(_MARK, rows)
