"""Columns of every type that an app may have: read as what they are said to be, or refused by name before the start."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import Range, Routes, Selection, Wanted
from stentor.audience.sampling import look_at
from stentor.audience.sql import SqlAudience
from stentor.config import AudienceConfig, Columns
from stentor.errors import InvalidAudience
from stentor.store.database import Database

ROUTES = Routes(lanes={("apns", None): "apns/ios", ("apns", "1"): "apns/ios"})
EXACT = 10**25
TYPES: dict[str, tuple[str, Any]] = {
    "uuid": ("'585cd3b0-0595-4b27-9b28-065db8e30a1c'", "585cd3b0-0595-4b27-9b28-065db8e30a1c"),
    "text": ("'ü'", "ü"),
    "json": (f"""'{{"a": [{EXACT}, null]}}'""", {"a": [EXACT, None]}),
    "jsonb": (f"""'{{"a": [{EXACT}, null]}}'""", {"a": [EXACT, None]}),
    "int[]": ("'{1,NULL}'", [1, None]),
    "uuid[]": ("'{585cd3b0-0595-4b27-9b28-065db8e30a1c}'", ["585cd3b0-0595-4b27-9b28-065db8e30a1c"]),
    "int4range": ("'[1,5)'", "[1,5)"),
    "numrange": ("'(,1.5]'", "(,1.5]"),
    "tstzrange": ("'empty'", "empty"),
    "int4multirange": ("'{[1,3),[5,7)}'", ["[1,3)", "[5,7)"]),
    "numeric": ("1.50", "1.50"),
    "money": ("'12.5'", "$12.50"),
    "real": ("1.5", 1.5),
    "double precision": ("'Infinity'", float("inf")),
    "bigint": (str(2**63 - 1), 2**63 - 1),
    "boolean": ("true", True),
    "inet": ("'10.0.0.1/24'", "10.0.0.1/24"),
    "cidr": ("'10.0.0.0/24'", "10.0.0.0/24"),
    "macaddr": ("'08:00:2b:01:02:03'", "08:00:2b:01:02:03"),
    "date": ("'2026-01-31'", "2026-01-31"),
    "timestamp": ("'2026-01-31 10:00'", "2026-01-31T10:00:00"),
    "timestamptz": ("'2026-01-31 10:00+02'", "2026-01-31T08:00:00+00:00"),
    "time": ("'10:00'", "10:00:00"),
    "timetz": ("'10:00+02'", "10:00:00+02:00"),
    "interval": ("'1 day 2 hours'", "1 day, 2:00:00"),
    "mood": ("'ok'", "ok"),
    "pair": ("ROW(1, 'x')", {"a": 1, "b": "x"}),
    "pair[]": ("ARRAY[ROW(1, 'x')::pair]", [{"a": 1, "b": "x"}]),
    "positive": ("5", 5),
    "bytea": (r"'\x00ff'", "00ff"),
    "bit(12)": ("B'101000001111'", "101000001111"),
    "varbit": ("B''", ""),
    "point": ("'(1,2)'", [1.0, 2.0]),
    "polygon": ("'((0,0),(1,1),(2,0))'", [[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]]),
    "circle": ("'<(0,1),2>'", [[0.0, 1.0], 2.0]),
    "tsvector": ("'a b'", "'a' 'b'"),
    "char(4)": ("'ab'", "ab  "),
}


async def run(database: Database, statement: str) -> None:
    async def change(connection: AsyncConnection) -> None:
        await connection.execute(sa.text(statement.replace(":", "\\:")))

    await database.write(change)


@pytest.fixture
async def database(postgres: str) -> AsyncIterator[Database]:
    """One with a table `people` that has a column `c0`, `c1` … of each type, its values, and a second row of NULLs."""
    database = Database.open(postgres, patience=5)
    columns = ", ".join(f"c{number} {type_}" for number, type_ in enumerate(TYPES))
    values = ", ".join(literal for literal, _ in TYPES.values())
    for statement in (
        "CREATE TYPE mood AS ENUM ('ok', 'bad')",
        "CREATE TYPE pair AS (a int, b text)",
        "CREATE DOMAIN positive AS int CHECK (value > 0)",
        f"CREATE TABLE people (id int PRIMARY KEY, token text, {columns})",
        f"INSERT INTO people VALUES (1, 't', {values})",
        "INSERT INTO people (id) VALUES (2)",
    ):
        await run(database, statement)
    yield database
    await database.aclose()


def audience(database: Database, **columns: Any) -> SqlAudience:
    settings = AudienceConfig(table="people", channel="apns", columns=Columns(**columns))
    return SqlAudience(database, settings, Selection(source="people"), ROUTES)


async def test_attributes_are_shown_as_the_app_would_write_them(database: Database) -> None:
    names = tuple(f"c{number}" for number in range(len(TYPES)))
    found = audience(database, attributes=names)
    await found.check(Wanted(variables=names))
    (part,) = await found.ranges(1)
    page = await found.page(part, 10, Wanted(variables=names))
    assert page.variables is not None
    assert page.refused == {}
    shown = dict(zip(TYPES, page.variables[0].values(), strict=True))
    assert shown == {type_: value for type_, (_, value) in TYPES.items()}
    assert {*page.variables[1].values()} == {None}


def column(type_: str) -> str:
    return f"c{list(TYPES).index(type_)}"


ADDRESSES = {
    "uuid": b"585cd3b0-0595-4b27-9b28-065db8e30a1c",
    "text": "ü".encode(),
    "numeric": b"1.50",
    "mood": b"ok",
    "bigint": b"9223372036854775807",
    "positive": b"5",
    "bytea": b"00ff",
    "money": b"$12.50",
    "char(4)": b"ab",
    "json": f'{{"a":[{EXACT},null]}}'.encode(),
    "jsonb": f'{{"a":[{EXACT},null]}}'.encode(),
    "macaddr": b"08:00:2b:01:02:03",
    "tsvector": b"'a' 'b'",
}
TIMES = {
    "date": 1769817600.0,
    "timestamp": 1769853600.0,
    "timestamptz": 1769846400.0,
    "numeric": 1.5,
    "real": 1.5,
    "bigint": 0.0,
    "positive": 5.0,
}


@pytest.mark.parametrize("role", ["address", "registered_at", "language", "app", "id"])
async def test_what_cannot_serve_as_what_it_is_said_to_be_is_named(database: Database, role: str) -> None:
    await run(database, "DELETE FROM people WHERE id = 2")
    works: dict[str, Any] = {}
    refused: dict[str, str] = {}
    for type_ in TYPES:
        found = audience(database, **{"id": "id", "address": "token", role: column(type_)})
        try:
            await found.check(Wanted(language=True))
        except InvalidAudience as error:
            refused[type_] = str(error)
            continue
        page = await found.page((await found.ranges(1))[0], 10, Wanted(language=True))
        values: dict[str, Any] = {
            "address": page.addresses,
            "registered_at": page.registered_at,
            "language": page.languages,
        }
        works[type_] = values.get(role, [None])[0]
    for type_, said in refused.items():
        assert f"audiences.people.columns.{role}: {column(type_)} " in said or "the database says: could not" in said
    if role == "address":
        assert works == ADDRESSES
    elif role == "registered_at":
        assert works == {type_: at for type_, at in TIMES.items() if type_ != "bigint"}
    elif role == "language":
        assert works.keys() == {"text", "money", "macaddr", "mood", "tsvector", "char(4)"}
    elif role == "app":
        assert works.keys() >= {"text", "bigint", "uuid", "mood", "numeric", "positive", "money", "macaddr"}
        assert works.keys().isdisjoint({"jsonb", "int[]", "boolean", "real", "bytea", "point", "inet", "date"})
    else:
        assert works.keys() >= {"uuid", "text", "numeric", "bigint", "bytea", "date", "timestamptz", "mood", "real"}
        assert works.keys().isdisjoint({"json", "jsonb", "int[]", "boolean", "inet", "point", "interval", "bit(12)"})


async def test_columns_of_a_fixed_width_are_read_without_what_fills_them(database: Database) -> None:
    """Wherever it is looked at: in a page, in a count, in what is asked of the database."""
    await run(database, "CREATE TABLE wide (id int PRIMARY KEY, token char(100), platform char(10), lang char(8))")
    await run(database, "INSERT INTO wide VALUES (1, 'ab', 'ios', 'de'), (2, E'cd\n', E'ios\n', 'pt-BR')")
    settings = AudienceConfig(
        table="wide",
        columns=Columns(channel="platform", language="lang"),
        channels={"ios": "apns"},
    )
    found = SqlAudience(database, settings, Selection(source="wide"), ROUTES)
    await found.check(Wanted(language=True))
    assert await found.count() == {"apns/ios": 2}
    (part,) = await found.ranges(1)
    for lanes in (None, ["apns/ios"]):
        page = await found.page(part, 10, Wanted(language=True), lanes)
        assert (page.addresses, page.languages) == ([b"ab", b"cd"], ["de", "pt-BR"])
        assert page.lanes == "apns/ios"
    filtered = SqlAudience(database, settings, Selection(source="wide", filters={"channel": ["apns"]}), ROUTES)
    assert await filtered.count() == {"apns/ios": 2}


async def test_times_in_any_writing(database: Database) -> None:
    """One that is none, or is in the future for good, is unknown, and keeps nobody from being sent to."""
    times = {
        1: ("'1769846400'", 1769846400.0),
        2: ("'2026-01-31T08:00:00Z'", 1769846400.0),
        3: ("' 2026-01-31 08:00:00+00 '", 1769846400.0),
        4: ("'1769846400000'", 1769846400.0),
        5: ("'yesterday'", 0.0),
        6: ("'infinity'", 0.0),
        7: ("'-5'", 0.0),
        8: ("NULL", 0.0),
        9: ("'9999-12-31T23:59:59+00:00'", 0.0),
        10: ("'NaN'", 0.0),
    }
    await run(database, "CREATE TABLE seen (id int PRIMARY KEY, at text)")
    for key, (literal, _) in times.items():
        await run(database, f"INSERT INTO seen VALUES ({key}, {literal})")
    for type_ in (
        "at",
        "CASE WHEN id IN (1, 4, 10) THEN at::numeric END",
        "CASE WHEN id IN (1, 4, 10) THEN at::float8 END",
    ):
        settings = AudienceConfig(
            query=f"SELECT id, 'x' AS token, {type_} AS at FROM seen",
            channel="apns",
            columns=Columns(registered_at="at"),
        )
        found = SqlAudience(database, settings, Selection(source="seen"), ROUTES)
        await found.check(Wanted())
        page = await found.page((await found.ranges(1))[0], 100, Wanted())
        read = {int(key): at for key, at in zip(page.keys, page.registered_at or [], strict=True)}
        kept = times if type_ == "at" else (1, 4, 10)
        assert read == {key: at if key in kept else 0.0 for key, (_, at) in times.items()}


async def test_a_look_at_an_audience_is_bounded_and_spread(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stentor.audience.sampling.OF_EACH", 20)
    token = "CASE WHEN n < 4000 THEN lpad(to_hex(n), 64, '0') ELSE 'x' END AS token"
    await run(database, f"CREATE TABLE many AS SELECT n AS id, {token} FROM generate_series(1, 8000) AS n")
    settings = AudienceConfig(table="many", channel="apns")
    seen = await look_at(SqlAudience(database, settings, Selection(source="many"), ROUTES), Wanted())
    sample = seen["apns/ios"]
    assert (sample.looked_at, sample.unsendable) == (200, 100)
    assert sample.problem is not None
    assert sample.problem.startswith("100 of 200 installations looked at have a malformed address: an APNs token")


async def test_the_keys_of_a_range_that_cannot_be_read_name_their_column(database: Database) -> None:
    query = "SELECT CASE WHEN n = 7 THEN date '0044-03-15 BC' ELSE date '2026-01-01' + n END AS id, 'x' AS token"
    settings = AudienceConfig(query=f"{query} FROM generate_series(1, 20) AS n", channel="apns")
    found = SqlAudience(database, settings, Selection(source="people"), ROUTES)
    with pytest.raises(InvalidAudience, match="ordinal must be"):
        await found.check(Wanted())
    with pytest.raises(InvalidAudience, match="ordinal must be"):
        await found.page(Range(after=None, upto="date:2030-01-01"), 10, Wanted())
