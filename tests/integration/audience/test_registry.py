"""The embedded registry: what registering changes, and how it is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # has no annotations
import pytest
import sqlalchemy as sa

from stentor.audience import registry
from stentor.audience.contract import Condition, Page, Range, Routes, Selection, Wanted
from stentor.audience.registry import Registered, Registration, RegistryAudience, register
from stentor.errors import InvalidAudience
from stentor.store.database import Database
from stentor.store.tables import METADATA, installations

ROUTES = Routes(lanes={("apns", None): "apns/ios", ("fcm", None): "fcm/main", ("fcm", "other"): "fcm/other"})
ANNA = Registration(
    id="anna", channel="apns", address="aa" * 32, language="de", attributes='{"plan":"pro","age":41,"vip":true}'
)
BERT = Registration(id="Bert", channel="fcm", address="b" * 140, app="other", attributes='{"plan":"free","it\'s":"ü"}')
CARL = Registration(id="carl", channel="fcm", address="c" * 140, registered_at=5.0)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database.open(database_url, patience=5)
    await database.write(lambda connection: connection.run_sync(METADATA.create_all))
    yield database
    await database.aclose()


async def stored(database: Database, key: str) -> dict[str, Any]:
    async with database.read() as connection:
        row = (await connection.execute(sa.select(installations).where(installations.c.id == key))).one()
        return dict(row._asdict())


async def kill(database: Database, key: str, at: float = 100.0) -> None:
    async def change(connection: Any) -> None:
        dead = installations.update().where(installations.c.id == key).values(dead_at=at, dead_reason="Unregistered")
        await connection.execute(dead)

    await database.write(change)


async def page(database: Database, wanted: Wanted | None = None, **selection: Any) -> Page:
    source = RegistryAudience(database, Selection(source="registry", **selection), ROUTES)
    ranges = await source.ranges(1)
    part = ranges[0] if ranges else Range(after=None, upto="text:")
    return await source.page(part, 100, wanted or Wanted())


async def test_registering_twice_changes_nothing(database: Database) -> None:
    assert await register(database, [ANNA, BERT, CARL]) == Registered(added=3)
    before = [await stored(database, key) for key in ("anna", "Bert", "carl")]
    assert await register(database, [ANNA, BERT, CARL]) == Registered()
    assert [await stored(database, key) for key in ("anna", "Bert", "carl")] == before
    assert before[0]["registered_at"] is None  # when it was registered, nobody said: the import's time isn't it
    assert before[2]["registered_at"] == 5.0


async def test_what_is_not_said_stays(database: Database) -> None:
    await register(database, [ANNA])
    assert await register(database, [Registration(id="anna", channel="apns", address=ANNA.address, app="ios")]) == (
        Registered(changed=1)
    )
    row = await stored(database, "anna")
    assert (row["language"], row["app"], row["attributes"]) == ("de", "ios", ANNA.attributes)


async def test_another_address_revives_and_is_new(database: Database) -> None:
    await register(database, [CARL, BERT])
    assert (await stored(database, "carl"))["registered_at"] == 5.0
    await kill(database, "carl")
    await kill(database, "Bert")
    moved = replace(CARL, address="d" * 140, registered_at=None)
    assert await register(database, [moved, BERT]) == Registered(revived=1)
    row = await stored(database, "carl")
    assert (row["dead_at"], row["dead_reason"], row["address"]) == (None, None, "d" * 140)
    assert row["registered_at"] is None  # that of the address before isn't that of the new one
    assert (await stored(database, "Bert"))["dead_reason"] == "Unregistered"


async def test_the_same_address_revives_only_if_registered_after_it_died(database: Database) -> None:
    await register(database, [CARL])
    await kill(database, "carl", at=100.0)
    assert await register(database, [replace(CARL, registered_at=99.0)]) == Registered(changed=1)
    assert await register(database, [replace(CARL, registered_at=101.0)]) == Registered(revived=1)


async def test_of_rows_with_one_id_the_last_counts(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "BATCH", 2)
    rows = [ANNA, BERT, CARL, replace(ANNA, language="fr")]
    assert await register(database, rows) == Registered(added=3)
    assert (await stored(database, "anna"))["language"] == "fr"


async def test_the_dead_are_not_in_the_audience(database: Database) -> None:
    await register(database, [ANNA, BERT, CARL])
    await kill(database, "anna")
    found = await page(database)
    assert found.keys == [b"Bert", b"carl"]
    assert found.lanes == ["fcm/other", "fcm/main"]
    assert len(await RegistryAudience(database, Selection(source="registry"), ROUTES).find(["anna"], Wanted())) == 0


async def test_keys_come_in_the_order_of_their_bytes(database: Database) -> None:
    await register(database, [ANNA, BERT, CARL])
    assert (await page(database)).keys == [b"Bert", b"anna", b"carl"]


async def test_attributes_are_variables(database: Database) -> None:
    await register(database, [ANNA, BERT, CARL])
    found = await page(database, Wanted(language=True, variables=("plan", "age", "it's", "language")))
    assert found.variables == [
        {"plan": "free", "age": None, "it's": "ü", "language": None},
        {"plan": "pro", "age": 41, "it's": None, "language": "de"},
        {"plan": None, "age": None, "it's": None, "language": None},
    ]
    assert found.languages == [None, "de", None]
    only = await page(database, Wanted(variables=("plan",)))
    assert only.variables == [{"plan": "free"}, {"plan": "pro"}, {"plan": None}]


@pytest.mark.parametrize(
    ("filters", "keys"),
    [
        ({"plan": ["pro", "none"]}, [b"anna"]),
        ({"plan": ["pro", "free"]}, [b"Bert", b"anna"]),
        ({"age": ["41"]}, [b"anna"]),
        ({"vip": ["true"]}, [b"anna"]),
        ({"vip": ["false"]}, []),
        ({"it's": ["ü"]}, [b"Bert"]),
        ({"plan": ["free"], "language": ["de"]}, []),
        ({"channel": ["fcm"], "app": ["other"]}, [b"Bert"]),
        ({"plan": Condition(none_of=["pro"])}, [b"Bert", b"carl"]),
        ({"plan": Condition(prefixes=["p", "f"])}, [b"Bert", b"anna"]),
    ],
)
async def test_attributes_are_filters(
    database: Database, filters: dict[str, list[str] | Condition], keys: list[bytes]
) -> None:
    await register(database, [ANNA, BERT, CARL])
    await RegistryAudience(database, Selection(source="registry", filters=filters), ROUTES).check(Wanted())
    assert (await page(database, filters=filters)).keys == keys


async def test_a_nul_in_somebody_s_attributes_keeps_no_filter_from_finding_the_others(database: Database) -> None:
    """It was stored before imports refused it."""
    await register(database, [ANNA, replace(BERT, attributes='{"plan":"a\\u0000b"}')])
    await RegistryAudience(database, Selection(source="registry", filters={"plan": ["pro"]}), ROUTES).check(
        Wanted(variables=("plan",))
    )
    assert (await page(database, filters={"plan": ["pro"]})).keys == [b"anna"]


async def test_an_attribute_that_nobody_has(database: Database) -> None:
    await register(database, [ANNA])
    source = RegistryAudience(database, Selection(source="registry", filters={"plam": ["pro"]}), ROUTES)
    with pytest.raises(InvalidAudience, match="no installation has an attribute 'plam'"):
        await source.check(Wanted())


async def test_an_empty_registry(database: Database) -> None:
    source = RegistryAudience(database, Selection(source="registry"), ROUTES)
    await source.check(Wanted())
    assert await source.count() == {}
    assert await source.ranges(4) == []


async def test_what_another_adds_meanwhile_is_changed(postgres: str) -> None:
    """It isn't seen until the other has committed it, and must not be passed over then."""
    database = Database.open(postgres, patience=30)
    await database.write(lambda connection: connection.run_sync(METADATA.create_all))
    other = await asyncpg.connect(postgres)
    try:
        adding = other.transaction()
        await adding.start()
        await other.execute(f"INSERT INTO {installations.name} (id, channel, address) VALUES ('anna', 'apns', 'x')")
        registering = asyncio.create_task(register(database, [BERT, ANNA]))
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        while not await other.fetchval(waiting):  # noqa: ASYNC110 - it is the server that says so
            await asyncio.sleep(0.01)
        await adding.commit()
        assert await registering == Registered(added=1, changed=1)
        assert (await stored(database, "anna"))["address"] == ANNA.address
    finally:
        await other.close()
        await database.aclose()


async def test_time_zones(database: Database) -> None:
    zones = {"a": "Europe/Berlin", "b": "UTC+02:00", "c": None, "d": "Europe/Berlin"}
    await register(
        database,
        [Registration(id=key, channel="apns", address=f"t{key}", time_zone=zone) for key, zone in zones.items()],
    )
    await kill(database, "d")
    found = await page(database, Wanted(zone=True))
    assert dict(zip(found.keys, found.zones or [], strict=True)) == {
        b"a": "Europe/Berlin",
        b"b": "UTC+02:00",
        b"c": None,
    }
    everybody = RegistryAudience(database, Selection(source="registry"), Routes(lanes={("apns", None): "apns/ios"}))
    assert await everybody.zones() == {"Europe/Berlin": 1, "UTC+02:00": 1, None: 1}
