"""Segments of audiences: in tables and in the registry, in SQLite and PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from stentor.audience.contract import Routes, Selection, Wanted
from stentor.audience.registry import Registration, RegistryAudience, register
from stentor.audience.sql import SqlAudience
from stentor.config import AudienceConfig, Columns
from stentor.errors import InvalidAudience
from stentor.store.database import Database
from stentor.store.migrate import migrate

ROUTES = Routes(lanes={("apns", None): "apns/ios", ("fcm", None): "fcm/main"})
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()
SETTINGS = AudienceConfig(
    table="devices",
    columns=Columns(
        address="token",
        channel="platform",
        language="lang",
        attributes=("country", "plan", "version", "seen", "active"),
    ),
    channels={"ios": "apns"},
)
DEVICES = """CREATE TABLE devices (id BIGINT PRIMARY KEY, token TEXT, platform TEXT, lang TEXT, country TEXT,
    plan INTEGER, version TEXT, seen {time}, active BOOLEAN)"""
ROWS: list[tuple[Any, ...]] = [
    (1, "t1", "ios", "de", "DE", 1, "5.10", datetime(2026, 11, 29), True),
    (2, "t2", "ios", "en", "AT", 2, "5.9", datetime(2026, 11, 1), False),
    (3, "t3", "fcm", None, None, None, None, None, None),
    (4, "t4", "fcm", "de", "de", 2, "v5.2.0", datetime(2026, 11, 23, 13), True),
]
COLUMN_NAMES = ("id", "token", "platform", "lang", "country", "plan", "version", "seen", "active")
FOUND = [
    ("country = DE", [1]),
    ("country != DE", [2, 4]),
    ("country not in [DE, AT]", [4]),
    ("not (country = DE)", [2, 3, 4]),
    ("country not exists", [3]),
    ("version >= v5.9", [1, 2]),
    ("version = v5.2 or plan = 1", [1, 4]),
    ("seen > now - 7d", [1, 4]),
    ("seen < 2026-11-02", [2]),
    ("active = true and plan > 1", [4]),
    ("active != true", [2]),
    ("channel = apns", [1, 2]),
    ("language = de and platform = ios", [1]),
    ("id in [1, 2] and not (plan = 2)", [1]),
]


@pytest.fixture
async def devices(database_url: str) -> AsyncIterator[Database]:
    database = Database.open(database_url, patience=5)
    table = sa.table("devices", *(sa.column(name) for name in COLUMN_NAMES))
    time = "TEXT" if database_url.startswith("sqlite") else "TIMESTAMP"

    async def fill(connection: Any) -> None:
        await connection.execute(sa.text(DEVICES.format(time=time)))
        for row in ROWS:
            said = [str(each) if time == "TEXT" and isinstance(each, datetime) else each for each in row]
            await connection.execute(sa.insert(table).values(dict(zip(COLUMN_NAMES, said, strict=True))))

    await database.write(fill)
    yield database
    await database.aclose()


def audience(database: Database, segment: str, **more: Any) -> SqlAudience:
    return SqlAudience(database, SETTINGS, Selection(source="users", segment=segment, segment_at=NOW, **more), ROUTES)


async def keys(found: SqlAudience) -> list[bytes]:
    await found.check(Wanted())
    told: list[bytes] = []
    for part in await found.ranges(2):
        told += (await found.page(part, 10, Wanted())).keys
    assert sum((await found.count()).values()) == len(told)
    return told


async def test_a_segment_selects_rows_of_a_table(devices: Database) -> None:
    for segment, ids in FOUND:
        assert await keys(audience(devices, segment)) == [b"%d" % each for each in ids], segment


async def test_a_segment_and_filters_must_both_hold(devices: Database) -> None:
    assert await keys(audience(devices, "plan = 2", filters={"country": ["AT", "DE"]})) == [b"2"]
    assert await keys(audience(devices, "plan = 2", only=["1", "4"])) == [b"4"]


async def test_a_moment_is_relative_to_when_the_segment_is_asked(devices: Database) -> None:
    later = Selection(source="users", segment="seen > now - 7d").at(NOW + 5 * 86_400)
    assert await keys(SqlAudience(devices, SETTINGS, later, ROUTES)) == [b"1"]


@pytest.mark.parametrize(
    ("segment", "problem"),
    [
        ("contry = DE", "audiences.users has no column or attribute 'contry'; the nearest is country"),
        ("country is DE", "segment: column 9: expected a comparison"),
    ],
)
async def test_a_segment_that_cannot_be_asked_is_an_error(devices: Database, segment: str, problem: str) -> None:
    with pytest.raises(InvalidAudience) as caught:
        await audience(devices, segment).check(Wanted())
    assert problem in str(caught.value)


async def test_postgresql_says_if_a_comparison_can_never_hold(postgres: str) -> None:
    database = Database.open(postgres, patience=5)

    async def make(connection: Any) -> None:
        await connection.execute(sa.text(DEVICES.format(time="TIMESTAMPTZ")))

    try:
        await database.write(make)
        with pytest.raises(InvalidAudience, match="seen holds times with a zone, which are never a number"):
            await audience(database, "seen > 5").check(Wanted())
    finally:
        await database.aclose()


async def test_a_segment_selects_installations_of_the_registry(database_url: str) -> None:
    database = Database.open(database_url, patience=5)
    try:
        await migrate(database)
        rows = [
            Registration(
                id="a", channel="apns", address="t1", attributes=json.dumps({"level": 12, "tags": ["x", "y"]})
            ),
            Registration(id="b", channel="apns", address="t2", attributes=json.dumps({"level": "9", "vip": True})),
            Registration(id="c", channel="fcm", address="t3", language="de"),
        ]
        await register(database, rows)
        for segment, ids in [
            ("level > 10", [b"a"]),
            ("level != 12", [b"b"]),
            ("not (level = 12)", [b"b", b"c"]),
            ("tags contains x", [b"a"]),
            ("vip = true or language = de", [b"b", b"c"]),
            ("id starts with a or vip exists", [b"a", b"b"]),
        ]:
            found = RegistryAudience(database, Selection(source="registry", segment=segment), ROUTES)
            assert await keys(found) == ids, segment
        unknown = RegistryAudience(database, Selection(source="registry", segment="levle > 1"), ROUTES)
        with pytest.raises(InvalidAudience, match="no installation has an attribute 'levle'"):
            await unknown.check(Wanted())
    finally:
        await database.aclose()


class OlderSelection(msgspec.Struct):
    """What a Stentor without segments reads of a selection."""

    source: str
    reasons: list[str] = []


def test_an_older_planner_cannot_read_a_selection_with_a_segment() -> None:
    """It would send to everybody."""
    whole = Selection(source="users")
    assert msgspec.json.decode(msgspec.json.encode(whole), type=OlderSelection).source == "users"
    for part in (Selection(source="users", segment="a = 1"), Selection(source="users", segment_name="a")):
        encoded = msgspec.json.encode(part)
        assert msgspec.json.decode(encoded, type=Selection) == part
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(encoded, type=OlderSelection)
