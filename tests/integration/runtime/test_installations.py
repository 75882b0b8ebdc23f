"""The registry's installations: put, looked up, paged through, deleted, and taken from a stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience import importing, json_lines
from stentor.audience.rows import ColumnMapping
from stentor.config import Config
from stentor.errors import InvalidConfiguration, InvalidInput, UnknownInstallation
from stentor.runtime.blocking import BlockingStentor
from stentor.runtime.installations import Rejected, Upserted
from stentor.runtime.stentor import Stentor
from stentor.store.database import SQLITE, Database
from stentor.store.tables import installations

TOKEN = "{:064x}".format
APPS = {
    "hooks": {"channel": "webhook", "target": "address", "secret_file": "secret"},
    "other": {"channel": "webhook", "target": "address", "secret_file": "secret"},
}
URL = "https://example.com/hook/{}".format


@pytest.fixture
def config(database_url: str) -> Config:
    return Config.model_validate({"store": {"url": database_url}, "apps": APPS})


@pytest.fixture
async def stentor(config: Config) -> AsyncIterator[Stentor]:
    async with Stentor(config) as found:
        yield found


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def lines(*rows: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def apns(number: int, **values: Any) -> dict[str, Any]:
    return {"id": f"i{number:04}", "token": TOKEN(number), "channel": "apns", **values}


async def execute(config: Config, statement: Any) -> None:
    database = Database.open(config.store.url)

    async def change(connection: AsyncConnection) -> None:
        await connection.execute(statement)

    await database.write(change)
    await database.aclose()


async def kill(config: Config, *ids: str) -> None:
    chosen = installations.c.id.in_(ids)
    await execute(config, sa.update(installations).where(chosen).values(dead_at=100.0, dead_reason="Unregistered"))


# -- one ---------------------------------------------------------------------------------------------------------------


async def test_one_is_put_and_looked_up(stentor: Stentor) -> None:
    put = await stentor.installations.put(apns(1, language="de", time_zone="Europe/Berlin", plan="pro", age=41))
    assert put.change == "added"
    found = await stentor.installations.get("i0001")
    assert found == put.installation
    assert (found.channel, found.language, found.time_zone) == ("apns", "de", "Europe/Berlin")
    assert found.attributes == {"plan": "pro", "age": 41}
    assert TOKEN(1) not in (found.address, repr(found), repr(put))
    assert found.address == "00000000…"
    assert (await stentor.installations.get("i0001", address=True)).address == TOKEN(1)


async def test_what_is_not_said_stays(stentor: Stentor) -> None:
    await stentor.installations.put(apns(1, language="de", plan="pro"))
    assert (await stentor.installations.put({"id": "i0001", "language": "fr"})).change == "changed"
    assert (await stentor.installations.put({"id": "i0001", "language": "fr"})).change == "unchanged"
    found = await stentor.installations.get("i0001", address=True)
    assert (found.language, found.attributes, found.address) == ("fr", {"plan": "pro"}, TOKEN(1))


async def test_another_address_revives(stentor: Stentor, config: Config) -> None:
    await stentor.installations.put(apns(1, registered_at=5))
    await kill(config, "i0001")
    assert (await stentor.installations.put({"id": "i0001", "language": "de"})).installation.dead_at == 100.0
    put = await stentor.installations.put({"id": "i0001", "token": TOKEN(2)})
    assert (put.change, put.installation.dead_at, put.installation.registered_at) == ("revived", None, None)


@pytest.mark.parametrize(
    ("values", "field", "told"),
    [
        ({"token": TOKEN(1), "channel": "apns"}, "id", "no id"),
        ({"id": "new", "channel": "apns"}, "address", "no address"),
        ({"id": "new", "token": TOKEN(1)}, "channel", "no channel"),
        (apns(1, channel="apsn"), "channel", "unknown channel: 'apsn'; known are"),
        (apns(1, token="xyz" * 20), "address", "malformed address"),
        (apns(1, app="ios"), "app", "unknown app: 'ios'; no app of apns is configured"),
        (
            {"id": "a", "token": URL("a"), "channel": "webhook", "app": "hook"},
            "app",
            "unknown app: 'hook'; webhook has hooks, other",
        ),
        (apns(1, language="nonsense!"), "language", "malformed language"),
        (apns(1, time_zone="Mars/Olympus"), "time_zone", "unknown time zone"),
        (apns(1, registered_at="soon"), "registered_at", "not a time: 'soon'; write e.g. 2026-01-31T12:00:00Z"),
        (apns(1, attributes="[1]"), "attributes", "malformed attributes"),
        (apns(1, plan="a\0b"), "attributes", "malformed attributes"),
    ],
)
async def test_what_cannot_be_used_is_refused_by_its_field(
    stentor: Stentor, values: dict[str, Any], field: str, told: str
) -> None:
    with pytest.raises(InvalidInput, match=f"^{field}: {told}") as refused:
        await stentor.installations.put(values)
    assert refused.value.field == field
    assert "xyz" not in str(refused.value)
    assert (await stentor.installations.page()).installations == []


async def test_one_is_deleted(stentor: Stentor) -> None:
    await stentor.installations.put(apns(1))
    assert await stentor.installations.delete("i0001")
    assert not await stentor.installations.delete("i0001")
    with pytest.raises(UnknownInstallation, match="'i0001'"):
        await stentor.installations.get("i0001")


# -- pages -------------------------------------------------------------------------------------------------------------


async def some(stentor: Stentor, config: Config) -> None:
    rows = [apns(number) for number in range(10)]
    for number, app in enumerate(["other", None, "hooks", "other", "hooks", None, "hooks"]):
        rows.append({"id": f"w{number}", "token": URL(number), "channel": "webhook", "app": app})
    assert (await stentor.installations.upsert_many(pieces(lines(*rows)))).added == 17
    await kill(config, "i0003", "i0004", "w0", "w2", "w5")


@pytest.mark.parametrize(
    ("kind", "ids"),
    [
        ({}, [*(f"i{n:04}" for n in range(10)), *(f"w{n}" for n in range(7))]),
        ({"channel": "apns"}, [f"i{n:04}" for n in range(10)]),
        ({"channel": "apns", "dead": True}, ["i0003", "i0004"]),
        ({"channel": "webhook"}, ["w2", "w4", "w6", "w0", "w3", "w1", "w5"]),
        ({"channel": "webhook", "app": "hooks"}, ["w2", "w4", "w6"]),
        ({"channel": "webhook", "app": "hooks", "dead": False}, ["w4", "w6"]),
        ({"channel": "webhook", "app": "none"}, []),
        ({"dead": True}, ["i0003", "i0004", "w2", "w0", "w5"]),
        ({"dead": False}, [*(f"i{n:04}" for n in (0, 1, 2, 5, 6, 7, 8, 9)), "w4", "w6", "w3", "w1"]),
        ({"channel": "telegram"}, []),
    ],
)
@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_pages_join_without_a_gap(
    stentor: Stentor, config: Config, kind: dict[str, Any], ids: list[str], limit: int
) -> None:
    await some(stentor, config)
    found: list[str] = []
    cursor = None
    for _ in range(20):
        page = await stentor.installations.page(**kind, limit=limit, cursor=cursor)
        assert len(page.installations) <= limit
        found += [each.id for each in page.installations]
        cursor = page.next
        if cursor is None:
            break
    assert found == ids


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ({"app": "hooks"}, "say which channel"),
        ({"cursor": "nonsense"}, "not a cursor"),
        ({"cursor": "!"}, "not a cursor"),
        ({"limit": 0}, "limit: 0"),
        ({"limit": 1001}, "limit: 1001"),
    ],
)
async def test_a_list_that_there_is_not(stentor: Stentor, kind: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidConfiguration, match=told):
        await stentor.installations.page(**kind)


async def test_no_page_reads_more_than_a_page(
    stentor: Stentor, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its queries follows an index, so that it costs the same however many installations there are."""
    rows = (apns(number) for number in range(100, 3100))
    await stentor.installations.upsert_many(pieces(lines(*rows)))
    await some(stentor, config)
    database = Database.open(config.store.url)
    sqlite = database.dialect == SQLITE
    await database.write(lambda connection: connection.exec_driver_sql("ANALYZE stentor_installations"))
    await database.aclose()
    asked: list[tuple[AsyncConnection, Any]] = []
    execute = AsyncConnection.execute

    async def explained(self: AsyncConnection, statement: Any, *arguments: Any, **more: Any) -> Any:
        if "stentor_installations" in str(statement) and not isinstance(statement, sa.TextClause):
            compiled = statement.compile(dialect=self.dialect, compile_kwargs={"literal_binds": True})
            how = "EXPLAIN QUERY PLAN" if sqlite else "EXPLAIN"
            plan = (await execute(self, sa.text(f"{how} {str(compiled).replace(':', chr(92) + ':')}"))).all()
            asked.append((self, "\n".join(str(row) for row in plan)))
        return await execute(self, statement, *arguments, **more)

    monkeypatch.setattr(AsyncConnection, "execute", explained)
    for kind in ({}, {"channel": "apns"}, {"channel": "webhook", "app": "hooks"}, {"dead": True}, {"dead": False}):
        page = await stentor.installations.page(**kind, limit=5)
        await stentor.installations.page(**kind, limit=5, cursor=page.next)
    assert len(asked) > 20
    for _, plan in asked:
        assert "TEMP B-TREE" not in plan, plan
        assert "Sort" not in plan, plan
        assert "Seq Scan" not in plan, plan
        assert all("USING" in line for line in plan.splitlines() if "SCAN stentor" in line), plan


# -- streams -----------------------------------------------------------------------------------------------------------


async def test_a_stream_is_taken_in(stentor: Stentor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "BATCH", 4)
    body = b"\xef\xbb\xbf" + lines(
        apns(1, language="de"),
        apns(2, language="nonsense!"),
        apns(3, token="?"),
        apns(4),
        apns(2, token=TOKEN(22)),
        {"id": "w", "token": URL(1), "channel": "webhook", "app": "nobody's"},
    )
    body += b'{"id": \n\n\xff\n[]\n' + lines(apns(5))[:-1]  # no newline at its end
    told: list[Rejected] = []

    async def on_rejected(some: Sequence[Rejected]) -> None:
        told.extend(some)

    progress: list[Upserted] = []
    each = [body[at : at + 7] for at in range(0, len(body), 7)]
    done = await stentor.installations.upsert_many(pieces(*each), on_rejected=on_rejected, on_progress=progress.append)
    assert done == Upserted(
        lines=11,
        read=10,
        added=4,
        changed=0,
        revived=0,
        unchanged=0,
        duplicates=1,
        rejected={"malformed JSON": 2, "malformed address": 1, "unknown app": 1, "not UTF-8": 1},
        left_out={"malformed language": 1},
    )
    assert progress[-1] == done
    assert [seen.lines for seen in progress] == sorted(seen.lines for seen in progress)
    assert sorted((each.line, each.fate.value, each.id) for each in told) == [
        (2, "duplicate", "i0…"),
        (2, "left out", "i0…"),
        (3, "rejected", "i0…"),
        (6, "rejected", "…"),
        (7, "rejected", ""),
        (9, "rejected", ""),
        (10, "rejected", ""),
    ]
    again = await stentor.installations.upsert_many(pieces(body))
    assert (again.added, again.changed, again.unchanged, again.duplicates) == (0, 0, 4, 1)
    assert (await stentor.installations.get("i0002", address=True)).address == TOKEN(22)


async def test_one_line_that_is_too_long_costs_only_itself(stentor: Stentor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "LONGEST_LINE", 200)
    long = lines(apns(2, plan="x" * 500))
    body = lines(apns(1)) + long + lines(apns(3)) + long + lines(apns(4)) + long[:-1]
    for size in (1, 150, 10_000):
        cut = [body[at : at + size] for at in range(0, len(body), size)]
        done = await stentor.installations.upsert_many(pieces(*cut))
        assert (done.lines, done.read, done.rejected) == (6, 6, {"line too long": 3})
        assert done.added + done.unchanged == 3


class Broken(Exception):
    pass


async def test_a_stream_that_breaks_keeps_what_was_read(stentor: Stentor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "BATCH", 10)
    monkeypatch.setattr("stentor.runtime.installations.BATCH", 10)

    async def body() -> AsyncIterator[bytes]:
        for number in range(25):
            yield lines(apns(number))
        raise Broken

    progress: list[Upserted] = []
    with pytest.raises(Broken):
        await stentor.installations.upsert_many(body(), on_progress=progress.append)
    assert (progress[-1].lines, progress[-1].added) == (20, 20)
    assert len((await stentor.installations.page()).installations) == 20


async def test_a_stream_that_is_cancelled_ends_at_once(stentor: Stentor) -> None:
    began = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield lines(apns(1))
        began.set()
        await asyncio.Event().wait()

    taking = asyncio.create_task(stentor.installations.upsert_many(body()))
    await began.wait()
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking


async def test_two_streams_with_the_same_installations(stentor: Stentor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "BATCH", 7)
    monkeypatch.setattr("stentor.runtime.installations.BATCH", 7)
    rows = [apns(number) for number in range(200)]
    done = await asyncio.gather(
        *(stentor.installations.upsert_many(pieces(lines(*some))) for some in (rows, rows[::-1], rows[100:] + rows))
    )
    assert sum(each.added for each in done) == 200
    assert sum(each.changed + each.revived for each in done) == 0


async def test_a_lot_is_bounded_by_its_bytes() -> None:
    body = lines(*(apns(number, plan="x" * 1000) for number in range(20)))
    lots = [lot async for lot in json_lines.read_stream(pieces(body), ColumnMapping(), 1000, 5000)]
    assert [len(lot) for lot in lots] == [5, 5, 5, 5]


async def test_a_channel_that_there_is_not(stentor: Stentor) -> None:
    with pytest.raises(InvalidConfiguration, match="known are"):
        await stentor.installations.upsert_many(pieces(b""), channel="smoke")


def test_without_an_event_loop(config: Config) -> None:
    told: list[Rejected] = []
    with BlockingStentor(config) as stentor:
        body = [lines(apns(1)), lines(apns(2, token="?"))]
        done = stentor.installations.upsert_many(body, channel="apns", on_rejected=told.extend)
        assert (done.added, [each.line for each in told]) == (1, [2])
        assert stentor.installations.get("i0001").id == "i0001"
