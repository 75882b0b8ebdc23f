"""Migrations on both databases: the same tables as the metadata's, once however many ask, and refusals that say why."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from zipfile import ZipFile

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.errors import InvalidConfiguration, StoreOutdated, StoreUnavailable
from stentor.queue.contract import Task
from stentor.queue.sql import SqlQueue
from stentor.states import CampaignKind
from stentor.store import campaigns
from stentor.store import migrate as migrations
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


async def test_many_tasks_and_processes_migrate_at_once(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = count_runs(monkeypatch)
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", MIGRATE, database_url, stdin=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(5)
    ]
    others = [Database.open(database_url, connections=1) for _ in range(3)]
    *ends, _ = await asyncio.gather(
        *(process.communicate(b"go\n") for process in processes),
        asyncio.gather(*(migrate(each) for each in (database, database, *others))),
    )
    assert [process.returncode for process in processes] == [0] * 5, ends
    assert len(runs) <= 1
    await check(database)
    async with database.read() as connection:
        versions = await connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}"))
        assert versions.scalars().all() == [REVISIONS[-1]]
    for each in others:
        await each.aclose()


def count_runs(monkeypatch: pytest.MonkeyPatch) -> list[Connection]:
    """The connections that Alembic is run on in this process from now on."""
    runs: list[Connection] = []
    run = migrations._run_alembic

    def counted(connection: Connection) -> None:
        runs.append(connection)
        run(connection)

    monkeypatch.setattr(migrations, "_run_alembic", counted)
    return runs


async def test_of_many_roles_with_connections_of_their_own_one_migrates(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = count_runs(monkeypatch)
    roles = [Database.open(database_url, connections=1) for _ in range(8)]
    await asyncio.gather(*map(migrate, roles))
    assert len(runs) == 1
    for role in roles:
        await check(role)
        await role.aclose()


async def test_several_databases_may_be_migrated_at_once_in_one_process(
    tmp_path: Path, postgres_server: Postgres
) -> None:
    """Alembic's own state is the process's: neither another task nor another thread may come between."""

    def in_a_thread(url: str) -> None:
        async def bring_up() -> None:
            database = Database.open(url)
            await migrate(database)
            await database.aclose()

        asyncio.run(bring_up())

    async with (
        postgres_server.database() as one,
        postgres_server.database() as two,
        postgres_server.database() as three,
    ):
        urls = [one, f"sqlite:///{tmp_path / 'one.db'}", two, f"sqlite:///{tmp_path / 'two.db'}"]
        databases = [Database.open(url) for url in urls]
        threads = [asyncio.to_thread(in_a_thread, url) for url in (three, f"sqlite:///{tmp_path / 'three.db'}")]
        await asyncio.gather(*map(migrate, databases), *threads)
        databases += [Database.open(three), Database.open(f"sqlite:///{tmp_path / 'three.db'}")]
        for database in databases:
            await check(database)
            await database.aclose()


async def test_whoever_gives_up_waiting_lets_the_next_one_go_on(tmp_path: Path) -> None:
    slow, database = (Database.open(f"sqlite:///{tmp_path / name}") for name in ("slow.db", "other.db"))
    begun = asyncio.Event()

    async def hold(connection: AsyncConnection) -> None:
        begun.set()
        await asyncio.Event().wait()

    holder = asyncio.ensure_future(slow.write(hold))
    await begun.wait()
    waiting = [asyncio.ensure_future(migrate(each)) for each in (slow, database)]
    done, _ = await asyncio.wait(waiting, timeout=0.1)
    assert not done  # the first waits for the database, and the second for the first
    waiting[0].cancel()
    await waiting[1]
    await check(database)
    holder.cancel()
    await asyncio.gather(holder, waiting[0], return_exceptions=True)
    await slow.aclose()
    await database.aclose()


async def test_a_migration_that_fails_leaves_nothing_behind(database: Database) -> None:
    await execute(database, "CREATE TABLE others (id INTEGER)")
    await execute(database, "CREATE INDEX ix_stentor_tasks_campaign_id ON others (id)")  # of one of the last tables
    before = await dump(database)
    with pytest.raises(
        StoreOutdated, match=r"can't be brought to this version, and are as they were: .* already exists"
    ):
        await migrate(database)
    assert await dump(database) == before


@pytest.mark.parametrize(
    ("said", "missing"),
    [
        ("ALTER TABLE stentor_batches DROP COLUMN edition", "the column stentor_batches.edition"),
        ("DROP TABLE stentor_receipts", "the table stentor_receipts"),
        ("DROP TABLE stentor_schema", "the table stentor_schema"),
    ],
)
@pytest.mark.parametrize("revision", [REVISIONS[-1], "9999"])
async def test_what_somebody_removed_is_named_and_not_made_anew(
    database: Database, revision: str, said: str, missing: str
) -> None:
    await migrate(database)
    await execute(database, said)
    if revision not in REVISIONS:  # a newer one made the tables, and said that this one may use them
        if "stentor_schema" in said:
            return
        await execute(database, f"UPDATE {VERSION_TABLE} SET version_num = '{revision}'")
    before = await dump(database)
    for refused in (check, migrate):
        with pytest.raises(StoreOutdated, match=f"^Somebody removed {missing} from .*; restore it from a backup.$"):
            await refused(database)
    assert await dump(database) == before


async def test_of_much_that_is_missing_some_is_named(database: Database) -> None:
    await migrate(database)
    for each in reversed(METADATA.sorted_tables[1:]):
        await execute(database, f"DROP TABLE {each.name}")
    with pytest.raises(StoreOutdated, match=r"^Somebody removed the table .*, the table \w+ and \d+ more from "):
        await check(database)


def up_to(connection: Connection, revision: str) -> None:
    """What the Stentor did whose last revision this was."""
    config = Config(attributes={"connection": connection, "version_table": VERSION_TABLE})
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, revision)


async def test_an_upgrade_is_refused_where_something_is_missing(database: Database) -> None:
    await database.write(lambda connection: connection.run_sync(up_to, REVISIONS[-2]))
    await execute(database, "ALTER TABLE stentor_batches DROP COLUMN edition")
    before = await dump(database)
    with pytest.raises(StoreOutdated, match=r"^Somebody removed the column stentor_batches\.edition from "):
        await migrate(database)
    assert await dump(database) == before


async def test_what_was_queued_before_there_were_messages_goes_on(database: Database) -> None:
    await database.write(lambda connection: connection.run_sync(upgrade_to, "0007"))
    blob = "x'78'" if database.dialect == SQLITE else "'x'"
    campaign = f"'c1', 'News', 'running', {blob}, {blob}, 'c1', 1.0"
    await execute(
        database,
        "INSERT INTO stentor_campaigns (id, title, state, content, audience, collapse_id, created_at)"
        f" VALUES ({campaign})",
    )
    await execute(
        database,
        "INSERT INTO stentor_tasks (id, lane, campaign_id, ready_at) VALUES ('c1/apns/ios/0', 'apns/ios', 'c1', 2.0)",
    )
    await execute(database, f"INSERT INTO stentor_payloads (id, payload) VALUES ('c1/apns/ios/0', {blob})")
    await migrate(database)
    (found,) = await database.ask(campaigns.newest)
    assert (found.id, found.kind) == ("c1", CampaignKind.CAMPAIGN)
    queue = SqlQueue(database)
    await queue.settle(put=[Task(id="m1/0", lane="apns/ios", campaign_id="m1", payload=b"x", urgent=True)])
    taken = await queue.take("apns/ios", 10, 30.0)
    assert [(lease.campaign_id, lease.urgent) for lease in taken] == [("m1", True), ("c1", False)]


def upgrade_to(connection: Connection, revision: str) -> None:
    """The tables as a Stentor made them whose last revision this was."""
    config = Config(attributes={"connection": connection, "version_table": VERSION_TABLE})
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, revision)


async def test_tables_that_do_not_say_their_version_are_left_alone(database: Database) -> None:
    await migrate(database)
    await execute(database, f"DELETE FROM {VERSION_TABLE}")
    said = []
    for refused in (check, migrate):
        with pytest.raises(
            StoreOutdated, match=rf"as {VERSION_TABLE} was emptied; restore it from a backup, or, if"
        ) as e:
            await refused(database)
        said.append(str(e.value))
    await execute(database, said[-1].split("`")[1])
    await check(database)
    await execute(database, f"DELETE FROM {VERSION_TABLE}")
    await execute(database, "DROP TABLE stentor_receipts")
    with pytest.raises(StoreOutdated, match=rf"as {VERSION_TABLE} was emptied; restore it from a backup\.$"):
        await migrate(database)
    await execute(database, f"DROP TABLE {VERSION_TABLE}")
    with pytest.raises(StoreOutdated, match=rf"as {VERSION_TABLE} was removed; restore it from a backup\.$"):
        await migrate(database)


async def test_a_database_without_tables_is_told_to_init(database: Database) -> None:
    with pytest.raises(
        StoreOutdated, match=r"no tables of Stentor's yet in .*; run `stentor init --upgrade`, which makes them\.$"
    ):
        await check(database)


async def test_older_tables_are_told_to_upgrade(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await migrate(database)
    monkeypatch.setattr("stentor.store.migrate.REVISIONS", (*REVISIONS, "9999"))
    with pytest.raises(StoreOutdated, match="older Stentor; run `stentor init --upgrade`"):
        await check(database)


@pytest.mark.parametrize(
    "said",
    ["UPDATE stentor_schema SET compatible = '9998'", "DELETE FROM stentor_schema", "DROP TABLE stentor_schema"],
    ids=["only newer ones", "nothing", "no table"],
)
async def test_newer_tables_are_left_alone_unless_they_say_otherwise(database: Database, said: str) -> None:
    await migrate(database)
    await execute(database, f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    await execute(database, said)
    for refused in (check, migrate):
        with pytest.raises(StoreOutdated, match=r"newer Stentor \(revision 9999.*this Stentor is too old, upgrade it"):
            await refused(database)


async def test_an_older_stentor_uses_tables_that_a_newer_one_only_added_to(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while a cluster is upgraded: a newer role migrates, an older one restarts."""
    await migrate(database)
    await a_newer_one_migrates(database, monkeypatch, compatible_with=REVISIONS[-1])
    before = await dump(database)
    runs = count_runs(monkeypatch)
    await check(database)
    await migrate(database)
    assert not runs
    assert await dump(database) == before
    async with database.read() as connection:
        assert await connection.scalar(text("SELECT compatible FROM stentor_schema")) == REVISIONS[-1]
        assert await connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) == "9999"


async def test_an_older_stentor_is_refused_where_a_newer_one_changed_what_it_needs(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate(database)
    await a_newer_one_migrates(database, monkeypatch, compatible_with="9999")
    with pytest.raises(StoreOutdated, match="too old, upgrade it"):
        await check(database)


async def a_newer_one_migrates(database: Database, monkeypatch: pytest.MonkeyPatch, *, compatible_with: str) -> None:
    """What `migrate` of a Stentor with one more revision does, which adds a column."""

    def add(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE stentor_lanes ADD COLUMN mood TEXT"))
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))

    with monkeypatch.context() as newer:
        newer.setattr(migrations, "REVISIONS", (*REVISIONS, "9999"))
        newer.setattr(migrations, "COMPATIBLE_WITH", compatible_with)
        newer.setattr(migrations, "_run_alembic", add)
        await migrate(database)


@asynccontextmanager
async def a_user(server: Postgres, name: str, url: str) -> AsyncIterator[Database]:
    """The same database for a user who may do nothing in particular."""
    await server.execute(f"CREATE ROLE {name} LOGIN")
    parts = urlsplit(url)
    database = Database.open(urlunsplit(parts._replace(netloc=f"{name}@")))
    try:
        yield database
    finally:
        await database.aclose()
        owner = Database.open(url)
        await execute(owner, f"DROP OWNED BY {name}")
        await owner.aclose()
        await server.execute(f"DROP ROLE {name}")


async def test_a_user_who_may_not_create_tables_is_told_what_to_grant(postgres: str, postgres_server: Postgres) -> None:
    async with a_user(postgres_server, "newcomer", postgres) as database:
        with pytest.raises(InvalidConfiguration, match="GRANT CREATE ON SCHEMA public TO newcomer"):
            await migrate(database)
        owner = Database.open(postgres)
        await execute(owner, "GRANT CREATE ON SCHEMA public TO newcomer")
        await migrate(database)
        await check(owner)
        await owner.aclose()


async def test_a_user_without_a_schema_is_told_so(postgres: str, postgres_server: Postgres) -> None:
    owner = Database.open(postgres)
    await execute(owner, "REVOKE ALL ON SCHEMA public FROM PUBLIC")
    async with a_user(postgres_server, "stranger", postgres) as database:
        with pytest.raises(InvalidConfiguration, match="GRANT USAGE, CREATE ON SCHEMA public TO stranger"):
            await migrate(database)
    await owner.aclose()


async def test_only_the_owner_of_older_tables_may_upgrade_them(postgres: str, postgres_server: Postgres) -> None:
    owner = Database.open(postgres)
    await migrate(owner)
    async with a_user(postgres_server, "helper", postgres) as database:
        await execute(owner, f"GRANT SELECT ON {VERSION_TABLE} TO helper")
        await execute(owner, "GRANT CREATE ON SCHEMA public TO helper")
        await migrate(database)  # there is nothing to do
        await execute(owner, f"UPDATE {VERSION_TABLE} SET version_num = '{REVISIONS[0]}'")
        with pytest.raises(InvalidConfiguration, match=r"belong to the user postgres.*--upgrade` once as postgres"):
            await migrate(database)
        with pytest.raises(StoreOutdated, match="older Stentor"):
            await check(database)
    await owner.aclose()


async def test_a_version_table_without_a_version_is_no_migrated_database(database: Database) -> None:
    await execute(database, f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL)")
    with pytest.raises(StoreOutdated, match="run `stentor init --upgrade`"):
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
