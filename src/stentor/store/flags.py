"""What all processes of one store must know, whichever queue they use: a value by name.

Rules: every function takes the connection of the transaction it is part of. Whoever acts upon a flag asks with `hold`,
so that nobody changes it until that transaction ends.
"""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.store.database import insert_or_ignore
from stentor.store.tables import flags

DRAINING = "draining"
"""Set while no campaign may be started: the queue is about to be replaced, say."""


async def get(connection: AsyncConnection, name: str) -> str | None:
    """A flag's value; None where it isn't set."""
    return (await connection.execute(select(flags.c.value).where(flags.c.name == name))).scalar()


async def hold(connection: AsyncConnection, name: str) -> str | None:
    """As `get`; it doesn't change until this transaction, which must be a writing one, ends."""
    held = select(flags.c.value).where(flags.c.name == name).with_for_update(read=True)
    if (found := (await connection.execute(held)).first()) is None:  # nobody has ever asked for it
        await connection.execute(insert_or_ignore(connection, flags).values(name=name, at=0.0))
        found = (await connection.execute(held)).one()
    value: str | None = found.value
    return value


async def put(connection: AsyncConnection, name: str, value: str | None, now: float) -> None:
    """Set a flag, or with None lift it. Returns when nobody holds it any more."""
    await connection.execute(insert_or_ignore(connection, flags).values(name=name, at=now))
    await connection.execute(update(flags).where(flags.c.name == name).values(value=value, at=now))
