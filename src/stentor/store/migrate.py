"""Brings the store's tables to this Stentor's form, and tells whether they are.

Rules: a migration that was released is never changed; a new one is a file in `migrations/versions`, numbered on, and
its number goes into REVISIONS. All that is missing is done in one transaction, once, however many processes ask at the
same time. Checking costs one query and doesn't load Alembic.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, String, column, inspect, select, table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.errors import StoreOutdated
from stentor.store.database import POSTGRESQL, Database

REVISIONS: Final = ("0001",)
"""All revisions there are, the oldest first."""
MIGRATIONS: Final = Path(__file__).parent / "migrations"
VERSION_TABLE: Final = "stentor_alembic_version"
ADVISORY_LOCK: Final = 0x5354454E544F52
"""The PostgreSQL lock under which migrations run: "STENTOR"."""
_VERSION = table(VERSION_TABLE, column("version_num", String))


async def migrate(database: Database) -> None:
    """Make the store's tables, or bring them to the newest revision. Does nothing where they are.

    No statement may take longer than the database's `patience`: open it with a long one for this.

    Raises:
        StoreOutdated: a newer Stentor made them.
        StoreUnavailable, InvalidConfiguration: see `Database.write`.
    """
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
    _refuse_newer(revision, database.name)
    if revision != REVISIONS[-1]:
        raise StoreOutdated(
            f"The tables in {database.name} were made by an older Stentor; run `stentor init --upgrade`."
        )


async def _bring_up(connection: AsyncConnection, name: str) -> None:
    if connection.dialect.name == POSTGRESQL:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
    revision = await connection.run_sync(_revision)
    if revision is not None:
        _refuse_newer(revision, name)
    if revision != REVISIONS[-1]:
        await connection.run_sync(_run_alembic)


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


def _refuse_newer(revision: str, name: str) -> None:
    if revision not in REVISIONS:
        raise StoreOutdated(
            f"The tables in {name} were made by a newer Stentor (revision {revision}; this one knows {REVISIONS[-1]}): "
            "this Stentor is too old, upgrade it."
        )
