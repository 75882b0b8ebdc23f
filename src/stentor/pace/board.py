"""Where a lane's senders meet: one small document a lane, changed by compare-and-swap; also on the store's database.

Whoever changes a document says which revision of it was read; if another was faster, nothing is changed. That is all
that `pacing.py` needs of it, so that any store with such a write will do. `testing.board` has the suite for them.
"""

from __future__ import annotations

from typing import Final, Protocol

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.store.database import Database, insert_or_ignore
from stentor.store.tables import budgets

NO_REVISION: Final = 0
"""Of a document that isn't there."""


class Board(Protocol):
    """One document for each lane, for all machines."""

    async def read(self, lane: str) -> tuple[bytes | None, int]:
        """The document, with its revision; None and `NO_REVISION` where there is none.

        Never an older one than a `write` that returned before the reading began.

        Raises: StoreUnavailable: it cannot be reached just now.
        """

    async def write(self, lane: str, document: bytes, revision: int) -> bool:
        """Put a document in the place of the one that was read with `revision`.

        Returns: False where another is there by now, and nothing was changed. Where the connection was lost it may be
        that of this very call: read again.

        Raises: StoreUnavailable: it cannot be reached just now; it may have been written all the same.
        """


_READ = select(budgets.c.document, budgets.c.revision).where(budgets.c.lane == bindparam("of_lane"))
_REPLACE = (
    update(budgets)
    .where(budgets.c.lane == bindparam("of_lane"), budgets.c.revision == bindparam("was"))
    .values(document=bindparam("document"), revision=budgets.c.revision + 1)
)


class SqlBoard:
    """`Board` on the table `stentor_budgets`."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    def __repr__(self) -> str:
        return f"<SqlBoard on {self._database.name}>"

    async def read(self, lane: str) -> tuple[bytes | None, int]:
        """See `Board.read`."""
        rows = await self._database.rows(_READ, {"of_lane": lane})
        return (rows[0].document, rows[0].revision) if rows else (None, NO_REVISION)

    async def write(self, lane: str, document: bytes, revision: int) -> bool:
        """See `Board.write`."""

        async def change(connection: AsyncConnection) -> bool:
            if revision == NO_REVISION:
                first = {"lane": lane, "document": document, "revision": NO_REVISION + 1}
                return (await connection.execute(insert_or_ignore(connection, budgets), first)).rowcount == 1
            values = {"of_lane": lane, "was": revision, "document": document}
            return (await connection.execute(_REPLACE, values)).rowcount == 1

        return await self._database.write(change)
