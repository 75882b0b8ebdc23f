"""SQLite connections for SQLAlchemy that go to their thread once a statement.

aiosqlite runs a connection in a thread, and each call of a cursor (make, execute, fetch, close) there: four handovers
a statement, which cost more than most of our statements do. Here one handover executes, fetches and closes. Its debug
log doesn't show the values in statements, as aiosqlite's own does.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Self
from urllib.parse import quote

import aiosqlite

THREAD = "sqlite "
"""The name of a connection's thread begins so, and goes on with the file's path."""
BEGIN_WRITING = "BEGIN IMMEDIATE"
TURN = 0.25
"""Seconds for which a writer tries to get the file's lock before it says that the file is locked."""
LONGEST_SLEEP = 0.003
"""Seconds between its attempts at most. SQLite's own sleeps grow to a tenth of a second, so that of several processes
that write all the time, the one that lost a few times would hardly ever get its turn."""
ROWS_AT_ONCE = 256
"""Rows that are fetched with the statement; what is left is fetched when it is asked for."""
_MAKING = threading.Lock()
"""Held while a file is made: whoever closes a file gives up all locks that the process has on it, so nobody here may
have opened it by then."""


class SqliteConnection(aiosqlite.Connection):
    """aiosqlite's, with another cursor, and stopped once however often it is told to."""

    _stopped: asyncio.Future[Any] | None = None
    _given_up = False
    """Whether somebody waited no longer for what the thread was asked to do."""

    def stop(self) -> asyncio.Future[Any] | None:
        """End the thread. Of a closing that is cancelled, SQLAlchemy and aiosqlite each stop the connection: whoever
        came second would wait for ever for a thread that has ended, and with it the end of the event loop."""
        if self._stopped is None:
            self._stopped = super().stop()
        return self._stopped and asyncio.shield(self._stopped)

    async def rollback(self) -> None:
        """End the transaction, if there is one. Of what was given up, the thread may begin one yet."""
        if self._given_up or self.raw.in_transaction:
            await super().rollback()

    def cursor(self) -> Cursor:  # type: ignore[override]  # SQLAlchemy needs no more of it than this
        return Cursor(self)

    async def run(self, work: Callable[[], Any]) -> Any:
        """What `work` returns, in the connection's thread. Where this is cancelled, SQLite gives up as well: whoever
        closes the connection then, as SQLAlchemy does, would wait for the end of a statement that nobody wants."""
        try:
            return await self._execute(work)  # type: ignore[no-untyped-call]  # it has no annotations
        except asyncio.CancelledError:
            self._given_up = True
            if self._connection is not None:
                self._connection.interrupt()
            raise

    @property
    def raw(self) -> sqlite3.Connection:
        return self._conn


class Cursor:
    """What SQLAlchemy asks of a cursor."""

    arraysize = 1

    def __init__(self, connection: SqliteConnection) -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self._open: sqlite3.Cursor | None = None  # where there are more rows
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, operation: str, parameters: Sequence[Any] = ()) -> None:
        run = _take_the_lock if operation == BEGIN_WRITING else sqlite3.Cursor.execute
        await self._connection.run(lambda: self._begin(lambda cursor: run(cursor, operation, parameters)))

    async def executemany(self, operation: str, parameters: Iterable[Sequence[Any]]) -> None:
        await self._connection.run(lambda: self._begin(lambda cursor: cursor.executemany(operation, parameters)))

    async def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        if self._open is not None:
            rows += await self._connection.run(self._open.fetchall)
        return rows

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        wanted = size or self.arraysize
        if self._open is not None and len(self._rows) < wanted:
            more, needed = self._open.fetchmany, wanted - len(self._rows)
            self._rows += await self._connection.run(lambda: more(needed))
        rows, self._rows = self._rows[:wanted], self._rows[wanted:]
        return rows

    async def fetchone(self) -> Any:
        rows = await self.fetchmany(1)
        return rows[0] if rows else None

    async def close(self) -> None:
        if self._open is not None:
            cursor, self._open = self._open, None
            await self._connection.run(cursor.close)

    def _begin(self, statement: Callable[[sqlite3.Cursor], object]) -> None:
        """Runs in the connection's thread, while nothing else uses this cursor."""
        cursor = self._connection.raw.cursor()
        try:
            statement(cursor)
            self._rows = cursor.fetchmany(ROWS_AT_ONCE)
        except BaseException:
            cursor.close()
            raise
        self.description, self.rowcount, self.lastrowid = cursor.description, cursor.rowcount, cursor.lastrowid
        if len(self._rows) == ROWS_AT_ONCE:
            self._open = cursor
        else:
            cursor.close()


def _take_the_lock(cursor: sqlite3.Cursor, operation: str, parameters: Sequence[Any]) -> None:
    """Begin to write, as soon as nobody else does.

    It sleeps in the connection's own thread, as SQLite does where it waits for a lock, and the event loop goes on.
    Whoever has the lock may be another process, so nothing could wake it.
    """
    end = time.monotonic() + TURN
    while True:
        try:
            cursor.execute(operation, parameters)
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(random.uniform(0.0, LONGEST_SLEEP))


def _uri(path: str) -> str:
    """The path as SQLite takes it with options: a name may have a `?`, `%` or `#` in it, or bytes that are no text.
    Between two slashes and a third stands a host, and an absolute path has none."""
    return f"file:{'//' if path.startswith('/') else ''}{quote(os.fsencode(path))}?mode=rw"


def _make(path: str) -> None:
    """Make the file where there is none, for its owner's eyes only: SQLite's own would be everybody's to read. The log
    beside it and the index of that get the file's rights."""
    with _MAKING, suppress(OSError):  # it is there already, or SQLite says in a moment what is wrong
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


async def connect(path: str, *, busy_timeout: float, make: bool) -> SqliteConnection:
    """A connection on which transactions begin where we say so.

    Args:
        path: the file.
        make: whether to make it where there is none; else that is an error.
        busy_timeout: seconds for which SQLite itself waits for a lock.
    """

    def open_file() -> sqlite3.Connection:
        if make:
            _make(path)
        return sqlite3.connect(_uri(path), uri=True, isolation_level=None, timeout=busy_timeout, cached_statements=256)

    connection = SqliteConnection(open_file, iter_chunk_size=ROWS_AT_ONCE)
    connection._thread.daemon = True  # like SQLAlchemy does it, lest one that was forgotten keeps the process
    connection._thread.name = THREAD + path
    try:
        _ = await connection
    except sqlite3.Error:
        connection._thread.join()  # it ends now, but not before it told the loop so, which must not be closed by then
        raise
    return connection
