"""Counts what databases are asked: it says what a request costs, however busy the machine is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from asyncpg.transaction import Transaction  # type: ignore[import-untyped]  # has no annotations
from sqlalchemy.engine import Engine


@dataclass
class Asked:
    """What all databases of this process were asked."""

    statements: list[str] = field(default_factory=list)
    transactions: int = 0
    """How many were begun: a statement outside a transaction is none."""

    def of(self, *tables: str) -> list[str]:
        """The statements that name one of these tables, or the beginning of its name."""
        return [each for each in self.statements if any(table in each for table in tables)]


@contextmanager
def asking() -> Iterator[Asked]:
    """All that is asked within."""
    found = Asked()
    start = Transaction.start

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith("BEGIN"):  # SQLite's
            found.transactions += 1
        else:
            found.statements.append(" ".join(statement.split()))

    async def counted(transaction: Any) -> None:
        found.transactions += 1
        await start(transaction)

    sa.event.listen(Engine, "before_cursor_execute", note)
    Transaction.start = counted
    try:
        yield found
    finally:
        Transaction.start = start
        sa.event.remove(Engine, "before_cursor_execute", note)
