"""Audiences and their databases: what is asked of an audience may take as long as it takes, wherever it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg  # type: ignore[import-untyped]  # has no annotations
import pytest
from rich.console import Console

from stentor.audience.contract import Selection, Wanted
from stentor.cli.findings import check_audiences
from stentor.config import REGISTRY, AudienceConfig, Config, StoreConfig
from stentor.findings import Status
from stentor.providers.fcm.channel import FcmApp
from stentor.runtime import sources
from stentor.runtime.sources import ConfiguredSources
from stentor.store import database as stores
from stentor.store.database import Database
from stentor.store.migrate import migrate
from stentor.testing.postgres import Postgres

HURRY = 2.0
"""Seconds that a question to the store may take in these tests."""


@pytest.fixture
async def config(postgres: str, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Config]:
    """An audience in the store's database, one in another, and a registry with somebody in it."""
    monkeypatch.setattr(sources, "PATIENCE", 0.0)
    monkeypatch.setattr("stentor.cli.findings.PATIENCE", 0.0)
    monkeypatch.setattr(stores, "CONNECT_WITHIN", HURRY)
    async with postgres_server.database() as other:
        store = Database.open(postgres)
        await migrate(store)
        await store.aclose()
        for url in (postgres, other):
            await execute(url, "CREATE TABLE people (id BIGINT PRIMARY KEY, token TEXT)")
            await execute(url, "INSERT INTO people VALUES (1, repeat('a', 140)), (2, repeat('b', 140))")
        await execute(
            postgres,
            "INSERT INTO stentor_installations (id, channel, address) "
            " VALUES ('1', 'fcm', repeat('a', 140)), ('2', 'fcm', repeat('b', 140))",
        )
        people = AudienceConfig(table="people", channel="fcm")
        audiences = {"here": people, "there": people.model_copy(update={"url": other})}
        yield Config(store=StoreConfig(url=postgres), apps={"droid": FcmApp()}, audiences=audiences)


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url, timeout=30)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


@asynccontextmanager
async def slow(config: Config) -> AsyncIterator[None]:
    """Whoever reads the tables of people must wait for longer than the store would be waited for."""
    other = config.audiences["there"].url
    tables = {config.store.url: "people, stentor_installations", other: "people"}
    holders = [(await asyncpg.connect(url, timeout=30), names) for url, names in tables.items()]
    for holder, names in holders:
        await holder.execute(f"BEGIN; LOCK TABLE {names}")

    async def let_go(holder: asyncpg.Connection) -> None:
        await holder.execute(f"SELECT pg_sleep({HURRY + 0.5}); COMMIT")
        await holder.close()

    letting_go = [asyncio.create_task(let_go(holder)) for holder, _ in holders]
    yield
    await asyncio.gather(*letting_go)


@pytest.mark.parametrize("source", ["here", "there", REGISTRY])
async def test_an_audience_is_counted_for_as_long_as_it_takes(config: Config, source: str) -> None:
    store = Database.open(config.store.url, patience=0.0)
    opened = ConfiguredSources(config, store)
    audience = opened.open(Selection(source=source))
    async with slow(config):
        await audience.check(Wanted())
        assert dict(await audience.count()) == {"fcm/droid": 2}
    await opened.aclose()
    await store.aclose()


async def test_so_it_is_by_the_doctor(config: Config) -> None:
    async with slow(config):
        found = await check_audiences(config, Console(quiet=True))
    assert [each.check for each in found] == ["audiences.here", "audiences.there", REGISTRY]
    assert {each.status for each in found} == {Status.OK}
    assert {each.detail for each in found} == {"2 on fcm/droid"}
