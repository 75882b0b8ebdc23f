"""What may stand in an app's table: one row that cannot be read or carried keeps nobody else from being planned."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import sqlalchemy as sa

from stentor.audience.contract import UNREADABLE_ROW, Routes, Selection, Wanted
from stentor.audience.registry import RegistryAudience
from stentor.audience.sql import SqlAudience
from stentor.batch import Batch, decode_batch
from stentor.config import AudienceConfig, Columns
from stentor.queue.contract import PLAN
from stentor.states import CampaignState
from stentor.store.tables import failures, installations
from tests.integration.planning.test_worker import is_planned, is_planned_and_sent, until
from tests.integration.planning.world import CAMPAIGN, HOLD, IOS, World, run, world

ROUTES = Routes(lanes={("apns", None): IOS})
PEOPLE = AudienceConfig(table="people", channel="apns", columns=Columns(id="id", address="token", attributes=("v",)))
SIZE = 35
BAD = 17
DEEP = json.loads("[" * 200 + "]" * 200)


@pytest.fixture
async def planning(database_url: str) -> AsyncIterator[World]:
    async with world(database_url, {}) as found:
        yield found


async def fill(planning: World, type_: str, value: Callable[[int], Any], settings: AudienceConfig = PEOPLE) -> None:
    """A table whose column `v` holds these values, each written as SQL."""
    await run(planning.database, sa.text(f"CREATE TABLE people (id INTEGER PRIMARY KEY, token TEXT, v {type_})"))
    for number in range(SIZE):
        statement = f"INSERT INTO people VALUES ({number}, 'token-{number}', {value(number)})".replace(":", "\\:")
        await run(planning.database, sa.text(statement))
    planning.people = SqlAudience(planning.database, settings, Selection(source="people"), ROUTES)  # type: ignore[assignment]


async def plan(planning: World, title: str = "{{ v }}") -> tuple[dict[bytes, Any], list[Any]]:
    """Plans all: what each who is in a batch has as `v`, and the failures."""
    await planning.start(title=title)
    found: dict[bytes, Any] = {}

    async def is_done() -> bool:
        planning.clock.move(1.0)
        for lease in await planning.queue.take(IOS, 100, HOLD):
            batch: Batch = decode_batch(lease.payload)
            values = batch.variables or [{"v": address} for address in batch.addresses]
            found.update({key: each.get("v") for key, each in zip(batch.recipients, values, strict=True)})
            await planning.queue.settle(ack=[lease])
        campaign = await planning.campaign()
        assert campaign.state is CampaignState.RUNNING, campaign.problem
        return campaign.planned and not (await planning.queue.depths([IOS, PLAN]))[IOS].total

    async with planning.worker():
        await until(is_done)
    assert await planning.read() == (SIZE, SIZE)
    return found, list(await planning.database.rows(sa.select(failures)))


POSTGRESQL = {
    "before year 1": ("date", "'0044-03-15 BC'", "ordinal must be"),
    "after year 9999": ("timestamptz", "'20000-01-01'", "out of range"),
    "too deep to be read": ("jsonb", f"'{'[' * 3000}{']' * 3000}'", "recursion"),
    "too long a number": ("jsonb", f"'{'9' * 5000}'", "4300"),
    "too deep to be carried": ("jsonb", f"'{json.dumps(DEEP)}'", "more than 32"),
}
SQLITE = {
    "no UTF-8": ("TEXT", "CAST(x'ff' AS TEXT)", "not UTF-8"),
}


@pytest.mark.parametrize("case", POSTGRESQL)
async def test_a_row_that_postgresql_s_driver_cannot_read_is_refused_by_itself(postgres: str, case: str) -> None:
    type_, poison, why = POSTGRESQL[case]
    async with world(postgres, {}) as planning:
        await fill(planning, type_, lambda number: poison if number == BAD else "NULL")
        await assert_only_one_is_refused(planning, why)


@pytest.mark.parametrize("case", SQLITE)
async def test_a_row_that_sqlite_s_driver_cannot_read_is_refused_by_itself(tmp_path: Any, case: str) -> None:
    type_, poison, why = SQLITE[case]
    async with world(f"sqlite:///{tmp_path / 'stentor.db'}", {}) as planning:
        await fill(planning, type_, lambda number: poison if number == BAD else "'x'")
        await assert_only_one_is_refused(planning, why)


QUERY = "SELECT id, token, CAST(v AS integer) AS v FROM people"
JSON_QUERY = "SELECT id, token, json_extract(v, '$.a') AS v FROM people"


@pytest.mark.parametrize(
    ("type_", "query", "good", "poison", "why"),
    [
        ("TEXT", QUERY, "'41'", "'forty-one or so'", 'invalid input syntax for type integer: "forty-o…"'),
        ("TEXT", QUERY, "'41'", "'99999999999'", 'value "99999…" is out of range'),
        ("TEXT", "SELECT id, token, CAST(v AS timestamptz) AS v FROM people", "'2026-01-02'", "'2026-02-30'", "date/"),
        ("INTEGER", "SELECT id, token, 82 / v AS v FROM people", "2", "0", "division by zero"),
    ],
)
async def test_a_row_that_postgresql_cannot_compute_is_refused_by_itself(
    postgres: str, monkeypatch: pytest.MonkeyPatch, type_: str, query: str, good: str, poison: str, why: str
) -> None:
    """It is far behind what was looked at before the start."""
    monkeypatch.setattr("stentor.audience.sql.LOOKED_AT", 5)
    async with world(postgres, {}) as planning:
        settings = PEOPLE.model_copy(update={"table": None, "query": query})
        await fill(planning, type_, lambda number: poison if number == BAD else good, settings)
        await assert_only_one_is_refused(planning, why)


async def test_a_row_that_sqlite_cannot_compute_is_refused_by_itself(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stentor.audience.sql.LOOKED_AT", 5)
    async with world(f"sqlite:///{tmp_path / 'stentor.db'}", {}) as planning:
        settings = PEOPLE.model_copy(update={"table": None, "query": JSON_QUERY})
        await fill(planning, "TEXT", lambda number: "'{'" if number == BAD else "'{\"a\":1}'", settings)
        await assert_only_one_is_refused(planning, "malformed JSON")


async def test_of_an_address_that_cannot_be_computed_only_the_beginning_is_told(postgres: str) -> None:
    async with world(postgres, {}) as planning:
        query = "SELECT id, CAST(v AS uuid) AS token, 'x' AS v FROM people"
        settings = PEOPLE.model_copy(update={"table": None, "query": query})
        secret = "0123456789abcdef" * 4
        good = "'00000000-0000-4000-8000-000000000000'"
        await fill(planning, "TEXT", lambda number: f"'{secret}'" if number == BAD else good, settings)
        found, (failure,) = await plan(planning, "News")
        assert len(found) == SIZE - 1
        assert (failure.installation, failure.reason) == (str(BAD), UNREADABLE_ROW)
        assert "01234567…" in failure.detail
        assert "012345678" not in failure.detail


@pytest.mark.parametrize(
    ("mistake", "why"),
    [
        ("ALTER TABLE people RENAME v TO w", "v"),
        ("UPDATE people SET v = 'x' WHERE id = 17", "invalid input syntax"),
    ],
)
async def test_a_mistake_in_the_query_pauses_it_and_mended_it_goes_on(postgres: str, mistake: str, why: str) -> None:
    """What concerns all rows, or the condition by which rows are chosen, is no row's own matter."""
    async with world(postgres, {}) as planning:
        settings = PEOPLE.model_copy(update={"where": "CAST(v AS integer) > 0"})
        await fill(planning, "TEXT", lambda _: "'1'", settings)
        await planning.people.check(Wanted(variables=("v",)))
        await planning.start(title="{{ v }}")
        await planning.do_one()
        await run(planning.database, sa.text(mistake))

        async def is_paused() -> bool:
            planning.clock.move(1.0)
            return (await planning.campaign()).state is CampaignState.PAUSED

        async with planning.worker():
            await until(is_paused)
        assert why in str((await planning.campaign()).problem)
        assert (await planning.read())[1] < SIZE
        if "RENAME" in mistake:
            await run(planning.database, sa.text("ALTER TABLE people RENAME w TO v"))
        await run(planning.database, sa.text("UPDATE people SET v = '1' WHERE id = 17"))
        await planning.move(CampaignState.RUNNING)
        async with planning.worker():
            await until(lambda: is_planned_and_sent(planning, CAMPAIGN))
        assert await planning.read() == (SIZE, SIZE)
        assert await planning.count(failures) == 0


async def assert_only_one_is_refused(planning: World, why: str) -> None:
    await planning.people.check(Wanted(variables=("v",)))
    found, (failure,) = await plan(planning)
    assert found.keys() == {b"%d" % number for number in range(SIZE) if number != BAD}
    assert (failure.installation, failure.lane, failure.reason) == (str(BAD), IOS, UNREADABLE_ROW)
    assert why in failure.detail
    assert " v " in f" {failure.detail} "


@pytest.mark.parametrize("part", ["address", "language", "registered_at"])
async def test_whatever_cannot_be_read_of_a_row_refuses_it_alone(postgres: str, part: str) -> None:
    async with world(postgres, {}) as planning:
        settings = PEOPLE.model_copy(update={"columns": PEOPLE.columns.model_copy(update={part: "v"})})
        await fill(planning, "date", lambda number: "'0044-03-15 BC'" if number == BAD else "NULL", settings)
        found, (failure,) = await plan(planning)
        assert len(found) == SIZE - 1
        assert (failure.installation, failure.reason) == (str(BAD), UNREADABLE_ROW)


async def test_a_column_of_which_nothing_can_be_read_is_named(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stentor.audience.sql.MOST_UNREADABLE", 3)
    async with world(postgres, {}) as planning:
        await fill(planning, "date", lambda number: "'0044-03-15 BC'" if number else "NULL")
        with pytest.raises(Exception, match=r"columns.attributes: v: more than 3 installations cannot be read"):
            await planning.people.check(Wanted(variables=("v",)))
        await planning.start(title="{{ v }}")

        async def is_paused() -> bool:
            planning.clock.move(1.0)
            return (await planning.campaign()).state is CampaignState.PAUSED

        async with planning.worker():
            await until(is_paused)
        assert "audiences.people.columns.attributes: v: more than 3" in str((await planning.campaign()).problem)


async def test_attributes_of_the_registry(planning: World) -> None:
    """A number of any length travels; what no template could be told of refuses the installation that has it."""
    rows = {
        "long": '{"v": 10000000000000000000000000}',
        "longer": '{"v": -340282366920938463463374607431768211456}',
        "deep": f'{{"v": {json.dumps(DEEP)}}}',
        "endless": f'{{"v": {"[" * 5000}{"]" * 5000}}}',
        "infinite": '{"v": 1e999}',
        "broken": '{"v": ',
        "nothing": None,
        "nul": '{"v": "a\\u0000b"}',
    }
    values = [{"id": key, "channel": "apns", "address": key, "attributes": text} for key, text in rows.items()]
    values += [
        {"id": f"x{n}", "channel": "apns", "address": "a", "attributes": '{"v": 1}'} for n in range(SIZE - len(rows))
    ]
    await run(planning.database, installations.insert().values(values))
    planning.people = RegistryAudience(planning.database, Selection(source="registry"), ROUTES)  # type: ignore[assignment]
    await planning.people.check(Wanted(variables=("v",)))
    found, refused = await plan(planning)
    assert found[b"long"] == 10**25
    assert found[b"longer"] == -(2**128)
    assert (found[b"nothing"], found[b"nul"]) == (None, "a\0b")
    assert {row.installation for row in refused} == {"deep", "endless", "infinite", "broken"}
    assert {row.reason for row in refused} == {UNREADABLE_ROW}
    assert len(found) == SIZE - 4


@pytest.mark.parametrize(
    ("type_", "value", "address"),
    [
        ("BYTEA", "decode('00ff' || lpad(to_hex({n}), 2, '0'), 'hex')", b"00ff%02x"),
        ("BYTEA", "convert_to('APA91b:' || {n}, 'UTF8')", b"APA91b:%d"),
        ("JSONB", "json_build_object('endpoint', {n})", b'{"endpoint":%d}'),
        ("CHAR(100)", "'a' || {n}", b"a%d"),
        ("BIGINT", "{n} - 1000", None),
        ("NUMERIC", "{n}", b"%d"),
        ("TEXT", "'a' || {n}", b"a%d"),
    ],
)
async def test_a_column_of_addresses_of_postgresql(
    postgres: str, type_: str, value: str, address: bytes | None
) -> None:
    """Bytes are read as hex, as `stentor import` reads them, whichever bytes they are."""
    settings = PEOPLE.model_copy(update={"columns": Columns(id="id", address="v")})
    async with world(postgres, {}) as planning:
        await fill(planning, type_, lambda number: value.format(n=number), settings)
        await planning.people.check(Wanted())
        found, refused = await plan(planning, "News")
        assert refused == []
        wanted = address or b"%d"
        assert found == {b"%d" % n: wanted % (n if address else n - 1000) for n in range(SIZE)}


async def test_addresses_as_sqlite_lets_them_be(tmp_path: Any) -> None:
    """In one column: text, numbers, bytes, NULL, and a NUL in the midst."""
    kinds = ["'token'", "4711", "x'00ff'", "NULL", "CAST(x'610062' AS TEXT)", "1.5", "''"]
    settings = PEOPLE.model_copy(update={"columns": Columns(id="id", address="v")})
    async with world(f"sqlite:///{tmp_path / 'stentor.db'}", {}) as planning:
        await fill(planning, "", lambda number: kinds[number % len(kinds)], settings)
        await planning.people.check(Wanted())
        found, refused = await plan(planning, "News")
        assert refused == []
        wanted = [b"token", b"4711", b"00ff", b"", b"a\0b", b"1.5", b""]
        assert found == {b"%d" % number: wanted[number % len(kinds)] for number in range(SIZE)}


async def test_a_key_with_a_nul_in_it_ends_with_a_reason_on_every_store(planning: World) -> None:
    """Where SQLite is the app's and PostgreSQL the store, such a key may come."""
    planning.people.rows = {"a\0b": "", "k" * 9000: "", "c": ""}
    await planning.start()
    async with planning.worker():
        await until(lambda: is_planned(planning))
    rows = await planning.database.rows(sa.select(failures.c.installation).order_by(failures.c.installation))
    assert [row.installation for row in rows] == ["a\ufffdb", "c", "k" * 512]
