"""Migrations on both databases: the same tables as the metadata's, once however many ask, and refusals that say why."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from zipfile import ZipFile

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.errors import StoreOutdated, StoreUnavailable
from stentor.store.database import SQLITE, Database
from stentor.store.migrate import MIGRATIONS, REVISIONS, VERSION_TABLE, check, migrate
from stentor.store.tables import METADATA
from stentor.testing.postgres import Postgres

Dump = list[tuple[str, ...]]

MIGRATE = """
import asyncio, sys
from stentor.store.database import Database
from stentor.store.migrate import migrate

async def main():
    database = Database.open(sys.argv[1])
    await migrate(database)
    await database.aclose()

sys.stdin.readline()
asyncio.run(main())
"""


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database.open(database_url)
    yield database
    await database.aclose()


async def execute(database: Database, statement: str) -> None:
    async def change(connection: AsyncConnection) -> None:
        await connection.execute(text(statement))

    await database.write(change)


async def dump(database: Database) -> Dump:
    """Every column, constraint and index of ours, as the database itself tells of them."""
    if database.dialect == SQLITE:
        statements = ["SELECT type, name, tbl_name, sql FROM sqlite_master"]
    else:
        statements = [
            "SELECT table_name, column_name, data_type, collation_name, is_nullable, column_default"
            " FROM information_schema.columns WHERE table_schema = 'public'",
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE connamespace = 'public'::regnamespace",
            "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
        ]
    found: Dump = []
    async with database.read() as connection:
        for statement in statements:
            rows = await connection.execute(text(statement))
            found += [tuple(_plain(value) for value in row) for row in rows]
    return sorted(row for row in found if not any(VERSION_TABLE in value for value in row))


def _plain(value: object) -> str:
    """SQLite keeps a table's SQL as it was written: with its own spaces and order of table constraints."""
    parts = re.split(r",\s*(?![^()]*\))", re.sub(r"\s+", " ", str(value)))
    return ", ".join(sorted(part.strip(" )") for part in parts))


async def test_the_upgraded_schema_is_the_metadatas(
    database: Database, tmp_path: Path, postgres_server: Postgres
) -> None:
    await migrate(database)

    def compare(connection: Connection) -> list[object]:
        options = {
            "compare_type": True,
            "compare_server_default": True,
            "include_name": lambda name, kind, _parents: not (kind == "table" and name == VERSION_TABLE),
        }
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), METADATA))

    async with database.read() as connection:
        assert await connection.run_sync(compare) == []

    async with postgres_server.database() as url:
        fresh = Database.open(f"sqlite:///{tmp_path / 'fresh.db'}" if database.dialect == SQLITE else url)
        await fresh.write(lambda connection: connection.run_sync(METADATA.create_all))
        expected = await dump(fresh)
        await fresh.aclose()
    assert await dump(database) == expected
    assert len(expected) > 20


async def test_the_dump_tells_schemas_apart(database: Database) -> None:
    await migrate(database)
    before = await dump(database)
    await execute(database, "DROP INDEX ix_stentor_batches_pending")
    await execute(database, "CREATE INDEX ix_stentor_batches_pending ON stentor_batches (campaign_id)")
    assert await dump(database) != before


async def test_payloads_are_not_compressed_in_vain(postgres: str) -> None:
    database = Database.open(postgres)
    await migrate(database)
    statement = (
        "SELECT attstorage FROM pg_attribute WHERE attrelid = 'stentor_payloads'::regclass AND attname = 'payload'"
    )
    async with database.read() as connection:
        assert await connection.scalar(text(statement)) == b"e"
    await database.aclose()


async def test_migrating_twice_changes_nothing(database: Database) -> None:
    await migrate(database)
    await execute(database, "INSERT INTO stentor_lanes (lane) VALUES ('apns/ios')")
    await migrate(database)
    await check(database)
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT lane FROM stentor_lanes"))).scalar_one() == "apns/ios"


async def test_many_tasks_and_processes_migrate_at_once(database: Database, database_url: str) -> None:
    others = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", MIGRATE, database_url, stdin=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(3)
    ]
    *ends, _ = await asyncio.gather(
        *(other.communicate(b"go\n") for other in others), asyncio.gather(*(migrate(database) for _ in range(4)))
    )
    assert [other.returncode for other in others] == [0, 0, 0], ends
    await check(database)
    async with database.read() as connection:
        versions = await connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}"))
        assert versions.scalars().all() == [REVISIONS[-1]]


async def test_a_migration_that_fails_leaves_nothing_behind(database: Database) -> None:
    await execute(database, "CREATE TABLE stentor_installations (id INTEGER)")  # the last one that is made
    before = await dump(database)
    with pytest.raises(Exception, match="already exists"):
        await migrate(database)
    assert await dump(database) == before


async def test_a_database_without_tables_is_told_to_init(database: Database) -> None:
    with pytest.raises(StoreOutdated, match=r"no tables of Stentor's yet in .*; run `stentor init`\.$"):
        await check(database)


async def test_older_tables_are_told_to_upgrade(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await migrate(database)
    monkeypatch.setattr("stentor.store.migrate.REVISIONS", (*REVISIONS, "9999"))
    with pytest.raises(StoreOutdated, match="older Stentor; run `stentor init --upgrade`"):
        await check(database)


async def test_newer_tables_are_left_alone(database: Database) -> None:
    await migrate(database)
    await execute(database, f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    for refused in (check, migrate):
        with pytest.raises(StoreOutdated, match=r"newer Stentor \(revision 9999.*this Stentor is too old, upgrade it"):
            await refused(database)


async def test_a_version_table_without_a_version_is_no_migrated_database(database: Database) -> None:
    await execute(database, f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL)")
    with pytest.raises(StoreOutdated, match="run `stentor init`"):
        await check(database)
    await migrate(database)
    await check(database)


async def test_checking_needs_no_alembic() -> None:
    code = "import sys, stentor.store.migrate; sys.exit('alembic' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0


def test_the_revisions_are_those_of_the_scripts() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == REVISIONS


def test_the_wheel_holds_the_migrations(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)],
        cwd=Path(__file__).parents[3],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    packed = {name for name in ZipFile(wheel).namelist() if name.startswith("stentor/store/migrations/")}
    assert packed == {f"stentor/store/migrations/{file.relative_to(MIGRATIONS)}" for file in MIGRATIONS.rglob("*.py")}
    assert len(packed) >= 1 + len(REVISIONS)


async def test_a_missing_server_is_no_outdated_store() -> None:
    database = Database.open("postgresql://nobody@127.0.0.1:1/none", patience=0.0)
    with pytest.raises(StoreUnavailable):
        await migrate(database)
    with pytest.raises(StoreUnavailable):
        await check(database)
    await database.aclose()
