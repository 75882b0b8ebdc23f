"""Brings the store's tables to this Stentor's form, and tells whether they are.

Rules: a migration that was released is never changed; a new one is a file in `migrations/versions`, numbered on, and
its number goes into REVISIONS. All that is missing is done in one transaction, once, however many processes ask at the
same time: whoever comes second finds it done. Checking costs one query and doesn't load Alembic.

While a cluster is upgraded, older roles run on tables that a newer one has migrated. So the tables say which Stentors
may use them, and an older one that is among these leaves them as they are. A migration should only add what those
before it needn't know; one that cannot raises COMPATIBLE_WITH, and its upgrade needs all roles stopped.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, String, column, inspect, select, table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.errors import InvalidConfiguration, StoreOutdated
from stentor.store.database import POSTGRESQL, Database
from stentor.store.tables import schema

REVISIONS: Final = ("0001", "0002", "0003", "0004", "0005", "0006")
"""All revisions there are, the oldest first."""
COMPATIBLE_WITH: Final = "0001"
"""A Stentor that knows this revision can use the tables as the last one of REVISIONS leaves them. Kept in
`stentor_schema`, for those that don't know the last one."""
MIGRATIONS: Final = Path(__file__).parent / "migrations"
VERSION_TABLE: Final = "stentor_alembic_version"
ADVISORY_LOCK: Final = 0x5354454E544F52
"""The PostgreSQL lock under which migrations run: "STENTOR"."""
LOOK_AGAIN = 0.01
"""Seconds after which whoever waits for another migration in this process looks again."""
_ALEMBIC: Final = threading.Lock()
"""Held while Alembic runs: it keeps the migration that it is at in a module of its own, one for the whole process."""
_VERSION = table(VERSION_TABLE, column("version_num", String))
_MAY_CREATE = text("SELECT current_user, current_schema(), has_schema_privilege(current_schema(), 'CREATE')")
_OWNER = text(
    "SELECT current_user, pg_get_userbyid(relowner), pg_has_role(relowner, 'USAGE') FROM pg_class"
    " WHERE oid = to_regclass(:table)"
)


async def migrate(database: Database) -> None:
    """Make the store's tables, or bring them to the newest revision. Does nothing where they are, or where a newer
    Stentor brought them further and this one may use them.

    No statement may take longer than the database's `patience`: open it with a long one for this.

    Raises:
        StoreOutdated: a newer Stentor made them, and this one cannot use them.
        InvalidConfiguration: this user may not make them, or not change them; also as `Database.write`.
        StoreUnavailable: see `Database.write`.
    """
    async with _alone_in_this_process():
        await database.write(lambda connection: _bring_up(connection, database.name))


async def check(database: Database) -> None:
    """See that the store's tables are as this Stentor needs them.

    Raises:
        StoreOutdated: they aren't; its message says whether to upgrade them or this Stentor.
        StoreUnavailable, InvalidConfiguration: see `Database.read`.
    """
    async with database.read() as connection:
        revision = await connection.run_sync(_revision)
        if revision is None:
            raise StoreOutdated(f"There are no tables of Stentor's yet in {database.name}; run `stentor init`.")
        if await _is_newer(connection, revision, database.name):
            return
    if revision != REVISIONS[-1]:
        raise StoreOutdated(
            f"The tables in {database.name} were made by an older Stentor; run `stentor init --upgrade`."
        )


@asynccontextmanager
async def _alone_in_this_process() -> AsyncIterator[None]:
    """No other migration runs meanwhile, in whatever thread or event loop of this process, and to whatever database.

    To be entered before the database's own lock is asked for, as somebody else here may hold that one.
    """
    while not _ALEMBIC.acquire(blocking=False):  # noqa: ASYNC110 - an event would belong to one event loop
        await asyncio.sleep(LOOK_AGAIN)
    try:
        yield
    finally:
        _ALEMBIC.release()


async def _bring_up(connection: AsyncConnection, name: str) -> None:
    if connection.dialect.name == POSTGRESQL:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
    revision = await connection.run_sync(_revision)
    if revision == REVISIONS[-1] or (revision is not None and await _is_newer(connection, revision, name)):
        return
    if connection.dialect.name == POSTGRESQL:
        await _see_that_we_may(connection, name, upgrade=revision is not None)
    await connection.run_sync(_run_alembic)
    await connection.execute(schema.delete())
    await connection.execute(schema.insert(), {"compatible": COMPATIBLE_WITH})


async def _see_that_we_may(connection: AsyncConnection, name: str, *, upgrade: bool) -> None:
    user, schema, may_create = (await connection.execute(_MAY_CREATE)).one()
    if schema is None:
        raise InvalidConfiguration(
            f"The user {user} has no schema to make tables in in {name}; make one that is in its `search_path`, or"
            f" `GRANT USAGE, CREATE ON SCHEMA public TO {user}`."
        )
    if not may_create:
        raise InvalidConfiguration(
            f"The user {user} may not make tables in the schema {schema} of {name};"
            f" `GRANT CREATE ON SCHEMA {schema} TO {user}`, or run `stentor init` once as a user who may."
        )
    if not upgrade:
        return
    _, owner, is_ours = (await connection.execute(_OWNER, {"table": VERSION_TABLE})).one()
    if not is_ours:
        raise InvalidConfiguration(
            f"The tables in {name} belong to the user {owner}, and only their owner may change them;"
            f" run `stentor init --upgrade` once as {owner}."
        )


def _run_alembic(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415  # takes longer to load than all else here, and is seldom needed
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={"connection": connection, "version_table": VERSION_TABLE})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    """The revision of the tables; None where there are none."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    revision: str | None = connection.scalar(select(_VERSION.c.version_num))
    return revision


async def _is_newer(connection: AsyncConnection, revision: str, name: str) -> bool:
    """Whether a newer Stentor made the tables, and this one may use them.

    Raises: StoreOutdated: it may not.
    """
    if revision in REVISIONS:
        return False
    if await connection.run_sync(_compatible) in REVISIONS:
        return True
    raise StoreOutdated(
        f"The tables in {name} were made by a newer Stentor (revision {revision}; this one knows {REVISIONS[-1]}): "
        "this Stentor is too old, upgrade it."
    )


def _compatible(connection: Connection) -> str | None:
    """The revision that a Stentor must know to use the tables; None where they don't say."""
    if not inspect(connection).has_table(schema.name):
        return None
    compatible: str | None = connection.scalar(select(schema.c.compatible))
    return compatible
