"""The store's database under trouble: locked, full, gone and back, refused; and what its transactions promise.

No test waits for time to pass: where the database pauses before it tries again, the test ends the trouble.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import stat
import threading
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop
from sqlalchemy import String, func, select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.errors import InvalidConfiguration, StoreOutdated, StoreRefused, StoreUnavailable, StoreUnusable
from stentor.settings import sqlite_url
from stentor.store import database as stores
from stentor.store import postgresql_driver, sqlite_driver
from stentor.store.database import POSTGRESQL, SQLITE, Database, insert_or_ignore
from stentor.store.migrate import check, migrate
from stentor.store.postgresql_driver import KEEPALIVES, keep_alive
from stentor.store.sqlite_driver import SqliteConnection
from stentor.store.tables import METADATA, batches, lanes
from stentor.store.text import StorableText, storable
from stentor.testing.blackhole import BlackHole
from stentor.testing.ports import HeldPort
from stentor.testing.postgres import Postgres

Open = Callable[..., Database]
SECRET = "hunter2-hunter2"


@pytest.fixture
async def opened(database_url: str) -> AsyncIterator[Open]:
    """Opens `database_url`, and closes it at the end."""
    databases: list[Database] = []

    def open_it(connections: int = 4, patience: float = 20.0) -> Database:
        databases.append(Database.open(database_url, connections=connections, patience=patience))
        return databases[-1]

    yield open_it
    for database in databases:
        await database.aclose()


@pytest.fixture
async def database(opened: Open) -> Database:
    database = opened()
    await migrate(database)
    return database


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Database]:
    """A SQLite database with a single connection, so that a PRAGMA holds for all that is done."""
    database = Database.open(f"sqlite:///{tmp_path / 'stentor.db'}", connections=1)
    await migrate(database)
    yield database
    await database.aclose()


def put(lane: str, problem: str | None = None) -> Callable[[AsyncConnection], Awaitable[None]]:
    async def change(connection: AsyncConnection) -> None:
        await connection.execute(insert_or_ignore(connection, lanes), {"lane": lane, "problem": problem})

    return change


async def count(connection: AsyncConnection) -> int:
    return (await connection.execute(select(func.count()).select_from(lanes))).scalar_one()


async def counted(database: Database) -> int:
    async with database.read() as connection:
        return await count(connection)


async def pragma(database: Database, statement: str) -> None:
    async with database.read() as connection:
        await connection.exec_driver_sql(f"PRAGMA {statement}")


def at_the_first_pause(monkeypatch: pytest.MonkeyPatch, do: Callable[[], Awaitable[None]]) -> list[float]:
    """Have something done when the database first waits. Returns the list of its pauses."""
    sleep, pauses = asyncio.sleep, []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 1:
            await do()
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", pause)
    return pauses


# Opening


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://me:{SECRET}@host/db",
        f"postgresql+psycopg://me:{SECRET}@host/db",
        f"postgresql://me:{SECRET}@host",
        f"me:{SECRET}@host",
        f"postgresql://me:{SECRET}@host:port/db",
        "sqlite://",
        "sqlite:///:memory:",
        f"sqlite:///stentor.db?key={SECRET}",
        "",
    ],
)
def test_a_url_of_another_form_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        Database.open(url)
    assert "`sqlite:///path`" in str(caught.value)
    assert "`postgresql://user:password@host/database`" in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


async def test_opening_touches_nothing(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'none' / 'stentor.db'}")
    assert database.dialect == SQLITE
    await database.aclose()
    assert not os.listdir(tmp_path)


async def test_no_password_is_shown() -> None:
    database = Database.open(f"postgresql://me:{SECRET}@127.0.0.1:1/app", patience=0.0)
    assert database.dialect == POSTGRESQL
    assert "app on 127.0.0.1" in repr(database)
    with pytest.raises(StoreUnavailable, match="is the server running") as caught:
        await counted(database)
    assert SECRET not in repr(database) + "".join(traceback.format_exception(caught.value))
    await database.aclose()


# Transactions


async def test_what_is_written_is_read_by_others(database: Database, opened: Open) -> None:
    await database.write(put("a"))
    await database.write(put("a"))
    assert await database.write(count) == 1
    assert await counted(opened()) == 1


async def test_a_change_that_raises_leaves_nothing(database: Database) -> None:
    async def change(connection: AsyncConnection) -> None:
        await put("a")(connection)
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(change)
    assert await counted(database) == 0


async def test_a_reader_keeps_its_snapshot_and_holds_up_no_writer(database: Database, opened: Open) -> None:
    await database.write(put("a"))
    async with database.read() as reader:
        await asyncio.gather(database.write(put("b")), opened().write(put("c")))
        assert await count(reader) == 1
        await database.write(put("d"))
        assert await count(reader) == 1
    assert await counted(database) == 4


async def test_writers_of_several_programs_take_turns(database: Database, opened: Open) -> None:
    other = opened()
    await database.write(put("sum", "0"))

    async def add(connection: AsyncConnection) -> None:
        row = await connection.execute(select(lanes.c.problem).with_for_update())
        await connection.execute(lanes.update().values(problem=str(int(row.scalar_one()) + 1)))

    await asyncio.gather(*(one.write(add) for one in (database, other) for _ in range(20)))
    async with database.read() as connection:
        assert await connection.scalar(select(lanes.c.problem)) == "40"


async def test_a_mistake_leaves_as_it_came_and_shows_no_values(database: Database) -> None:
    await database.write(put("a"))

    async def change(connection: AsyncConnection) -> None:
        await connection.execute(lanes.insert(), {"lane": "a", "problem": SECRET})

    with pytest.raises(IntegrityError) as caught:
        await database.write(change)
    assert SECRET not in str(caught.value)


async def test_a_missing_table_or_column_means_another_version(database: Database) -> None:
    for statement in ("SELECT * FROM stentor_future", "SELECT future FROM stentor_lanes"):
        with pytest.raises(StoreOutdated, match="run `stentor init --upgrade`"):
            async with database.read() as connection:
                await connection.execute(text(statement))
        with pytest.raises(StoreOutdated, match="run `stentor init --upgrade`"):
            await database.write(lambda connection, statement=statement: connection.execute(text(statement)))  # type: ignore[misc]


async def test_a_cancelled_write_leaves_nothing_and_frees_its_connection(opened: Open) -> None:
    database = opened(connections=1)
    await migrate(database)
    inside, never = asyncio.Event(), asyncio.Event()

    async def change(connection: AsyncConnection) -> None:
        await put("a")(connection)
        inside.set()
        await never.wait()

    task = asyncio.create_task(database.write(change))
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await counted(database) == 0
    await database.write(put("b"))
    assert await counted(database) == 1


async def test_no_free_connection_is_said(opened: Open) -> None:
    database = opened(connections=1, patience=0.01)
    async with database.read():
        with pytest.raises(StoreUnavailable, match=r"connections to .* are in use"):
            await database.write(count)


# SQLite


def lock(path: Path) -> sqlite3.Connection:
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    return other


async def test_a_lock_is_waited_for(sqlite: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = lock(tmp_path / "stentor.db")

    async def let_go() -> None:
        other.execute("COMMIT")

    pauses = at_the_first_pause(monkeypatch, let_go)
    await sqlite.write(put("a"))
    other.close()
    assert pauses
    assert await counted(sqlite) == 1


async def test_a_question_that_nobody_waits_for_is_given_up(sqlite: Database, tmp_path: Path) -> None:
    """It would hold up whoever closes the database, and with that the end of the program."""
    begun = threading.Event()
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"

    async def count_endlessly() -> None:
        async with sqlite.read() as connection:
            raw = (await connection.get_raw_connection()).driver_connection
            assert isinstance(raw, SqliteConnection)
            await raw.run(lambda: raw.raw.set_progress_handler(begun.set, 1000))
            await connection.exec_driver_sql(endless)

    counting = asyncio.create_task(count_endlessly())
    assert await asyncio.to_thread(begun.wait, 60.0)
    counting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await counting
    await sqlite.write(put("a"))
    assert await counted(sqlite) == 1


async def test_a_lock_that_stays_is_said(sqlite: Database, tmp_path: Path) -> None:
    impatient = Database.open(f"sqlite:///{tmp_path / 'stentor.db'}", patience=0.0)
    other = lock(tmp_path / "stentor.db")
    with pytest.raises(StoreUnavailable, match=r"stentor\.db is locked by another program"):
        await impatient.write(put("a"))
    assert await counted(impatient) == 0  # reading goes on
    other.close()
    await impatient.aclose()


async def test_a_full_disk_is_waited_for(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await pragma(sqlite, "max_page_count=1")  # as many as there are

    async def free_space() -> None:
        await pragma(sqlite, "max_page_count=100000")

    pauses = at_the_first_pause(monkeypatch, free_space)
    await sqlite.write(put("a", problem="x" * 100_000))
    assert pauses
    assert await counted(sqlite) == 1


async def test_a_disk_that_stays_full_is_said_and_changes_nothing(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'stentor.db'}", connections=1, patience=0.0)
    await migrate(database)
    await pragma(database, "max_page_count=1")
    with pytest.raises(StoreUnavailable, match=r"disk is full\. Free some space\.$"):
        await database.write(put("a", problem="x" * 100_000))
    assert await counted(database) == 0
    await database.aclose()


async def test_a_read_only_file_is_said_at_once(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing() -> None: ...

    pauses = at_the_first_pause(monkeypatch, nothing)
    await pragma(sqlite, "query_only=ON")  # root may write to any file; to SQLite the two are the same
    with pytest.raises(StoreUnavailable, match=r"cannot be written to: .* may not write to the file or its folder"):
        await sqlite.write(put("a"))
    assert not pauses


async def test_a_missing_folder_is_said_at_once(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'none' / 'stentor.db'}")
    with pytest.raises(StoreUnavailable, match="cannot be opened: check that its folder exists"):
        await migrate(database)
    await database.aclose()


@pytest.mark.parametrize("mode", ["wal", "delete"])
async def test_what_cannot_be_written_to_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """In whatever journal mode: a backup by VACUUM INTO is not in the store's own."""
    made = Database.open(f"sqlite:///{tmp_path / 'made.db'}")
    await migrate(made)
    await made.write(put("a"))
    await made.aclose()
    with closing(sqlite3.connect(tmp_path / "made.db")) as connection:
        connection.execute(f"VACUUM INTO '{tmp_path / 'copy.db'}'")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        assert connection.execute(f"PRAGMA journal_mode={mode}").fetchone() == (mode,)
    uri = sqlite_driver._uri
    # Root may write to any file; to SQLite the two are the same.
    monkeypatch.setattr(sqlite_driver, "_uri", lambda path: uri(path).replace("mode=rw", "mode=ro"))
    database = Database.open(f"sqlite:///{tmp_path / 'copy.db'}", patience=0.0)
    await migrate(database)
    await check(database)
    assert await counted(database) == 1
    with pytest.raises(StoreUnusable, match="cannot be written to"):
        await database.write(put("b"))
    await database.aclose()


@pytest.mark.parametrize("foreign", [False, True])
async def test_a_file_in_a_folder_that_cannot_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, foreign: bool
) -> None:
    codes = [sqlite3.SQLITE_READONLY_DIRECTORY, sqlite3.SQLITE_CANTOPEN]

    def refuse(*_: object, **__: object) -> None:
        raise SqliteRefusal(codes.pop())

    monkeypatch.setattr(sqlite3, "connect", refuse)
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.R_OK)
    path = tmp_path / "store.db"
    path.touch()
    while codes:
        database = Database.open(f"sqlite:///{path}", patience=0.0, foreign=foreign)
        with pytest.raises(StoreUnusable, match=r"store\.db is in a folder that this user may not write to.*copy it"):
            await database.rows(text("SELECT 1"))
        await database.aclose()


class SqliteRefusal(sqlite3.OperationalError):
    """As SQLite's driver raises it."""

    def __init__(self, code: int, text: str = "unable to open database file") -> None:
        super().__init__(text)
        self.sqlite_errorcode = code


async def test_a_program_that_stands_still_with_a_lock_is_waited_for(tmp_path: Path) -> None:
    """SQLite gives up ten seconds after it met a read mark that somebody holds, and says `locking protocol`."""
    database = Database.open(f"sqlite:///{tmp_path / 'stentor.db'}", patience=30.0)
    await migrate(database)
    refusals = [SqliteRefusal(sqlite3.SQLITE_PROTOCOL, "locking protocol")] * 3

    async def change(connection: AsyncConnection) -> None:
        if refusals:
            raise OperationalError("INSERT", {}, refusals.pop())
        await put("a")(connection)

    await database.write(change)
    assert await counted(database) == 1
    await database.aclose()
    impatient = Database.open(f"sqlite:///{tmp_path / 'stentor.db'}", patience=0.0)
    refusals = [SqliteRefusal(sqlite3.SQLITE_PROTOCOL, "locking protocol")]
    with pytest.raises(StoreUnavailable, match=r"stentor\.db is locked by a program that stands still"):
        await impatient.write(change)
    await impatient.aclose()


async def test_a_file_of_somebody_else_s_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    for path, said in (
        (
            tmp_path / "app.db",
            r"app\.db isn't there\. Make it, or correct the path .* from the folder of stentor\.toml",
        ),
        (tmp_path / "none" / "app.db", r"app\.db isn't there"),
        (tmp_path, r"cannot be opened: check that it is a file, and that this user may read it"),
    ):
        database = Database.open(f"sqlite:///{path}", foreign=True)
        with pytest.raises(StoreUnusable, match=said):
            await database.rows(text("SELECT 1"))
        await database.aclose()
    assert os.listdir(tmp_path) == []


async def test_another_kind_of_file_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("something else entirely\n" * 100)
    database = Database.open(f"sqlite:///{tmp_path / 'notes.txt'}")
    with pytest.raises(InvalidConfiguration, match=r"notes\.txt is another kind of file"):
        await migrate(database)
    await database.aclose()


@pytest.mark.parametrize("name", ["wh?at", "feature%2Ffoo", "a#b", "a b", "/over", os.fsdecode(b"no text \xff")])
async def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    url = sqlite_url(f"{tmp_path}/{name}")
    ours, theirs = Database.open(url), Database.open(url, foreign=True)
    await migrate(ours)
    await ours.write(put("a"))
    assert await counted(theirs) == 1
    assert (tmp_path / name.strip("/")).exists()
    assert len({each.removesuffix("-wal").removesuffix("-shm") for each in os.listdir(tmp_path)}) == 1
    await ours.aclose()
    await theirs.aclose()


def rights(folder: Path) -> dict[str, int]:
    return {each.name: stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}


async def test_the_file_and_its_log_are_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        database = Database.open(f"sqlite:///{tmp_path / 'stentor.db'}")
        await migrate(database)
        await database.write(put("a"))
        modes = rights(tmp_path)
        await database.aclose()
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(["stentor.db", "stentor.db-wal", "stentor.db-shm"], 0o600)


async def test_the_rights_that_a_file_has_are_left(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'stentor.db'}")
    await migrate(database)
    await database.aclose()
    os.chmod(tmp_path / "stentor.db", 0o660)
    await migrate(database)
    modes = rights(tmp_path)
    await database.aclose()
    assert modes == dict.fromkeys(["stentor.db", "stentor.db-wal", "stentor.db-shm"], 0o660)


async def test_commits_are_synced_and_readers_do_not_block(sqlite: Database) -> None:
    async with sqlite.read() as connection:
        settings = {
            name: (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 0}


# PostgreSQL


async def test_a_server_that_restarts_is_waited_for(
    postgres: str, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database.open(postgres)
    await migrate(database)

    async def start() -> None:
        postgres_server.start()

    for number in (1, 2):  # with connections to the old server in the pool, as they are in a process that runs
        postgres_server.stop()
        with monkeypatch.context() as patched:
            pauses = at_the_first_pause(patched, start)
            await database.write(put(f"lane {number}"))
        assert pauses
        postgres_server.stop()
        with monkeypatch.context() as patched:
            pauses = at_the_first_pause(patched, start)
            assert await counted(database) == number
        assert pauses
    await database.aclose()


async def test_an_answer_that_takes_too_long_is_called_that(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "CONNECT_WITHIN", 2.0)
    database = Database.open(postgres, patience=0.0)
    with pytest.raises(StoreUnavailable, match=r"took longer than 2 s to answer; is it overloaded") as caught:
        await database.rows(text("SELECT pg_sleep(30)"))
    assert "reached" not in str(caught.value)
    assert await database.ask(lambda connection: connection.scalar(text("SELECT 1"))) == 1
    await database.aclose()


@pytest.mark.parametrize("how", [{"foreign": True}, {"unhurried": True}])
async def test_it_may_take_as_long_as_it_takes(
    postgres: str, monkeypatch: pytest.MonkeyPatch, how: dict[str, bool]
) -> None:
    monkeypatch.setattr(stores, "CONNECT_WITHIN", 2.0)
    database = Database.open(postgres, patience=0.0, **how)
    assert len(await database.rows(text("SELECT pg_sleep(2.5)"))) == 1
    await database.aclose()


async def test_whoever_waits_to_be_let_in_can_say_for_what() -> None:
    with BlackHole("127.0.0.1") as hole:
        address = f"127.0.0.1:{hole.address[1]}"
        database = Database.open(f"postgresql://user:secret@{address}/db", patience=60.0)
        assert database.hindrance(0.0) is None
        asking = asyncio.create_task(database.rows(text("SELECT 1")))
        await asyncio.sleep(0)
        while database.hindrance(0.1) is None:  # noqa: ASYNC110 - it has no event for that
            await asyncio.sleep(0.01)
        assert database.hindrance(0.1) == f"The PostgreSQL database db on {address} doesn't accept connections yet."
        assert database.hindrance(3600.0) is None
        asking.cancel()
        await asyncio.wait([asking])
        assert database.hindrance(0.0) is None
        await database.aclose()


async def test_whoever_was_let_in_waits_for_nothing(database: Database) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(_: AsyncConnection) -> None:
        begun.set()
        await go_on.wait()

    for operation in (database.ask, database.write):
        begun.clear()
        go_on.clear()
        waiting = asyncio.create_task(operation(slowly))
        await begun.wait()
        assert database.hindrance(0.0) is None
        go_on.set()
        await waiting


async def test_why_nobody_is_let_in_is_said_while_it_is_tried_again() -> None:
    port = HeldPort()
    database = Database.open(f"postgresql://user:secret@127.0.0.1:{port.number}/db", patience=60.0)
    asking = asyncio.create_task(database.rows(text("SELECT 1")))
    while "yet" in (found := database.hindrance(0.05) or "yet"):  # noqa: ASYNC110 - likewise
        await asyncio.sleep(0.01)
    assert "127.0.0.1" in found
    assert "secret" not in found
    asking.cancel()
    await asyncio.wait([asking])
    await database.aclose()
    port.close()


async def test_a_server_that_never_lets_anybody_in_is_called_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "CONNECT_WITHIN", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        database = Database.open(f"postgresql://me@127.0.0.1:{server.getsockname()[1]}/app", patience=0.0)
        with pytest.raises(
            StoreUnavailable, match=r"accepted no connection within 0\.1 s; is the server running, is it over"
        ):
            await counted(database)
        await database.aclose()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_server_whose_machine_is_gone_is_noticed(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """By the system, which asks for it while we wait for an answer."""

    async def keep(port: int) -> dict[int, int]:
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, "127.0.0.1", port)
        keep_alive(SimpleNamespace(_transport=transport))
        own = transport.get_extra_info("socket")
        with socket.fromfd(own.fileno(), own.family, own.type) as same:
            kept = same.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            times = same.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT)
        transport.close()
        return {kept: times}

    with socket.create_server(("127.0.0.1", 0)) as server, asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(keep(server.getsockname()[1])) == {1: KEEPALIVES}


@pytest.mark.parametrize("kind", [{}, {"foreign": True}, {"unhurried": True}])
async def test_so_is_that_of_any_connection(
    postgres: str, monkeypatch: pytest.MonkeyPatch, kind: dict[str, bool]
) -> None:
    kept: list[object] = []
    monkeypatch.setattr(postgresql_driver, "keep_alive", kept.append)
    database = Database.open(postgres, **kind)
    assert [tuple(row) for row in await database.rows(select(1))] == [(1,)]
    assert len(kept) == 1
    await database.aclose()


async def test_a_server_that_stays_away_is_said(postgres: str, postgres_server: Postgres) -> None:
    database = Database.open(postgres, patience=0.05)
    await migrate(database)
    postgres_server.stop()
    try:
        for trouble in (database.write(put("a")), counted(database)):
            with pytest.raises(StoreUnavailable, match="cannot be reached; is the server running"):
                await trouble
    finally:
        postgres_server.start()
    await database.write(put("b"))
    assert await counted(database) == 1
    await database.aclose()


async def test_a_connection_lost_within_a_change_means_another_try(postgres: str, postgres_server: Postgres) -> None:
    database = Database.open(postgres)
    await migrate(database)
    tries = []

    async def change(connection: AsyncConnection) -> None:
        tries.append(1)
        await put(f"lane {len(tries)}")(connection)
        if len(tries) == 1:
            process = await connection.scalar(text("SELECT pg_backend_pid()"))
            await postgres_server.execute(f"SELECT pg_terminate_backend({process}, 5000)")
        await count(connection)

    await database.write(change)
    async with database.read() as connection:
        assert (await connection.scalars(select(lanes.c.lane))).all() == ["lane 2"]
    await database.aclose()


async def test_a_connection_lost_within_a_read_is_said(postgres: str, postgres_server: Postgres) -> None:
    database = Database.open(postgres)

    async def lose() -> None:
        async with database.read() as connection:
            process = await connection.scalar(text("SELECT pg_backend_pid()"))
            await postgres_server.execute(f"SELECT pg_terminate_backend({process}, 5000)")
            await connection.scalar(text("SELECT 1"))

    with pytest.raises(StoreUnavailable, match=r"is being stopped or started|cannot be reached"):
        await lose()
    await database.aclose()


async def test_a_question_is_asked_again_when_its_connection_is_lost(postgres: str, postgres_server: Postgres) -> None:
    database = Database.open(postgres)
    await migrate(database)
    await database.write(put("a"))
    tries = []

    async def question(connection: AsyncConnection) -> int:
        tries.append(await connection.scalar(text("SELECT pg_backend_pid()")))
        if len(tries) == 1:
            await postgres_server.execute(f"SELECT pg_terminate_backend({tries[0]}, 5000)")
        return await count(connection)

    assert await database.ask(question) == 1
    assert len(set(tries)) == 2
    await database.aclose()


@pytest.mark.parametrize("column", ["accepted", "planned_at", "recipients"])
async def test_a_value_that_the_database_cannot_hold_is_refused_and_not_told(database: Database, column: str) -> None:
    row = {"id": "b", "campaign_id": "c", "lane": "apns/ios", "size": 1, "pending": 1, "accepted": 0, "planned_at": 0.0}
    value: dict[str, Any] = {"accepted": 2**70, "planned_at": [SECRET], "recipients": [SECRET]}
    row |= {"recipients": b"", column: value[column]}
    with pytest.raises(StoreRefused, match="cannot hold what it was given") as refused:
        await database.write(lambda connection: connection.execute(batches.insert(), row))
    assert str(2**70) not in str(refused.value)
    assert SECRET not in str(refused.value)


async def test_a_value_that_is_beyond_a_limit_of_the_server_is_refused_as_well(postgres: str) -> None:
    database = Database.open(postgres)
    await migrate(database)
    packs_badly = "".join(map(chr, range(0x4E00, 0x4E00 + 9000)))  # an entry of an index has at most 2,704 bytes
    row = {"id": packs_badly, "campaign_id": "c", "lane": "apns/ios", "size": 1, "pending": 1, "planned_at": 0.0}
    with pytest.raises(StoreRefused, match="cannot hold what it was given: index row"):
        await database.write(lambda connection: connection.execute(batches.insert(), row | {"recipients": b""}))
    await database.aclose()


@pytest.mark.parametrize("said", ["a\0b", "a\ud800b", "\U0001f49b\0"])
async def test_text_that_no_database_holds_is_made_storable_and_found_again(database: Database, said: str) -> None:
    await database.write(lambda connection: connection.execute(lanes.insert(), {"lane": said, "problem": said}))
    (row,) = await database.rows(select(lanes).where(lanes.c.lane == said))
    assert row.lane == row.problem == storable(said)
    assert "\ufffd" in row.lane
    assert row.lane.encode().decode().isprintable()


def test_every_column_of_text_makes_it_storable() -> None:
    columns = [column for table in METADATA.sorted_tables for column in table.c]
    assert [str(column) for column in columns if isinstance(column.type, String)] == []
    assert any(isinstance(column.type, StorableText) for column in columns)


async def test_two_that_deadlock_both_get_through(postgres: str) -> None:
    database = Database.open(postgres)
    await migrate(database)
    await database.write(put("a"))
    await database.write(put("b"))
    both_hold_one = asyncio.Barrier(2)
    tries = []

    async def lock_both(connection: AsyncConnection, first: str, second: str) -> None:
        tries.append(first)
        await connection.execute(text("SET LOCAL deadlock_timeout = '10ms'"))
        await connection.execute(lanes.update().where(lanes.c.lane == first).values(problem=first))
        if len(tries) <= 2:
            await both_hold_one.wait()
        await connection.execute(lanes.update().where(lanes.c.lane == second).values(problem=first))

    await asyncio.gather(
        database.write(lambda connection: lock_both(connection, "a", "b")),
        database.write(lambda connection: lock_both(connection, "b", "a")),
    )
    assert len(tries) == 3
    await database.aclose()


async def test_a_wrong_password_user_or_database_is_said_at_once(postgres_server: Postgres) -> None:
    await postgres_server.add_user("picky", SECRET)
    right = Database.open(postgres_server.url("postgres", user="picky", password=SECRET))
    async with right.read() as connection:
        assert await connection.scalar(text("SELECT current_user")) == "picky"
    await right.aclose()
    for url, problem in (
        (postgres_server.url("postgres", user="picky", password=f"{SECRET}!"), "refuses the password"),
        (postgres_server.url("postgres", user="nobody-at-all"), "refuses the user"),
        (postgres_server.url("none_of_that_name"), "doesn't exist; create it"),
    ):
        wrong = Database.open(url)
        with pytest.raises(InvalidConfiguration, match=problem) as caught:
            await migrate(wrong)
        assert SECRET not in "".join(traceback.format_exception(caught.value))
        await wrong.aclose()


async def test_a_user_without_rights_is_said(postgres: str, postgres_server: Postgres) -> None:
    owner = Database.open(postgres)
    await migrate(owner)
    await owner.aclose()
    await postgres_server.execute("CREATE ROLE guest LOGIN")
    guest = Database.open(postgres.replace("postgres:@", "guest:@"))
    with pytest.raises(StoreUnavailable, match="GRANT it what it needs"):
        await guest.write(put("a"))
    await guest.aclose()


async def test_tables_that_change_beneath_cached_statements_do_no_harm(postgres: str) -> None:
    database = Database.open(postgres, connections=2)
    await migrate(database)
    await database.write(put("a"))
    statement = text("SELECT * FROM stentor_lanes")
    async with database.read() as one, database.read() as two:  # both connections know the statement now
        await one.execute(statement)
        await two.execute(statement)
    await database.write(lambda connection: connection.execute(text("ALTER TABLE stentor_lanes ADD COLUMN more TEXT")))
    rows = await asyncio.gather(*(database.write(lambda connection: connection.execute(statement)) for _ in range(4)))
    assert [len(row.keys()) for row in rows] == [len(lanes.columns) + 1] * 4
    await database.aclose()
