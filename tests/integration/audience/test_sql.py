"""An audience in a table or query: pages, ranges, lanes, filters, and what is said of one that is configured wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stentor.audience import sql
from stentor.audience.contract import NO_LANE, Condition, Page, Range, Routes, Selection, Wanted
from stentor.audience.sql import SqlAudience
from stentor.config import AudienceConfig, Columns
from stentor.errors import AudienceUnavailable, InvalidAudience
from stentor.store.database import Database

ROUTES = Routes(
    lanes={
        ("apns", None): "apns/ios",
        ("apns", "ios"): "apns/ios",
        ("apns", "ipad"): "apns/ipad",
        ("fcm", None): "fcm/main",
        ("fcm", "main"): "fcm/main",
    }
)
DEVICES = """CREATE TABLE devices (
    id BIGINT PRIMARY KEY, push_token TEXT, platform TEXT, app TEXT, lang TEXT, country TEXT, seen {time}, plan INTEGER,
    "Odd Name" TEXT, deleted_at TEXT)"""
COLUMNS = Columns(
    address="push_token",
    channel="platform",
    app="app",
    language="lang",
    registered_at="seen",
    attributes=("country", "plan", "Odd Name"),
)
SETTINGS = AudienceConfig(table="devices", columns=COLUMNS, channels={"ios": "apns", "iPadOS": "apns"})
ROWS: list[tuple[Any, ...]] = [
    (1, "t1", "ios", None, "de", "AT", 1.0, 1, "x", None),
    (2, "t2", "iPadOS", "ipad", "en", "DE", 2.5, 2, None, None),
    (3, "t3", "fcm", "main", None, "AT", None, None, None, None),
    (4, None, "fcm", None, "de", None, 4.0, 2, None, None),
    (5, "t5", None, None, "de", "CH", 5.0, 1, None, None),
    (6, "t6", "ios", "watch", "", "it's; --", 6.0, 1, None, None),
    (7, "t7", "ios", "", "de", "DE", 7.0, 1, None, "yesterday"),
]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database.open(database_url, patience=5)
    yield database
    await database.aclose()


@pytest.fixture
async def devices(database: Database) -> Database:
    await run(database, DEVICES.format(time="DOUBLE PRECISION"))
    names = ", ".join(f":{number}" for number in range(len(ROWS[0])))
    for row in ROWS:
        await run(database, f"INSERT INTO devices VALUES ({names})", {str(k): value for k, value in enumerate(row)})
    return database


async def run(database: Database, statement: str, *parameters: dict[str, Any]) -> None:
    async def change(connection: Any) -> None:
        await connection.execute(sa.text(statement), list(parameters) or None)

    await database.write(change)


async def fill(database: Database, type_: str, keys: Sequence[Any], extra: str = "") -> None:
    """A table `people` with these keys, and a token for each."""
    await run(database, f"CREATE TABLE people (id {type_}{extra}, token TEXT)")
    insert = sa.insert(sa.table("people", sa.column("id"), sa.column("token")))

    async def change(connection: Any) -> None:
        for number, key in enumerate(keys):
            values = {"id": sa.bindparam("id", key, type_=sa.types.NULLTYPE), "token": f"t{number}"}
            await connection.execute(insert.values(values))

    await database.write(change)


PEOPLE = AudienceConfig(table="people", channel="apns")


def audience(database: Database, settings: AudienceConfig = SETTINGS, **selection: Any) -> SqlAudience:
    return SqlAudience(database, settings, Selection(source="users", **selection), ROUTES)


async def everything(
    source: SqlAudience, limit: int = 2, parts: int = 1, wanted: Wanted | None = None, **more: Any
) -> list[Page]:
    pages = []
    for part in await source.ranges(parts):
        while True:
            page = await source.page(part, limit, wanted or Wanted(), **more)
            pages.append(page)
            assert len(page) <= limit
            if page.cursor is None:
                break
            part = Range(after=page.cursor, upto=part.upto)  # noqa: PLW2901  # a chain goes on where it was
    return pages


def keys_of(pages: Sequence[Page]) -> list[bytes]:
    return [key for page in pages for key in page.keys]


def lanes_of(page: Page) -> list[str]:
    return [page.lanes] * len(page) if isinstance(page.lanes, str) else page.lanes


# pages


@pytest.mark.parametrize("limit", [1, 2, 7, 100])
async def test_pages_hold_every_column(devices: Database, limit: int) -> None:
    source = audience(devices)
    wanted = Wanted(language=True, variables=("country", "plan", "Odd Name", "id"))
    await source.check(wanted)
    pages = await everything(source, limit, wanted=wanted)
    assert len(pages) == -(-7 // limit)
    assert keys_of(pages) == [b"1", b"2", b"3", b"4", b"5", b"6", b"7"]
    assert [address for page in pages for address in page.addresses] == [b"t1", b"t2", b"t3", b"", b"t5", b"t6", b"t7"]
    lanes = [lane for page in pages for lane in lanes_of(page)]
    assert lanes == ["apns/ios", "apns/ipad", "fcm/main", "fcm/main", NO_LANE, NO_LANE, "apns/ios"]
    assert [at for page in pages for at in page.registered_at or []] == [1.0, 2.5, 0.0, 4.0, 5.0, 6.0, 7.0]
    assert [one for page in pages for one in page.languages or []] == ["de", "en", None, "de", "de", None, "de"]
    first = pages[0].variables
    assert first is not None
    assert first[0] == {"country": "AT", "plan": 1, "Odd Name": "x", "id": 1}


async def test_a_page_gives_only_what_is_wanted(devices: Database) -> None:
    [page] = await everything(
        audience(devices, SETTINGS.model_copy(update={"columns": Columns(address="push_token", channel="platform")})),
        100,
    )
    assert (page.languages, page.variables, page.registered_at) == (None, None, None)
    assert "t1" not in repr(page)


async def test_one_lane_is_one_text(devices: Database) -> None:
    constant = AudienceConfig(table="devices", channel="apns", columns=Columns(address="push_token"))
    [page] = await everything(audience(devices, constant), 100)
    assert page.lanes == "apns/ios"
    [page] = await everything(audience(devices), 100, lanes=["fcm/main"])
    assert page.lanes == "fcm/main"


@pytest.mark.parametrize(
    ("lanes", "keys"),
    [
        (["apns/ios"], [b"1", b"7"]),
        (["apns/ipad", "fcm/main"], [b"2", b"3", b"4"]),
        ([NO_LANE], [b"5", b"6"]),
        ([NO_LANE, "apns/ipad"], [b"2", b"5", b"6"]),
        ([], []),
        (["apns/unknown"], []),
    ],
)
async def test_the_filter_by_lane_agrees_with_the_lanes(devices: Database, lanes: list[str], keys: list[bytes]) -> None:
    pages = await everything(audience(devices), 1, lanes=lanes)
    assert keys_of(pages) == keys
    assert {lane for page in pages for lane in lanes_of(page)} <= set(lanes)


async def test_counts_by_lane(devices: Database) -> None:
    counts = {"apns/ios": 2, "apns/ipad": 1, "fcm/main": 2, NO_LANE: 2}
    source = audience(devices)
    assert await source.count() == counts
    await source.check(Wanted())
    assert await source.count() == counts
    assert await audience(devices, filters={"country": ["AT"]}).count() == {"apns/ios": 1, "fcm/main": 1}
    constant = AudienceConfig(table="devices", channel="apns", app="ipad", columns=Columns(address="push_token"))
    assert await audience(devices, constant).count() == {"apns/ipad": 7}


ZONES = ["Europe/Berlin", " Europe/Berlin ", None, "", "Asia", "x" * 10_000, "Asia/Tokyo"]


async def test_time_zones(devices: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they stand there, whatever that is, and how many have each: of those on a lane."""
    for (key, *_), zone in zip(ROWS, ZONES, strict=True):
        await run(devices, "UPDATE devices SET country = :zone WHERE id = :key", {"zone": zone, "key": key})
    columns = COLUMNS.model_copy(update={"time_zone": "country"})
    source = audience(devices, SETTINGS.model_copy(update={"columns": columns}))
    wanted = Wanted(language=True, zone=True, variables=("time_zone", "plan"))
    await source.check(wanted)
    pages = await everything(source, wanted=wanted)
    told = ["Europe/Berlin", "Europe/Berlin", None, None, "Asia", "x" * 65, "Asia/Tokyo"]
    assert [zone for page in pages for zone in page.zones or []] == told
    assert [said["time_zone"] for page in pages for said in page.variables or []] == ZONES
    assert [said for page in pages for said in page.languages or []] == ["de", "en", None, "de", "de", None, "de"]
    assert (await source.find(["7"], Wanted(zone=True))).zones == ["Asia/Tokyo"]
    assert (await source.find(["7"], Wanted())).zones is None
    assert {key for page in pages for key, lane in zip(page.keys, lanes_of(page), strict=True) if not lane} == {
        b"5",
        b"6",
    }
    assert await source.zones() == {"Europe/Berlin": 2, None: 2, "Asia/Tokyo": 1}
    some = audience(devices, SETTINGS.model_copy(update={"columns": columns}), filters={"lang": ["de"]})
    assert await some.zones() == {"Europe/Berlin": 1, None: 1, "Asia/Tokyo": 1}
    monkeypatch.setattr(sql, "MOST_ZONES", 1)
    assert sum((await source.zones()).values()) == 5, "nobody is lost where there are too many values"


async def test_an_audience_that_says_no_time_zones(devices: Database) -> None:
    source = audience(devices)
    assert {page.zones for page in await everything(source, wanted=Wanted(zone=True))} == {None}
    assert await source.zones() == {None: 5}


@pytest.mark.parametrize(
    ("filters", "keys"),
    [
        ({"country": ["AT"]}, [1, 3]),
        ({"country": ["AT", "CH"], "plan": ["1"]}, [1, 5]),
        ({"plan": ["2"]}, [2, 4]),
        ({"country": ["it's; --"]}, [6]),
        ({"country": []}, []),
        ({"Odd Name": ["x"]}, [1]),
        ({"language": ["de"]}, [1, 4, 5, 7]),
        ({"lang": ["en"]}, [2]),
        ({"channel": ["apns"]}, [1, 2, 6, 7]),
        ({"channel": ["iPadOS"]}, [2]),
        ({"app": ["main"]}, [3]),
        ({"id": ["3", "4"]}, [3, 4]),
        ({"country": Condition(none_of=["AT", "DE"])}, [4, 5, 6]),  # who says nothing is not from there
        ({"plan": Condition(none_of=["1"])}, [2, 3, 4]),
        ({"channel": Condition(none_of=["apns"])}, [3, 4, 5]),
        ({"country": Condition(prefixes=["A", "it's"])}, [1, 3, 6]),
        ({"country": Condition(prefixes=["a"])}, []),  # another case
        ({"country": Condition(prefixes=["%"])}, []),
        ({"country": Condition(values=["CH"], prefixes=["D"], none_of=["DE"])}, [5]),
        ({"plan": Condition(prefixes=["2"])}, [2, 4]),
        ({"country": Condition()}, [1, 2, 3, 4, 5, 6, 7]),
    ],
)
async def test_filters(devices: Database, filters: dict[str, list[str] | Condition], keys: list[int]) -> None:
    source = audience(devices, filters=filters)
    await source.check(Wanted())
    assert keys_of(await everything(source)) == [b"%d" % key for key in keys]


async def test_only_some_and_find(devices: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    source = audience(devices, only=["2", "6", "99", "x", ""])
    assert keys_of(await everything(source)) == [b"2", b"6"]
    assert await source.count() == {"apns/ipad": 1, NO_LANE: 1}
    source = audience(devices, filters={"country": ["AT"]})
    page = await source.find(["6", "2", "nobody", "99"], Wanted(variables=("plan",)))
    assert (page.keys, page.cursor) == ([b"2", b"6"], None)
    assert page.variables == [{"plan": 2}, {"plan": 1}]
    assert len(await source.find([], Wanted())) == 0
    monkeypatch.setattr(sql, "AT_ONCE", 2)
    many = await source.find(["1", "7", "3", "1", "5"], Wanted())
    assert sorted(many.keys) == [b"1", b"3", b"5", b"7"]


async def test_where_and_a_query(devices: Database) -> None:
    where = SETTINGS.model_copy(update={"where": "deleted_at IS NULL -- not ':gone'"})
    await audience(devices, where).check(Wanted())
    assert keys_of(await everything(audience(devices, where))) == [b"1", b"2", b"3", b"4", b"5", b"6"]
    assert len(await audience(devices, where).find(["7"], Wanted())) == 0
    query = "SELECT id, push_token AS token, CAST('a:b' AS TEXT) AS mark FROM devices WHERE id > 3; -- the rest"
    settings = AudienceConfig(
        query=query.replace("; -- the rest", " -- the rest"), channel="apns", columns=Columns(attributes=("mark",))
    )
    source = audience(devices, settings)
    await source.check(Wanted())
    [page] = await everything(source, 10, wanted=Wanted(variables=("mark",)))
    assert page.keys == [b"4", b"5", b"6", b"7"]
    assert page.variables == [{"mark": "a:b"}] * 4


async def test_times_of_registration_as_timestamps(database: Database) -> None:
    await run(database, "CREATE TABLE people (id INTEGER PRIMARY KEY, token TEXT, seen TIMESTAMP)")
    value = datetime(2026, 1, 1) if database.dialect == "postgresql" else "2026-01-01 00:00:00"
    await run(database, "INSERT INTO people VALUES (1, 'a', :at), (2, 'b', NULL)", {"at": value})
    settings = AudienceConfig(table="people", channel="apns", columns=Columns(registered_at="seen"))
    [page] = await everything(audience(database, settings), 10)
    assert page.registered_at == [1767225600.0, 0.0]


# ranges

TYPES: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    "int": ("BIGINT", st.integers(-(2**63), 2**63 - 1)),
    "text": ("TEXT", st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)),
    "hex": ("TEXT", st.uuids().map(str)),
    "bytes": ("{bytes}", st.binary(max_size=20)),
    "float": ("DOUBLE PRECISION", st.floats(allow_nan=False, allow_infinity=False).map(lambda x: x + 0.0)),
    "uuid": ("UUID", st.uuids()),
    "timestamp": ("TIMESTAMPTZ", st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))),
    "date": ("DATE", st.dates(date(1, 1, 1), date(9999, 12, 30))),
    "numeric": ("NUMERIC", st.decimals(-(10**20), 10**20, allow_nan=False)),
}
IN_SQLITE = ("int", "text", "hex", "bytes", "float")


async def partitioned(url: str, name: str, keys: set[Any], parts: int, limit: int) -> None:
    """Ranges over these keys hold each exactly once, in the database's order."""
    type_ = TYPES[name][0].format(bytes="BYTEA" if url.startswith("postgresql") else "BLOB")
    database = Database.open(url, patience=5)
    try:
        await run(database, "DROP TABLE IF EXISTS people")
        await fill(database, type_, sorted(keys, key=repr), " PRIMARY KEY")
        source = audience(database, PEOPLE)
        ranges = await source.ranges(parts)
        assert len(ranges) <= parts
        assert [part.after for part in ranges] == [None, *(part.upto for part in ranges)][: len(ranges)]
        assert all([len(await source.page(part, 1, Wanted())) for part in ranges]), "an empty range"
        addresses = [one for page in await everything(source, limit, parts) for one in page.addresses]
        async with database.read() as connection:
            rows = await connection.execute(sa.text("SELECT token FROM people ORDER BY id"))
            assert addresses == [row.token.encode() for row in rows]
        assert len(addresses) == len(keys)
    finally:
        await database.aclose()


@pytest.mark.parametrize("name", TYPES)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), parts=st.integers(1, 9), limit=st.integers(1, 40))
def test_ranges_partition_the_keys(
    name: str, database_url: str, monkeypatch: pytest.MonkeyPatch, data: st.DataObject, parts: int, limit: int
) -> None:
    if database_url.startswith("sqlite") and name not in IN_SQLITE:
        return  # SQLite has no such type
    monkeypatch.setattr(sql, "FEW", 2)
    keys = data.draw(st.sets(TYPES[name][1], max_size=40))
    asyncio.run(partitioned(database_url, name, keys, parts, limit))


@pytest.mark.parametrize(
    ("type_", "keys"),
    [
        ("BIGINT", list(range(1, 4001))),
        ("TEXT", [f"user{number:06d}" for number in range(4000)]),
        ("TEXT", [str(UUID(int=number * 2**116)) for number in range(4000)]),
    ],
    ids=["int", "digits", "hex"],
)
async def test_even_keys_are_cut_evenly(database: Database, type_: str, keys: list[Any]) -> None:
    await run(database, f"CREATE TABLE people (id {type_} PRIMARY KEY, token TEXT)")
    await run(database, "INSERT INTO people VALUES (:id, 't')", *({"id": key} for key in keys))
    source = audience(database, PEOPLE)
    ranges = await source.ranges(4)
    sizes = [len(await source.page(part, 5000, Wanted())) for part in ranges]
    assert sum(sizes) == 4000
    assert max(sizes) < 1100


async def test_few_are_one_range_and_nobody_is_none(database: Database) -> None:
    await fill(database, "BIGINT", [1, 2**40], " PRIMARY KEY")
    assert await audience(database, PEOPLE).ranges(4) == [Range(after=None, upto=f"int:{2**40}")]
    nobody = PEOPLE.model_copy(update={"where": "id < 0"})
    await audience(database, nobody).check(Wanted())
    assert await audience(database, nobody).ranges(4) == []
    assert await audience(database, nobody).count() == {}
    assert await audience(database, PEOPLE, only=["5"]).ranges(4) == []


async def test_what_comes_goes_and_changes_meanwhile_shifts_nobody(database: Database) -> None:
    await fill(database, "BIGINT", range(10, 110, 10), " PRIMARY KEY")
    source = audience(database, PEOPLE)
    [part] = await source.ranges(1)
    seen = []
    changes = [
        "INSERT INTO people VALUES (5, 'new'), (15, 'new'), (200, 'new')",  # behind, behind, and after the end
        "DELETE FROM people WHERE id IN (10, 30, 60)",
        "UPDATE people SET token = 'other' WHERE id = 80",
        "DELETE FROM people WHERE id = 100",  # the end itself
        "INSERT INTO people VALUES (75, 'new')",
    ]
    while True:
        page = await source.page(part, 2, Wanted())
        seen += page.keys
        if changes:
            await run(database, changes.pop(0))
        if page.cursor is None:
            break
        part = Range(after=page.cursor, upto=part.upto)
    assert seen == [b"10", b"20", b"30", b"40", b"50", b"70", b"80", b"90"]


async def test_a_key_that_is_not_unique_is_noticed_while_reading(database: Database) -> None:
    await fill(database, "BIGINT", [1, 2, 2, 3])
    source = audience(database, PEOPLE)
    [part] = await source.ranges(1)
    for limit in (2, 3, 10):  # across the end of the page, within it
        with pytest.raises(InvalidAudience, match=r"audiences\.users\.columns\.id: id is not unique.* has 2 more than"):
            await source.page(part, limit, Wanted())


# what is wrong with it


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"table": "device"}, r"audiences\.users\.table: the database has no table device; the nearest is devices"),
        ({"table": "nowhere.devices"}, r"audiences\.users"),
        (
            {"columns": {"address": "push_tokn"}},
            r"columns\.address: the table devices has no column push_tokn; the neare"
            r"st is push_token",
        ),
        (
            {"columns": {"attributes": ("contry",)}},
            r"columns\.attributes: .* contry; the nearest is country; there are",
        ),
        ({"columns": {"id": "key"}}, r"columns\.id: .* no column key; there are .*, id,"),
        ({"where": "deleted IS NULL"}, r"audiences\.users\.where: the database says: .*deleted"),
        ({"where": "deleted_at IS ("}, r"audiences\.users\.where: the database says: .*"),
        ({"table": None, "query": "SELEC id"}, r"audiences\.users\.query: the database says: .*"),
        ({"table": None, "query": "SELECT id, push_token FROM devices"}, r"columns\.channel: the query has no column"),
        (
            {"columns": {"id": "lang"}, "where": "lang IS NOT NULL"},
            r"columns\.id: lang is not unique: .* has de more than once",
        ),
        ({"columns": {"id": "country"}}, r"columns\.id: country is NULL for some rows of the table devices; fill it"),
    ],
)
async def test_what_is_configured_wrong(devices: Database, change: dict[str, Any], says: str) -> None:
    columns = COLUMNS.model_copy(update=change.get("columns", {}))
    source = audience(devices, SETTINGS.model_copy(update=change | {"columns": columns}))
    with pytest.raises(InvalidAudience, match=says):
        await source.check(Wanted())


@pytest.mark.parametrize(
    ("selection", "wanted", "says"),
    [
        (
            {"filters": {"contry": ["AT"]}},
            Wanted(),
            r"no column or attribute 'contry'; the nearest is country.*attributes",
        ),
        ({}, Wanted(variables=("plam",)), r"no column or attribute 'plam'; the nearest is plan"),
        ({}, Wanted(variables=("push_token",)), r"no column or attribute 'push_token'"),
    ],
)
async def test_what_is_selected_or_wanted_wrong(
    devices: Database, selection: dict[str, Any], wanted: Wanted, says: str
) -> None:
    with pytest.raises(InvalidAudience, match=says):
        await audience(devices, **selection).check(wanted)


async def test_words_that_mean_no_channel_put_their_rows_on_no_lane(devices: Database) -> None:
    """Whatever they are, so that no row keeps the others from being sent to."""
    for key, said in ((8, "windows"), (9, "windows"), (10, "n" * 200)):
        await run(devices, f"INSERT INTO devices (id, push_token, platform) VALUES ({key}, 't{key}', '{said}')")
    source = audience(devices)
    await source.check(Wanted())
    counts = await source.count()
    assert counts[NO_LANE] == 5
    assert sum(counts.values()) == 10
    told = await source.nowhere()
    assert next(iter(told.items())) == ("`platform` 'windows' and an empty `app`", 2)
    assert told["`platform` 'ios' and `app` 'watch'"] == 1
    assert told["`platform` 'nnnnnnnnnn…' and an empty `app`"] == 1  # it may be an address
    assert sum(told.values()) == 5
    some = audience(devices, filters={"country": ["AT"]})
    await some.check(Wanted())
    assert await some.nowhere() == {}
    lanes = [
        lane
        for page in await everything(source)
        for lane in ([page.lanes] * len(page) if isinstance(page.lanes, str) else page.lanes)
    ]
    assert lanes.count(NO_LANE) == 5
    nowhere = await everything(source, lanes=[NO_LANE])
    assert sum(map(len, nowhere)) == 5


async def test_an_odd_value_among_channels_is_its_rows_own_matter(database: Database) -> None:
    kind = "" if database.dialect == "sqlite" else " TEXT"
    await run(database, f"CREATE TABLE people (id BIGINT PRIMARY KEY, token TEXT, platform{kind})")
    await run(database, "INSERT INTO people VALUES (1, 't1', 'apns'), (2, 't2', 2.5), (3, 't3', '')")
    people = AudienceConfig(table="people", columns=Columns(channel="platform"))
    source = audience(database, people)
    await source.check(Wanted())
    assert await source.count() == {"apns/ios": 1, NO_LANE: 2}
    assert await source.nowhere() == {"an empty `platform`": 1, "`platform` '2.5'": 1}


async def test_a_check_of_some_reads_nobody_else(devices: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Creating a campaign for a few takes no longer the more installations there are."""
    group, read = SqlAudience._group, list[str]()

    async def noted(source: SqlAudience, connection: Any, conditions: Sequence[Any]) -> Any:
        groups = await group(source, connection, conditions)
        read.append(f"{sum(count for *_, count in groups)} counted")
        return groups

    monkeypatch.setattr(SqlAudience, "_group", noted)
    one = audience(devices, only=["1"])
    await one.check(Wanted())
    assert await one.count() == {"apns/ios": 1}
    assert read == ["1 counted"]


@pytest.mark.parametrize("odd", [["1"], ["1", "3"]])
async def test_channels_of_some_are_judged_by_everybodys(tmp_path: Path, odd: list[str]) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'people.db'}", patience=5)
    people = AudienceConfig(table="people", columns=Columns(channel="platform"))
    try:
        await run(database, "CREATE TABLE people (id BIGINT PRIMARY KEY, token TEXT, platform)")
        await run(database, "INSERT INTO people VALUES (1, 't1', 1.5), (2, 't2', 'apns'), (3, 't3', NULL)")
        some = audience(database, people, only=odd)
        await some.check(Wanted())
        assert await some.count() == {NO_LANE: len(odd)}
        await run(database, "UPDATE people SET platform = 2.5 WHERE id = 2")
        with pytest.raises(InvalidAudience, match="platform holds values of the type float, which name no channel"):
            await audience(database, people, only=odd).check(Wanted())
    finally:
        await database.aclose()


async def test_a_filter_of_another_type(postgres: str) -> None:
    database = Database.open(postgres)
    await run(database, DEVICES.format(time="DOUBLE PRECISION"))
    with pytest.raises(InvalidAudience, match=r"the filter on plan: the database says: invalid input syntax"):
        await audience(database, filters={"plan": ["pro"]}).check(Wanted())
    await database.aclose()


@pytest.mark.parametrize("value", ["a\0b", "\udcff"])
async def test_a_filter_with_what_is_no_text(devices: Database, value: str) -> None:
    """A shell passes on bytes of any kind; Python makes half a surrogate pair of what is no UTF-8."""
    with pytest.raises(
        InvalidAudience, match=r"the filter on country: a value holds a NUL, or bytes that are not text"
    ):
        await audience(devices, filters={"country": ["AT", value]}).check(Wanted())


async def test_keys_of_types_that_cannot_be_keys(postgres: str) -> None:
    database = Database.open(postgres)
    await fill(database, "BOOLEAN", [True, False], " PRIMARY KEY")
    with pytest.raises(InvalidAudience, match=r"id holds values of the type bool, which cannot be a key"):
        await audience(database, PEOPLE).check(Wanted())
    await database.aclose()


async def test_keys_of_several_types(tmp_path: Any) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'mixed.db'}")
    await fill(database, "BLOB", [1, "a"])
    with pytest.raises(InvalidAudience, match=r"id holds both int and text values; a key needs one type"):
        await audience(database, PEOPLE).check(Wanted())
    await database.aclose()


async def test_channels_and_keys_that_are_enumerations_and_numbers(postgres: str) -> None:
    database = Database.open(postgres)
    await run(database, "CREATE TYPE platform AS ENUM ('ios', 'android')")
    await run(database, "CREATE TABLE people (id NUMERIC PRIMARY KEY, token TEXT, platform platform, app INTEGER)")
    await run(
        database, "INSERT INTO people VALUES (1.50, 'a', 'ios', NULL), (2, 'b', 'android', 7), (3, 'c', NULL, NULL)"
    )
    settings = AudienceConfig(
        table="people", columns=Columns(channel="platform", app="app"), channels={"ios": "apns", "android": "fcm"}
    )
    routes = Routes(lanes={("apns", None): "apns/ios", ("fcm", "7"): "fcm/7"})
    source = SqlAudience(database, settings, Selection(source="users"), routes)
    await source.check(Wanted())
    assert await source.count() == {"apns/ios": 1, "fcm/7": 1, NO_LANE: 1}
    for lane, key in (("apns/ios", b"1.50"), ("fcm/7", b"2"), (NO_LANE, b"3")):
        assert keys_of(await everything(source, lanes=[lane])) == [key]
    assert (await source.find(["1.5", "x"], Wanted())).keys == [b"1.50"]
    await database.aclose()


async def test_a_schema(postgres: str) -> None:
    database = Database.open(postgres)
    await run(database, "CREATE SCHEMA crm")
    await run(database, "CREATE TABLE crm.people (id TIMESTAMPTZ PRIMARY KEY, token TEXT)")
    at = datetime(2026, 1, 1, 12, 0, 0, 1, tzinfo=UTC)
    await run(database, "INSERT INTO crm.people VALUES (:at, 'a')", {"at": at}, {"at": at + timedelta(microseconds=1)})
    source = audience(database, PEOPLE.model_copy(update={"table": "crm.people"}))
    await source.check(Wanted())
    assert len(keys_of(await everything(source, 1))) == 2
    with pytest.raises(InvalidAudience, match="the schema crm has no table peopel; the nearest is people"):
        await audience(database, PEOPLE.model_copy(update={"table": "crm.peopel"})).check(Wanted())
    await database.aclose()


async def test_a_database_that_is_not_there(tmp_path: Any) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'none' / 'x.db'}", patience=0.1)
    with pytest.raises(AudienceUnavailable, match=r"audiences\.users: The SQLite database"):
        await audience(database).count()
    await database.aclose()


async def test_a_cursor_that_is_none(devices: Database) -> None:
    with pytest.raises(InvalidAudience, match="cannot be read"):
        await audience(devices).page(Range(after="what", upto="int:7"), 2, Wanted())
