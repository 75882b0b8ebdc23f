"""Stentor's own database, SQLite or PostgreSQL: consistent reads, and writes that ride out trouble.

Rules: a write is one transaction, given as a function, because it may have to run again: after a conflict, while
another program holds the database, or after the connection was lost. It must therefore be idempotent and have no other
effects. Operational trouble leaves here as one of our own errors, with what it is and what to do, and so does a value
that cannot be written; a mistake in a statement leaves as it came. The URL's password, and the values in statements,
are in no message and no repr.

SQLite runs in WAL mode, so that readers never wait for the writer nor it for them, with every commit synced to disk.
Of the writers in one process only one at a time goes for the file's lock; the others queue here, in order.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import random
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import asyncpg  # type: ignore[import-untyped]  # has no annotations
from sqlalchemy import Executable, Insert, Row, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from stentor.absence import Absence
from stentor.clock import steady
from stentor.errors import (
    InvalidConfiguration,
    StentorError,
    StoreOutdated,
    StoreRefused,
    StoreUnavailable,
    StoreUnusable,
)
from stentor.settings import sqlite_path
from stentor.store import postgresql_url, sqlite_driver
from stentor.store.postgresql_driver import CONNECT_WITHIN, NotLetIn, PostgresqlDriver, first_line, word_of

T = TypeVar("T")

logger = logging.getLogger(__name__)

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"

BUSY_TIMEOUT = 0.02
"""Seconds for which SQLite itself waits for a lock; after that we do (`sqlite_driver`, then here), more fairly."""
CHECKPOINT_PAGES = 4000
"""Pages (16 MiB) of SQLite's log after which they are brought into the file: a queue writes the same ones again and
again, so that of a longer log fewer have to be."""
WAL_KEPT = 64 * 1024 * 1024
"""Bytes to which SQLite's log is cut back once a long reader no longer holds it up."""
CACHE_KIB = 8 * 1024
"""KiB of pages that each SQLite connection keeps at most."""

FORMS = "`sqlite:///path` or `postgresql://user:password@host/database`"
DRIVER_ERRORS = (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, PoolTimeout)
"""What SQLAlchemy raises for the drivers, and what comes through as it is while asyncpg connects."""


@dataclass(frozen=True, slots=True)
class _Trouble:
    """What is wrong with the database, for people, and whether waiting helps."""

    error: StentorError
    passing: bool = True
    longest_pause: float = 1.0
    """Seconds between two attempts at most."""


class Database:
    """A database and a few connections to it; opened on first use. Not for use by several event loops."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        patience: float,
        name: str,
        answer_within: float | None = None,
        driver: PostgresqlDriver | None = None,
        ignored: Sequence[str] = (),
        file: Path | None = None,
        foreign: bool = False,
    ) -> None:
        self.dialect: Final = engine.dialect.name
        """`sqlite` or `postgresql`."""
        self._engine = engine
        self._patience = patience
        self._answer_within = answer_within
        self._driver = driver
        self.name: Final = name
        """What people are told it is, without user or password."""
        self.ignored: Final = tuple(ignored)
        """Options in its URL that change nothing."""
        self._file = file
        self._foreign = foreign
        self._absence = Absence(name, logger)
        self._outside: dict[object, float] = {}
        """The operations that have yet to get through to it, and since when."""
        self._problem: str | None = None
        """Why the last attempt did not."""
        if self.dialect == SQLITE:
            self._readers = engine
            self._writers = engine.execution_options(stentor_begin=sqlite_driver.BEGIN_WRITING)
            self._single = engine.execution_options(stentor_begin="")
            self._turn: AbstractAsyncContextManager[Any] = asyncio.Lock()
        else:
            self._readers = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            self._writers = engine
            self._single = engine.execution_options(isolation_level="AUTOCOMMIT")
            self._turn = nullcontext()

    @classmethod
    def open(
        cls,
        url: str,
        *,
        connections: int = 4,
        patience: float = 30.0,
        foreign: bool = False,
        unhurried: bool = False,
    ) -> Database:
        """The database at `url`. Nothing is connected yet.

        Args:
            url: `sqlite:///path` (`sqlite:////path` where it begins at the root) or
                `postgresql://user:password@host/database`, with libpq's options after a `?`, several hosts with commas
                between, and a pooler such as PgBouncer before the server if there is one.
            connections: how many at most.
            patience: seconds for which an operation is tried again while the database cannot be reached, is locked, or
                its disk is full.
            foreign: it is somebody else's: it is only read, a file that isn't there isn't made, and none of its own
                settings (SQLite's journal mode) is changed. Statements are unhurried.
            unhurried: a statement may take as long as it takes. Else PostgreSQL must answer each within `patience` and
                CONNECT_WITHIN seconds.

        Raises:
            InvalidConfiguration: the URL is of no form that is known here.
        """
        pool = {"pool_size": connections, "max_overflow": 0, "pool_timeout": patience, "hide_parameters": True}
        try:
            path = sqlite_path(url)
            target = postgresql_url.read(url) if postgresql_url.is_postgresql(url) else None
        except ValueError as error:
            raise InvalidConfiguration(f"This is not a database URL: {error}. Expected {FORMS}.") from None
        if path is not None:
            engine = create_async_engine(
                URL.create("sqlite+aiosqlite", database=path),
                async_creator=lambda: sqlite_driver.connect(path, busy_timeout=BUSY_TIMEOUT, make=not foreign),
                **pool,
            )
            event.listen(engine.sync_engine, "connect", _prepare_foreign_sqlite if foreign else _prepare_sqlite)
            event.listen(engine.sync_engine, "begin", _begin_sqlite)
            name = f"the SQLite database {path}"
            return cls(engine, patience=patience, name=name, file=Path(path), foreign=foreign)
        if target is None:
            raise InvalidConfiguration(f"This is not a database URL. Expected {FORMS}.")
        within = target.connect_within or CONNECT_WITHIN
        answer_within = None if foreign or unhurried else patience + within
        driver = PostgresqlDriver(target, within, answer_within)
        engine = create_async_engine(
            "postgresql+asyncpg://", creator=lambda: driver.connect(engine.dialect.loaded_dbapi), **pool
        )
        name = f"the PostgreSQL database {target.database} on {target.where}"
        return cls(
            engine,
            patience=patience,
            answer_within=answer_within,
            driver=driver,
            name=name,
            ignored=target.ignored,
            foreign=foreign,
        )

    def __repr__(self) -> str:
        return f"<Database: {self.name}>"

    def hindrance(self, after: float) -> str | None:
        """What an operation has waited for, for longer than `after` seconds, before it could begin: for people. None
        where none has."""
        waited = steady() - min(self._outside.values(), default=math.inf)
        if waited < after:
            return None
        return self._problem or f"{_capital(self.name)} doesn't accept connections yet."

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection that sees the database as it is now, whatever is written meanwhile, and cannot write to
        PostgreSQL.

        Raises:
            StoreUnavailable: it cannot be reached; on the way in, for longer than `patience`.
            StoreOutdated: it lacks a table or column.
            InvalidConfiguration: user, password or database name are wrong.
        """
        try:
            async with AsyncExitStack() as stack:
                connection = await self._patiently(lambda begun: self._begin_reading(stack, begun))
                yield connection
        except DRIVER_ERRORS as error:  # also of the rollback with which the connection is given back
            if trouble := self._diagnose(error):
                raise trouble.error from error
            raise

    async def ask(self, question: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """What `question` finds in one consistent view; asked again from the start where the connection is lost before
        it is answered. For what is short: an answer that is read page by page wants `read`.

        Raises: as `read`, after `patience`.
        """

        async def attempt(begun: Callable[[], None]) -> T:
            async with self._readers.connect() as connection:
                begun()
                return await question(connection)

        return await self._patiently(attempt)

    async def ask_one(self, question: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """As `ask`, of a question that is one statement. That sees one moment by itself, so where it can it goes to the
        server alone, without a transaction around it: once there and back instead of three times."""

        async def attempt(begun: Callable[[], None]) -> T:
            engine = self._single if self._is_sqlite or self._is_direct else self._readers
            async with engine.connect() as connection:
                begun()
                return await question(connection)

        return await self._patiently(attempt)

    async def rows(self, query: Executable, parameters: Mapping[str, Any] | None = None) -> Sequence[Row[Any]]:
        """All rows that a query finds; see `ask_one`."""

        async def question(connection: AsyncConnection) -> Sequence[Row[Any]]:
            return (await connection.execute(query, parameters)).all()

        return await self.ask_one(question)

    async def write(self, change: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run `change` in one transaction, and again from the start if that conflicts with another or the connection
        is lost; even where it may have been committed, so a change must be idempotent.

        Returns:
            What `change` returned in the transaction that was committed.

        Raises:
            StoreUnavailable: it cannot be reached or written to, for longer than `patience`.
            StoreRefused: what was to be written is nothing that it can hold; it never will be, and nothing was written.
            StoreOutdated: it lacks a table or column.
            InvalidConfiguration: user, password or database name are wrong.
        """

        async def attempt(begun: Callable[[], None]) -> T:
            async with self._turn, self._writers.begin() as connection:
                begun()
                return await change(connection)

        return await self._write(attempt)

    async def write_one(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Sequence[Row[Any]]:
        """Run one statement as a transaction of its own, and again if need be; see `write`. PostgreSQL is asked once,
        as it commits a statement outside a transaction before it answers.

        Returns: the rows that it returns.
        """

        async def execute(connection: AsyncConnection) -> Sequence[Row[Any]]:
            result = await connection.execute(statement, parameters)
            return result.all() if result.returns_rows else ()

        async def attempt(begun: Callable[[], None]) -> Sequence[Row[Any]]:
            async with self._single.connect() as connection:
                begun()
                return await execute(connection)

        return await (self._write(attempt) if self._is_direct else self.write(execute))

    async def _write(self, attempt: Callable[[Callable[[], None]], Awaitable[T]]) -> T:
        """Raises: StoreRefused, and as `_patiently`."""
        try:
            return await self._patiently(attempt)
        except StatementError as error:
            if refusal := _refusal(error):
                raise StoreRefused(f"{_capital(self.name)} cannot hold what it was given: {refusal}") from error
            raise
        except (OverflowError, UnicodeEncodeError) as error:  # SQLite's driver raises these as they are
            raise StoreRefused(f"{_capital(self.name)} cannot hold what it was given: {error}") from error

    async def aclose(self) -> None:
        """Close all connections."""
        await self._engine.dispose()

    async def _begin_reading(self, stack: AsyncExitStack, begun: Callable[[], None]) -> AsyncConnection:
        """Connect, and take the snapshot: a lost connection shows here, where it can still be replaced."""
        async with AsyncExitStack() as attempt:
            connection = await attempt.enter_async_context(self._readers.connect())
            await connection.exec_driver_sql("SELECT 1 FROM sqlite_master LIMIT 1" if self._is_sqlite else "SELECT 1")
            stack.push_async_exit(attempt.pop_all())
        begun()
        return connection

    @property
    def _is_sqlite(self) -> bool:
        return self.dialect == SQLITE

    @property
    def _is_direct(self) -> bool:
        """Whether a statement may go to PostgreSQL without a transaction around it: a pooler may know it only within
        one, and what is somebody else's is read where nothing can be written."""
        return self._driver is not None and self._driver.is_direct and not self._foreign

    async def _patiently(self, attempt: Callable[[Callable[[], None]], Awaitable[T]]) -> T:
        """Args:
        attempt: is given what it calls when it has got through to the database.
        """
        give_up = time.monotonic() + self._patience
        pause = 0.002
        operation = object()
        try:
            while True:
                self._outside.setdefault(operation, steady())
                try:
                    done = await attempt(lambda: self._note_begun(operation))
                    self._absence.note(None)
                    return done
                except DRIVER_ERRORS as error:
                    trouble = self._diagnose(error)
                    if trouble is None:
                        raise
                    self._problem = str(trouble.error)
                    self._absence.note(self._problem)
                    left = give_up - time.monotonic()
                    if not trouble.passing or left <= 0:
                        raise trouble.error from error
                pause = min(pause * 2, trouble.longest_pause)
                await asyncio.sleep(min(random.uniform(pause / 2, pause), left))
        finally:
            self._outside.pop(operation, None)

    def _note_begun(self, operation: object) -> None:
        self._outside.pop(operation, None)
        self._problem = None

    def _diagnose(self, error: BaseException) -> _Trouble | None:
        """What an error of the driver means; None if it isn't about the state of the database."""
        if isinstance(error, PoolTimeout):
            return _Trouble(StoreUnavailable(f"All connections to {self.name} are in use."), passing=False)
        if isinstance(error, NotLetIn):
            return _Trouble(
                StoreUnavailable(
                    f"{_capital(self.name)} accepted no connection within {error.within:g} s; is the server"
                    " running, is it overloaded, or does a firewall drop what is sent to it?"
                )
            )
        if isinstance(error, TimeoutError) and self._answer_within is not None:
            return _Trouble(
                StoreUnavailable(
                    f"{_capital(self.name)} took longer than {self._answer_within:g} s to answer; is it overloaded, or"
                    " does a statement wait for a lock?"
                )
            )
        if not isinstance(error, DBAPIError):
            return self._diagnose_postgresql(error, lost=True, connecting=True)  # it came no further than that
        if isinstance(error.orig, sqlite3.Error):
            return self._diagnose_sqlite(error.orig)
        # What asyncpg itself raised stands behind SQLAlchemy's translation, which doesn't keep the code of each.
        cause = error.orig and error.orig.__cause__
        return self._diagnose_postgresql(cause, lost=error.connection_invalidated, connecting=error.statement is None)

    def _diagnose_sqlite(self, error: sqlite3.Error) -> _Trouble | None:
        name = self.name
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if problem := self._closed(error):
            return _Trouble(StoreUnusable(f"{_capital(name)} {problem}"), passing=False)
        if (kind := _SQLITE.get(code)) is not None:
            problem, passing, longest_pause = kind
            kind_of = StoreUnavailable if passing and code not in _FULL else StoreUnusable
            return _Trouble(kind_of(f"{_capital(name)} {problem}"), passing, longest_pause)
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_NOTADB:
            return _Trouble(InvalidConfiguration(f"{_capital(name)} is another kind of file."), passing=False)
        if any(sign in str(error) for sign in ("no such table", "no such column", "has no column named")):
            return _Trouble(self._outdated(str(error)), passing=False)
        return None

    def _closed(self, error: sqlite3.Error) -> str | None:
        """Why SQLite cannot open a file, if more can be said of that than SQLite does."""
        code = getattr(error, "sqlite_errorcode", 0)
        if self._file is None:
            return None
        if code == sqlite3.SQLITE_READONLY_DIRECTORY:
            return _NO_FILES_BESIDE
        if code & 0xFF != sqlite3.SQLITE_CANTOPEN:
            return None
        if self._file.is_file() and os.access(self._file, os.R_OK) and not os.access(self._file.parent, os.W_OK):
            return _NO_FILES_BESIDE
        if self._foreign:
            return _FOREIGN_CLOSED if self._file.exists() else _FOREIGN_GONE
        return None

    def _diagnose_postgresql(
        self, error: BaseException | None, *, lost: bool, connecting: bool = False
    ) -> _Trouble | None:
        name = _capital(self.name)
        state: str = getattr(error, "sqlstate", None) or ""
        if state in _POSTGRESQL_REFUSALS:
            return _Trouble(InvalidConfiguration(f"{name} {_POSTGRESQL_REFUSALS[state]}"), passing=False)
        if connecting and (state in _BAD_OPTION or "startup parameter" in str(error)):
            said = f"The database's URL has an option that the server refuses: {first_line(error)}"
            return _Trouble(InvalidConfiguration(f"{said}. Leave that option out."), passing=False)
        if state in ("42P01", "42703"):  # undefined table, undefined column
            return _Trouble(self._outdated("a table or column is missing"), passing=False)
        for prefix, (problem, passing, longest_pause) in _POSTGRESQL.items():
            if state.startswith(prefix):
                kind_of = StoreUnavailable if passing and prefix != _DISK_FULL else StoreUnusable
                return _Trouble(kind_of(f"{name} {problem}"), passing, longest_pause)
        if isinstance(error, asyncpg.exceptions.ClientConfigurationError):
            return _Trouble(InvalidConfiguration(f"The database's URL cannot be used: {error}"), passing=False)
        if isinstance(error, OSError) and error.filename:
            said = f"names a file that cannot be read: {error.filename}: {error.strerror}"
            return _Trouble(InvalidConfiguration(f"The database's URL {said}."), passing=False)
        if isinstance(error, asyncpg.InvalidCachedStatementError):  # SQLAlchemy has forgotten the statement by now
            return _Trouble(StoreUnavailable(f"{name} was changed while it was in use."), longest_pause=0.05)
        # asyncpg's own confusion over a connection that was lost while it was at work; SQLAlchemy discards it.
        if lost or state.startswith("08") or isinstance(error, asyncpg.InternalClientError):
            word = f" ({said})" if (said := word_of(error)) else ""
            return _Trouble(StoreUnavailable(f"{name} cannot be reached; is the server running?{word}"))
        return None

    def _outdated(self, detail: str) -> StoreOutdated:
        return StoreOutdated(
            f"{_capital(self.name)} isn't as this Stentor needs it ({detail}); run `stentor init --upgrade`."
        )


def _refusal(error: StatementError) -> str | None:
    """What is said of a value that the database cannot hold; None where the error is about something else."""
    cause = error.orig
    if not isinstance(error, DBAPIError):  # it came no further than SQLAlchemy
        return str(cause)
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        return str(cause) if code in _SQLITE_REFUSALS or "binding parameter" in str(cause) else None
    # asyncpg raises the same for what it cannot send as for what the server refused.
    cause = cause and cause.__cause__
    state: str = getattr(cause, "sqlstate", None) or ""
    return _VALUE.sub(r"\1 \2", str(cause)) if state.startswith(_POSTGRESQL_DATA) else None


def insert_or_ignore(on: AsyncConnection | Database, table: Table) -> Insert:
    """An INSERT into `table` that leaves alone what is there already."""
    if (on.dialect if isinstance(on, Database) else on.dialect.name) == SQLITE:
        return sqlite.insert(table).on_conflict_do_nothing()
    return postgresql.insert(table).on_conflict_do_nothing()


_SQLITE = {  # primary result code: problem, does waiting help, longest pause
    sqlite3.SQLITE_BUSY: ("is locked by another program.", True, 0.05),
    sqlite3.SQLITE_LOCKED: ("is locked by another program.", True, 0.05),
    sqlite3.SQLITE_PROTOCOL: (
        "is locked by a program that stands still.",
        True,
        0.05,
    ),  # after 10 s, whatever `timeout` says
    sqlite3.SQLITE_NOMEM: ("cannot be used: there is not enough memory.", True, 1.0),
    sqlite3.SQLITE_FULL: ("cannot grow: the disk is full. Free some space.", True, 1.0),
    sqlite3.SQLITE_IOERR: (
        "cannot be read or written: the disk reports an error, or is full. Free some space, or repair the disk.",
        True,
        1.0,
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "cannot be opened: check that its folder exists and that this user may write to both.",
        False,
        0.0,
    ),
    sqlite3.SQLITE_READONLY: (
        "cannot be written to: it was moved, or this user may not write to the file or its folder.",
        False,
        0.0,
    ),
    sqlite3.SQLITE_PERM: ("cannot be opened: this user may not.", False, 0.0),
    sqlite3.SQLITE_CORRUPT: ("is damaged; restore it from a backup.", False, 0.0),
}
_FOREIGN_GONE = (
    "isn't there. Make it, or correct the path in the URL: a relative path starts from the folder of stentor.toml, an"
    " absolute one has four slashes before it."
)
_FOREIGN_CLOSED = "cannot be opened: check that it is a file, and that this user may read it and enter its folder."
_NO_FILES_BESIDE = (
    "is in a folder that this user may not write to, and SQLite makes files beside it. Let this user write to the"
    " folder. To only look at what is in it, copy it (and its `-wal`, if there is one) elsewhere, and name the copy in"
    " the URL."
)
_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
"""Waiting helps where somebody frees some space meanwhile."""
_DISK_FULL = "53100"
_VALUE = re.compile(r"(query argument \$\d+): .*(\([^()]*\))", re.DOTALL)  # asyncpg quotes it
_SQLITE_REFUSALS = (sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH)
_POSTGRESQL_DATA = ("22", "54")  # a value is of no kind that it can hold; or beyond a limit, of an index row, say
_BAD_OPTION = ("42704", "22023")  # of no such setting, or of no such value for it
_POSTGRESQL_REFUSALS = {
    "28P01": "refuses the password in its URL.",
    "28000": "refuses the user in its URL.",
    "3D000": "doesn't exist; create it, or correct the URL.",
}
_POSTGRESQL = {  # beginning of the SQLSTATE: problem, does waiting help, longest pause
    "40": ("is too busy: this change kept conflicting with others.", True, 0.05),
    "55P03": ("is locked by another program.", True, 0.05),
    "25006": ("cannot be written to: the server is a standby, or read-only.", True, 1.0),
    "42501": ("refuses this user; GRANT it what it needs on the tables `stentor_…`.", False, 0.0),
    _DISK_FULL: ("cannot grow: the server's disk is full. Free some space.", True, 1.0),
    "53300": ("has no connection free; raise `max_connections` or run fewer processes.", True, 1.0),
    "53": ("lacks memory or disk.", True, 1.0),
    "57014": ("cancelled a statement that took longer than `statement_timeout`; raise that.", True, 1.0),
    "57P": ("is being stopped or started.", True, 1.0),
    "58": ("reports an error of its disk or system.", True, 1.0),
}


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _prepare_sqlite(connection: DBAPIConnection, _record: object) -> None:
    try:
        _set_sqlite(connection, "journal_mode=WAL")
    except sqlite3.OperationalError as error:  # of a file that cannot be written to it stays as it is
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_READONLY:
            raise
    _set_sqlite(
        connection,
        f"wal_autocheckpoint={CHECKPOINT_PAGES}",
        "synchronous=FULL",  # in WAL mode this syncs every commit: outcomes must survive a power cut
        "foreign_keys=ON",
        "secure_delete=OFF",  # some builds overwrite with zeros what is deleted, which doubles the work of a queue
        f"cache_size=-{CACHE_KIB}",
        f"journal_size_limit={WAL_KEPT}",
    )


def _prepare_foreign_sqlite(connection: DBAPIConnection, _record: object) -> None:
    _set_sqlite(connection, "query_only=ON", f"cache_size=-{CACHE_KIB}")


def _set_sqlite(connection: DBAPIConnection, *pragmas: str) -> None:
    cursor = connection.cursor()
    for pragma in pragmas:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    if begin := connection.get_execution_options().get("stentor_begin", "BEGIN"):
        connection.exec_driver_sql(begin)
