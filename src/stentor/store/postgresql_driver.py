"""Connections to PostgreSQL, by asyncpg, for SQLAlchemy.

Behind a pooler that gives out its connections for one transaction each (PgBouncer, say), a statement that was prepared
by name is unknown in the next transaction, or is somebody else's. Rules: whether a pooler is between is asked on every
connection, as nobody says so; there no statement has a name, and none is kept.
"""

from __future__ import annotations

import os
import socket
import ssl
from pathlib import Path
from typing import Any, cast

import asyncpg  # type: ignore[import-untyped]  # has no annotations
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPIModule

from stentor.store.postgresql_url import PostgresqlUrl

CONNECT_WITHIN = 5.0
"""Seconds in which PostgreSQL must have let us in, unless the URL says otherwise."""
KEEPALIVE_IDLE, KEEPALIVE_EVERY, KEEPALIVES = 15, 5, 3
"""Seconds of silence after which the system asks whether PostgreSQL's machine is still there, seconds between two such
questions, and how many of them stay unanswered until the connection counts as lost: a statement may take as long as it
takes, but a machine that is gone isn't waited for."""


class NotLetIn(OSError):
    """PostgreSQL let nobody in within the time there is for that."""

    def __init__(self, within: float) -> None:
        super().__init__(f"not within {within:g} s")
        self.within = within


class _PooledError(Exception):
    """There is a pooler between, and the connection was made as if there were none."""


class PostgresqlDriver:
    """Makes the connections to one database."""

    def __init__(self, target: PostgresqlUrl, connect_within: float, answer_within: float | None) -> None:
        """Args:
        connect_within: seconds in which the server must have let us in.
        answer_within: seconds in which each statement must be answered; None: it may take as long as it takes.
        """
        self._target = target
        self._connect_within = connect_within
        self._answer_within = answer_within
        self._pooled = False
        self._reached = False

    @property
    def is_direct(self) -> bool:
        """Whether a connection was made, and no pooler was found between."""
        return self._reached and not self._pooled

    def connect(self, module: DBAPIModule) -> DBAPIConnection:
        """A connection as SQLAlchemy wants it. Raises: NotLetIn, and what asyncpg raises."""
        for file in self._target.files:  # of one that isn't there asyncpg doesn't say which
            Path(file).open("rb").close()
        if not self._pooled:
            try:
                return cast(DBAPIConnection, module.connect(async_creator_fn=self._open))
            except _PooledError:
                self._pooled = True
        nameless = {"prepared_statement_cache_size": 0, "prepared_statement_name_func": lambda: ""}
        return cast(DBAPIConnection, module.connect(async_creator_fn=self._open, **nameless))

    async def _open(self) -> asyncpg.Connection:
        settings: dict[str, Any] = {"statement_cache_size": 0} if self._pooled else {}
        if self._target.trusts_system:
            settings["ssl"] = ssl.create_default_context()
        within = self._connect_within
        try:
            connection = await asyncpg.connect(
                self._target.dsn, timeout=within, command_timeout=self._answer_within, **settings
            )
            if not self._pooled and not await _is_server_itself(connection, within):
                connection.terminate()
                raise _PooledError
            self._reached = True
        except TimeoutError as error:
            raise NotLetIn(within) from error
        keep_alive(connection)
        return connection


async def _is_server_itself(connection: asyncpg.Connection, within: float) -> bool:
    """Whether the process that works for us is the one that let us in. Asked without preparing a statement."""
    question = f"SELECT 1 WHERE pg_backend_pid() = {connection.get_server_pid()}"
    return cast(str, await connection.execute(question, timeout=within)) == "SELECT 1"


def keep_alive(connection: asyncpg.Connection) -> None:
    """Have the system notice when PostgreSQL's machine is gone while we wait for an answer."""
    own = connection._transport.get_extra_info("socket")  # nothing public has it
    if own.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with socket.fromfd(own.fileno(), own.family, own.type) as same:  # what a loop gives out isn't always a real socket
        same.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (
            ("TCP_KEEPIDLE", KEEPALIVE_IDLE),
            ("TCP_KEEPALIVE", KEEPALIVE_IDLE),  # the same on macOS
            ("TCP_KEEPINTVL", KEEPALIVE_EVERY),
            ("TCP_KEEPCNT", KEEPALIVES),
        ):
            if (option := getattr(socket, name, None)) is not None:
                same.setsockopt(socket.IPPROTO_TCP, option, value)


def word_of(error: BaseException | None) -> str:
    """What the system, or the server, says of a connection that failed, for people; empty if they say nothing."""
    if isinstance(error, asyncpg.PostgresError):
        return first_line(error)
    if not isinstance(error, OSError):
        return ""
    is_system = (error.errno or 0) > 0 and not isinstance(error, ssl.SSLError)
    return first_line(os.strerror(error.errno or 0) if is_system else error.strerror or str(error))


def first_line(said: object) -> str:
    return str(said).partition("\n")[0][:200]
