"""Brings the store's tables to this Stentor's form, and tells whether they are.

Rules: a migration that was released is never changed; a new one is a file in `migrations/versions`, numbered on, and
its number goes into REVISIONS. Where there are no tables yet, all are made at once as the last migration leaves them; a
test compares the two. All that is missing is done in one transaction, once, however many processes ask at the same
time: whoever comes second finds it done. Nobody works on tables that lack something: what somebody removed isn't
made anew, as what was in it is gone. Checking costs two queries and doesn't load Alembic.

While a cluster is upgraded, older roles run on tables that a newer one has migrated. So the tables say which Stentors
may use them, and an older one that is among these leaves them as they are. A migration should only add what those
before it needn't know; one that cannot raises COMPATIBLE_WITH, and its upgrade needs all roles stopped.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, bindparam, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.errors import InvalidConfiguration, StoreOutdated
from stentor.settings import listed
from stentor.store.database import POSTGRESQL, SQLITE, Database
from stentor.store.tables import METADATA, schema

REVISIONS: Final = (
    *("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010", "0011", "0012"),
    *("0013", "0014", "0015", "0016", "0017", "0018", "0019", "0020", "0021", "0022", "0023"),
)
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
_VERSION_TABLE = Table(
    VERSION_TABLE,
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
)
"""As Alembic makes it."""
SHOWN = 5
"""Missing tables and columns that are named at most."""
_COLUMNS = {
    POSTGRESQL: text(
        "SELECT given.name, attname FROM unnest(CAST(:names AS text[])) AS given(name)"
        " JOIN pg_attribute ON attrelid = to_regclass(given.name) AND attnum > 0 AND NOT attisdropped"
    ),
    SQLITE: text(
        "SELECT given.name, found.name FROM sqlite_master AS given, pragma_table_info(given.name) AS found"
        " WHERE given.name IN :names"
    ).bindparams(bindparam("names", expanding=True)),
}
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
        StoreOutdated: a newer Stentor made them, and this one cannot use them; or they lack something.
        InvalidConfiguration: this user may not make them, or not change them; also as `Database.write`.
        StoreUnavailable: see `Database.write`.
    """
    if await _are_there(database):  # a look is enough, and all that may be done to a store that is read-only
        return
    async with _alone_in_this_process():
        try:
            await database.write(lambda connection: _bring_up(connection, database.name))
        except DBAPIError as error:
            said = (error.orig and error.orig.__cause__) or error.orig
            raise StoreOutdated(
                f"The tables in {database.name} can't be brought to this version, and are as they were: {said}"
            ) from error


async def _are_there(database: Database) -> bool:
    """Whether the tables are of the newest revision, or of a newer Stentor that lets this one use them. Raises: as
    `migrate`."""
    async with database.read() as connection:
        found = await _look(connection, database.name)
        if found is None or found.revision in REVISIONS[:-1]:
            return False
        await _see_that_it_is_usable(connection, found, database.name)
        return True


async def check(database: Database) -> None:
    """See that the store's tables are as this Stentor needs them.

    Raises:
        StoreOutdated: they aren't; its message says whether to upgrade them or this Stentor.
        StoreUnavailable, InvalidConfiguration: see `Database.read`.
    """
    async with database.read() as connection:
        found = await _look(connection, database.name)
        if found is None:
            raise StoreOutdated(
                f"There are no tables of Stentor's yet in {database.name};"
                " run `stentor init --upgrade`, which makes them."
            )
        if found.revision in REVISIONS[:-1]:
            raise StoreOutdated(
                f"The tables in {database.name} were made by an older Stentor; run `stentor init --upgrade`."
            )
        await _see_that_it_is_usable(connection, found, database.name)


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
    found = await _look(connection, name)
    if found is None or found.revision in REVISIONS[:-1]:
        if connection.dialect.name == POSTGRESQL:
            await _see_that_we_may(connection, name, upgrade=found is not None)
        await connection.run_sync(make_tables if found is None else run_migrations)
        await connection.execute(schema.delete())
        await connection.execute(schema.insert(), {"compatible": COMPATIBLE_WITH})
        found = await _look(connection, name)
        assert found is not None
    await _see_that_it_is_usable(connection, found, name)


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
            f" `GRANT CREATE ON SCHEMA {schema} TO {user}`, or run `stentor init --upgrade` once as a user who may."
        )
    if not upgrade:
        return
    _, owner, is_ours = (await connection.execute(_OWNER, {"table": VERSION_TABLE})).one()
    if not is_ours:
        raise InvalidConfiguration(
            f"The tables in {name} belong to the user {owner}, and only their owner may change them;"
            f" run `stentor init --upgrade` once as {owner}."
        )


def make_tables(connection: Connection) -> None:
    """All tables at once, as the migrations one after the other would leave them."""
    METADATA.create_all(connection, checkfirst=False)
    _VERSION_TABLE.create(connection, checkfirst=True)  # somebody may have emptied it
    connection.execute(_VERSION_TABLE.insert(), {"version_num": REVISIONS[-1]})


def run_migrations(connection: Connection, to: str = "head") -> None:
    """Those that were not run yet, one after the other, up to a revision."""
    from alembic import command  # noqa: PLC0415  # takes longer to load than all else here, and is seldom needed
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={"connection": connection, "version_table": VERSION_TABLE})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, to)


@dataclass(frozen=True, slots=True)
class _Found:
    """The tables of Stentor's that are there."""

    revision: str
    columns: frozenset[tuple[str, str]]
    """(table, column)."""

    @property
    def missing(self) -> list[str]:
        """What this Stentor needs and isn't there, in words."""
        return _missing(self.columns)


def _missing(columns: frozenset[tuple[str, str]]) -> list[str]:
    there = {table for table, _ in columns}
    missing = []
    for each in METADATA.sorted_tables:
        if each.name not in there:
            missing.append(f"the table {each.name}")
        else:
            lost = [column.name for column in each.c if (each.name, column.name) not in columns]
            missing += [f"the column {each.name}.{name}" for name in lost]
    return missing


async def _look(connection: AsyncConnection, name: str) -> _Found | None:
    """None where there are no tables of Stentor's.

    Raises: StoreOutdated: there are some, and they don't say of which revision.
    """
    names = [VERSION_TABLE, *METADATA.tables]
    rows = (await connection.execute(_COLUMNS[connection.dialect.name], {"names": names})).all()
    columns = frozenset((table, column) for table, column in rows)
    marked = (VERSION_TABLE, _VERSION_TABLE.c.version_num.name) in columns
    revision = await connection.scalar(select(_VERSION_TABLE.c.version_num)) if marked else None
    if revision is not None:
        return _Found(revision, columns)
    if {table for table, _ in columns} <= {VERSION_TABLE}:
        return None
    remedy = "restore it from a backup"
    if marked and not _missing(columns):
        remedy += f", or, if this very version made them, `INSERT INTO {VERSION_TABLE} VALUES ('{REVISIONS[-1]}')`"
    raise StoreOutdated(
        f"The tables in {name} don't say which version they are of, as {VERSION_TABLE} was"
        f" {'emptied' if marked else 'removed'}; {remedy}."
    )


async def _see_that_it_is_usable(connection: AsyncConnection, found: _Found, name: str) -> None:
    """See that a Stentor of this version, or a newer one of which this one may use the tables, made them, and that
    nobody took anything away.

    Raises: StoreOutdated.
    """
    if found.revision not in REVISIONS and await _compatible(connection, found) not in REVISIONS:
        raise StoreOutdated(
            f"The tables in {name} were made by a newer Stentor (revision {found.revision}; this one knows"
            f" {REVISIONS[-1]}): this Stentor is too old, upgrade it."
        )
    if missing := found.missing:
        more = [f"{len(missing) - SHOWN} more"] if len(missing) > SHOWN else []
        raise StoreOutdated(
            f"Somebody removed {listed([*missing[:SHOWN], *more])} from {name}; restore it from a backup."
        )


async def _compatible(connection: AsyncConnection, found: _Found) -> str | None:
    """The revision that a Stentor must know to use the tables; None where they don't say."""
    if (schema.name, schema.c.compatible.name) not in found.columns:
        return None
    compatible: str | None = await connection.scalar(select(schema.c.compatible))
    return compatible
