"""Connections to PostgreSQL: through a pooler, and with what a URL asks for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.errors import InvalidConfiguration, StoreUnavailable
from stentor.store.database import Database, insert_or_ignore
from stentor.store.migrate import check, migrate
from stentor.store.tables import lanes
from stentor.testing.ports import LOOPBACK, HeldPort
from tests.integration.asking import asking
from tests.integration.store.pooler import pooler

_COUNT = sa.text("SELECT count(*), CAST('{\"a\": 1}' AS jsonb) FROM stentor_lanes WHERE lane LIKE :begins")


@asynccontextmanager
async def opened(url: str, **settings: float) -> AsyncIterator[Database]:
    database = Database.open(url, **{"patience": 20.0, **settings})  # type: ignore[arg-type]
    try:
        yield database
    finally:
        await database.aclose()


async def test_a_pooler_that_gives_out_connections_for_a_transaction_each(postgres: str) -> None:
    """Several at once read and write through it, each with statements that the others run, too."""
    async with pooler(postgres) as url, opened(url, connections=4) as database:
        await migrate(database)
        await check(database)

        async def work(number: int) -> None:
            for turn in range(10):
                rows = [{"lane": f"{number}/{turn}-{each}"} for each in range(5)]

                async def change(connection: AsyncConnection, rows: list[dict[str, str]] = rows) -> None:
                    await connection.execute(lanes.insert(), rows[:1])
                    await connection.execute(lanes.insert(), rows[1:])

                await database.write(change)
                found = (await database.rows(_COUNT, {"begins": f"{number}/%"}))[0]
                assert tuple(found) == (5 * (turn + 1), {"a": 1})

        async with asyncio.TaskGroup() as group:
            for number in range(6):
                group.create_task(work(number))


async def test_one_statement_goes_to_the_server_alone(postgres: str) -> None:
    """Neither begun nor ended by words of their own: that would be there and back three times."""
    async with opened(postgres) as database:
        await migrate(database)
        with asking() as asked:
            await database.write_one(insert_or_ignore(database, lanes).values(lane="apns/ios"))
            await database.write_one(insert_or_ignore(database, lanes).values(lane="apns/ios"))
            ((lane,),) = await database.rows(sa.select(lanes.c.lane))
        assert (lane, len(asked.statements), asked.transactions) == ("apns/ios", 3, 0)


async def test_behind_a_pooler_it_is_a_transaction(postgres: str) -> None:
    async with pooler(postgres) as url, opened(url) as database:
        await migrate(database)
        with asking() as asked:
            made = insert_or_ignore(database, lanes).values(lane="apns/ios").returning(lanes.c.lane)
            assert [tuple(row) for row in await database.write_one(made)] == [("apns/ios",)]
            await database.rows(sa.select(lanes.c.lane))
        assert (len(asked.statements), asked.transactions) == (2, 2)


async def test_what_is_somebody_else_s_is_read_where_nothing_can_be_written(postgres: str) -> None:
    async with opened(postgres) as database:
        await migrate(database)
    database = Database.open(postgres, foreign=True, patience=0.0)
    try:
        await database.rows(sa.text("SELECT 1"))  # with it the database is reached
        with pytest.raises(StoreUnavailable, match="cannot be written to"):
            await database.rows(sa.text("INSERT INTO stentor_lanes (lane) VALUES ('a') RETURNING lane"))
    finally:
        await database.aclose()


async def test_an_option_that_a_pooler_refuses_is_named(postgres: str) -> None:
    async with pooler(postgres) as url, opened(f"{url}?search_path=app", patience=1.0) as database:
        with pytest.raises(InvalidConfiguration, match=r"an option that the server refuses.*search_path"):
            await database.rows(sa.text("SELECT 1"))


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("schema=app", 'refuses: unrecognized configuration parameter "schema"'),
        ("statement_timeout=soon", "refuses: invalid value for parameter"),
        ("sslmode=perhaps", "cannot be used: `sslmode`"),
        ("sslmode=verify-full&sslrootcert=/nowhere/ca.pem", "/nowhere/ca.pem: No such file"),
    ],
)
async def test_an_option_that_nobody_knows_is_named(postgres: str, option: str, said: str) -> None:
    url = postgres if "sslrootcert" not in option else f"postgresql://u@{LOOPBACK}:1/app"
    async with opened(f"{url}{'&' if '?' in url else '?'}{option}", patience=1.0) as database:
        with pytest.raises(InvalidConfiguration, match=said):
            await database.rows(sa.text("SELECT 1"))


async def test_options_of_libpq_are_taken_or_ignored(postgres: str) -> None:
    options = "&".join(
        (
            *("channel_binding=require", "connect_timeout=7", "keepalives_idle=30", "gssencmode=disable"),
            *("application_name=Stentor%20here", "options=-c%20work_mem%3D5MB", "sslmode=prefer"),
        )
    )
    async with opened(f"{postgres}&{options}") as database:
        shown = await database.rows(sa.text("SELECT current_setting('application_name'), current_setting('work_mem')"))
        assert tuple(shown[0]) == ("Stentor here", "5MB")
        assert database.ignored == ("channel_binding", "gssencmode", "keepalives_idle")


async def test_where_nobody_is_the_system_s_own_word_is_told() -> None:
    with closing(HeldPort()) as held:
        port = held.number
        async with opened(f"postgresql://me:s3cret@{LOOPBACK}:{port}/app", patience=0.0) as database:
            with pytest.raises(StoreUnavailable) as caught:
                await database.rows(sa.text("SELECT 1"))
    where = f"database app on {LOOPBACK}:{port} cannot be reached"
    assert f"{where}; is the server running? (Connection refused)" in str(caught.value)
