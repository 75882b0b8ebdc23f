"""Erasing a person: nothing of it is left in the store, the sums stay right, and nobody else notices."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from stentor.account import Receipt, Waiting
from stentor.audience.contract import Condition, Range, Selection
from stentor.batch import VERSION, Batch, decode_batch, encode_batch
from stentor.config import Config
from stentor.outcome import Outcome
from stentor.planning.planner import Step
from stentor.queue.contract import PLAN
from stentor.recording.audit import Audit, audit
from stentor.runtime import erasing
from stentor.runtime.erasing import Erased, Eraser, Erasing
from stentor.runtime.resources import Resources
from stentor.store import exclusions, opt_outs
from stentor.store.letters import OF_OUTCOMES
from stentor.store.tables import (
    METADATA,
    batches,
    campaigns,
    chains,
    dead_letters,
    failures,
    installations,
    payloads,
    receipts,
    segments,
    tasks,
)
from tests.integration.recording.rows import NOW, Rows, fresh_rows

ANNA, ADDRESS = "anna-4711", "a1" * 32
CHAT = "telegram/bot"
FAR = 1e12
"""A lease that ends then is held."""


@pytest.fixture
async def rows(database_url: str) -> Any:
    async with fresh_rows(database_url) as made:
        await made.insert(
            installations,
            *[
                {"id": key, "channel": "apns", "address": address}
                for key, address in ((ANNA, ADDRESS), ("anna-47112", "b2" * 32))
            ],
        )
        yield made


@pytest.fixture
async def eraser(rows: Rows, database_url: str) -> Any:
    config = Config.model_validate(
        {
            "store": {"url": database_url},
            "audiences": {
                "users": {"channel": "apns", "url": "sqlite:///app.db", "table": "users", "columns": {"id": "user_id"}}
            },
        }
    )
    resources = Resources.open(config, lambda: NOW)
    yield Eraser(resources)
    await resources.aclose()


async def put(rows: Rows, number: int, outcomes: str, keys: Sequence[str], **values: Any) -> str:
    """A batch with its payload; Anna has her address in it, and a name."""
    state = values.pop("task", "queued")
    given = [key.encode() for key in keys]
    name = await rows.batch(number, outcomes, keys=given, task=None, **values)
    if "p" in outcomes:
        lane = values.get("lane", "apns/ios")
        batch = Batch(
            version=VERSION,
            id=name,
            campaign_id="c1",
            lane=lane,
            expires_at=NOW + 3600,
            recipients=given,
            addresses=[ADDRESS.encode() if key == ANNA else b"c3" * 32 for key in keys],
            variables=[{"name": "Anna Berg"} if key == ANNA else {"name": "Bert"} for key in keys],
        )
        ready, lease, deliveries = {"queued": (1.0, None, 0), "held": (FAR, "t", 1), "lapsed": (1.0, "t", 1)}[state]
        task = {"id": name, "lane": lane, "campaign_id": "c1", "ready_at": ready, "lease": lease}
        await rows.insert(tasks, task | {"deliveries": deliveries})
        await rows.insert(payloads, {"id": name, "payload": encode_batch(batch)})
    return name


async def all_of(rows: Rows, table: sa.Table) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in await rows.database.rows(sa.select(table))]


async def holding(rows: Rows, *needles: str) -> list[str]:
    """Every column of every table that holds one of these texts."""
    found = []
    for table in METADATA.sorted_tables:
        for row in await all_of(rows, table):
            for column, value in row.items():
                text = bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
                if any(needle.encode() in text.replace(b"anna-47112", b"") for needle in needles):
                    found.append(f"{table.name}.{column}")
    return found


async def recount(rows: Rows) -> Audit:
    async with rows.database.read() as connection:
        return await audit(connection, "c1", NOW)


async def outcomes(rows: Rows, name: str) -> list[Outcome]:
    found = await rows.database.rows(sa.select(batches.c.outcomes, batches.c.size).where(batches.c.id == name))
    return list(map(Outcome, found[0].outcomes or bytes(found[0].size)))


async def test_nothing_of_a_person_is_left_anywhere(rows: Rows, eraser: Eraser) -> None:
    """In a campaign of every kind of place, beside others who stay."""
    only = Selection(
        source="users",
        only=["x", ANNA],
        filters={"user_id": [ANNA], "plan": Condition(none_of=["free"])},
        segment=f"user_id != {ANNA} and plan = pro",
        failed_of="c0",
        within=Selection(source="registry", filters={"id": Condition(values=[ANNA, "y"], none_of=[ANNA])}),
    )
    await rows.campaign(read=13, audience=msgspec.json.encode(only))
    saved = {"name": "her", "segment": f"user_id in [{ANNA}, x] or id = {ANNA}", "created_at": NOW, "changed_at": NOW}
    await rows.insert(segments, saved)
    ended = await put(rows, 1, "aarx", ["a", ANNA, "b", "c"])
    failed = await put(rows, 2, "ar", ["d", "e"])
    pending = await put(rows, 3, "ppp", ["f", "anna-47112", "g"])
    chat = await put(rows, 4, "aam", ["h", "i", "j"], lane=CHAT)
    for name, position in ((failed, 1), (chat, 1)):
        keys = [b"d", ANNA.encode()] if name == failed else [b"h", ANNA.encode(), b"j"]
        anew = msgspec.msgpack.encode(keys)
        await rows.change(sa.update(batches).where(batches.c.id == name).values(recipients=anew))
        told = {"installation": ANNA, "detail": f"no such token {ADDRESS}"}
        where = (failures.c.batch_id == name, failures.c.position == position)
        await rows.change(sa.update(failures).where(*where).values(**told))
    given = [Receipt(0, NOW, "77:1"), Receipt(1, NOW, f"{ADDRESS}:2", ADDRESS)]
    await rows.insert(receipts, {"batch_id": chat, "campaign_id": "c1", "receipts": msgspec.msgpack.encode(given)})
    letter = {"lane": "apns/ios", "campaign_id": "c1", "reason": "?", "deliveries": 5, "at": NOW}
    await rows.insert(
        dead_letters,
        *[letter | {"id": name, "payload": ADDRESS.encode()} for name in (ended, ended + OF_OUTCOMES)],
    )
    await rows.change(sa.update(chains).values(read=12))
    # in one campaign nobody is twice, so she is recounted in each batch apart
    assert {check.name for check in (await recount(rows)).checks if not check.ok} == {"once"}
    assert await holding(rows, ANNA, ADDRESS)

    seen: list[Erasing] = []
    done = await eraser.erase(ANNA, on_progress=seen.append)
    assert done == Erased(registered=True, places=3, cancelled=0, campaigns=["c1"], left=[])
    assert (seen[-1].batches, seen[-1].found, seen[-1].waiting) == (4, 3, 0)
    assert await holding(rows, ANNA, ADDRESS, "Berg") == []
    found = await recount(rows)
    assert found.exact, found.checks
    assert [each["id"] for each in await all_of(rows, installations)] == ["anna-47112"]
    assert await outcomes(rows, pending) == [Outcome.PENDING] * 3
    assert [
        each.id for each in msgspec.msgpack.decode((await all_of(rows, receipts))[0]["receipts"], type=list[Receipt])
    ] == ["77:1"]
    selection = msgspec.json.decode((await all_of(rows, campaigns))[0]["audience"], type=Selection)
    assert selection.only is not None
    assert (selection.only[0], len(selection.only)) == ("x", 2)
    assert await eraser.erase(ANNA) == Erased(registered=False, places=0, cancelled=0, campaigns=[], left=[])


async def test_who_is_not_sent_to_yet_is_cancelled(rows: Rows, eraser: Eraser) -> None:
    await rows.campaign(read=3)
    name = await put(rows, 1, "ppp", ["a", ANNA, "b"], waiting=[Waiting(1, 2, NOW, "TooManyRequests")])
    done = await eraser.erase(ANNA)
    assert (done.cancelled, done.left) == (1, [])
    assert await outcomes(rows, name) == [Outcome.PENDING, Outcome.CANCELLED, Outcome.PENDING]
    assert await holding(rows, ANNA, ADDRESS, "Berg") == []
    found = await recount(rows)
    assert found.exact, found.checks
    batch = decode_batch((await all_of(rows, payloads))[0]["payload"])
    assert batch.addresses == [b"c3" * 32, b"", b"c3" * 32]
    assert batch.variables == [{"name": "Bert"}, {}, {"name": "Bert"}]
    (row,) = await all_of(rows, batches)
    assert batch.recipients == msgspec.msgpack.decode(row["recipients"])


async def test_a_batch_that_was_for_nobody_else_ends(rows: Rows, eraser: Eraser) -> None:
    await rows.campaign(read=2)
    await put(rows, 1, "ap", ["a", ANNA])
    assert (await eraser.erase(ANNA)).cancelled == 1
    assert await all_of(rows, tasks) == []
    found = await recount(rows)
    assert found.exact, found.checks


@pytest.mark.parametrize(
    ("lane", "waiting", "expected"),
    [
        ("apns/ios", [], Outcome.AMBIGUOUS),  # the sender that died may have sent it
        (CHAT, [], Outcome.CANCELLED),  # nobody is sent a chat without being on record before
        (CHAT, [Waiting(1, 0, NOW - 5, "Interrupted", begun=True)], Outcome.AMBIGUOUS),
    ],
)
async def test_who_may_have_been_sent_to_is_not_called_cancelled(
    rows: Rows, eraser: Eraser, lane: str, waiting: list[Waiting], expected: Outcome
) -> None:
    await rows.campaign(read=3)
    name = await put(rows, 1, "ppp", ["a", ANNA, "b"], lane=lane, waiting=waiting, task="lapsed")
    assert (await eraser.erase(ANNA)).left == []
    assert await outcomes(rows, name) == [Outcome.PENDING, expected, Outcome.PENDING]
    assert await holding(rows, ANNA, ADDRESS) == []
    found = await recount(rows)
    assert found.exact, found.checks
    (task,) = await all_of(rows, tasks)
    assert (task["lease"], task["deliveries"]) == (None, 1)  # the one who died is fenced off, and known to the next


async def test_a_batch_at_a_sender_is_waited_for(rows: Rows, eraser: Eraser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasing, "LOOK", 0.01)
    await rows.campaign(read=2)
    name = await put(rows, 1, "pp", ["a", ANNA], task="held")
    waits = asyncio.Event()

    def seen(now: Erasing) -> None:
        if now.waiting:
            waits.set()

    erased = asyncio.create_task(eraser.erase(ANNA, on_progress=seen, patience=60.0))
    await waits.wait()
    assert await outcomes(rows, name) == [Outcome.PENDING] * 2
    await rows.change(sa.update(tasks).values(lease=None, deliveries=0))
    done = await erased
    assert (done.cancelled, done.left) == (1, [])
    assert await outcomes(rows, name) == [Outcome.PENDING, Outcome.CANCELLED]


async def test_what_could_not_be_removed_is_told_and_the_registry_waits(rows: Rows, eraser: Eraser) -> None:
    await rows.campaign(read=2)
    name = await put(rows, 1, "pp", ["a", ANNA], task="held")
    done = await eraser.erase(ANNA, patience=0.0)
    assert name in done.left[0]
    assert "erase it again" in done.left[0]
    assert ANNA not in str(done.left)
    kept = {each["id"]: each["dead_reason"] for each in await all_of(rows, installations)}
    assert kept == {ANNA: erasing.ERASED, "anna-47112": None}  # so that no campaign reads it meanwhile
    await rows.change(sa.update(tasks).values(lease=None, deliveries=0))
    assert (await eraser.erase(ANNA)).left == []
    assert await holding(rows, ANNA, ADDRESS) == []


async def test_what_a_planner_reads_just_now_is_waited_for(rows: Rows, eraser: Eraser) -> None:
    await rows.campaign(read=0)
    step = {"lane": PLAN, "campaign_id": "c1", "ready_at": FAR, "lease": "p", "deliveries": 1}
    await rows.insert(tasks, step | {"id": "c1/plan/0.1"})
    done = await eraser.erase(ANNA, patience=0.0)
    assert "planners may have read it" in done.left[0]
    await rows.change(sa.update(tasks).values(ready_at=1.0))  # it died
    assert (await eraser.erase(ANNA, patience=0.0)).left == []
    (task,) = await all_of(rows, tasks)
    assert task["lease"] is None


async def test_a_range_that_ends_at_it_is_told(rows: Rows, eraser: Eraser) -> None:
    await rows.campaign(read=0)
    step = Step(chain="0", number=1, part=Range(after=None, upto=f"text:{ANNA}"))
    await rows.change(sa.update(chains).values(next=msgspec.msgpack.encode(step)))
    done = await eraser.erase(ANNA)
    assert "campaign c1 has yet to read" in done.left[0]


async def test_a_kill_half_way_is_made_good_by_erasing_again(
    rows: Rows, eraser: Eraser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "PAGE", 1)
    await rows.campaign(read=4)
    await put(rows, 1, "ap", ["a", ANNA])
    await put(rows, 2, "ap", ["b", "c"])
    other = msgspec.msgpack.encode([b"b", ANNA.encode()])
    await rows.change(sa.update(batches).where(batches.c.id.endswith(".2")).values(recipients=other))

    class Killed(BaseException):
        pass

    def kill(now: Erasing) -> None:
        raise Killed

    with pytest.raises(Killed):
        await eraser.erase(ANNA, on_progress=kill)
    assert await holding(rows, ANNA)
    done = await eraser.erase(ANNA)
    assert (done.registered, done.places, done.left) == (True, 1, [])
    assert await holding(rows, ANNA) == []
    found = await recount(rows)
    assert found.exact, found.checks


async def test_a_batch_of_a_newer_stentor_s_is_left_to_it(rows: Rows, eraser: Eraser) -> None:
    await rows.campaign(read=2)
    await put(rows, 1, "pp", ["a", ANNA])
    newer = msgspec.msgpack.encode({"version": 99, "something": "else"})
    await rows.change(sa.update(payloads).values(payload=newer))
    done = await eraser.erase(ANNA, patience=0.0)
    assert "newer Stentor" in done.left[0]
    assert (await all_of(rows, payloads))[0]["payload"] == newer


async def test_no_statement_looks_through_more_than_a_page(
    rows: Rows, eraser: Eraser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "PAGE", 2)
    await rows.campaign(read=5)
    for number in range(1, 6):
        await put(rows, number, "a", [f"k{number}"])
    looked: list[int] = []
    ask = type(rows.database).rows

    async def counted(self: Any, query: Any, *arguments: Any) -> Any:
        found = await ask(self, query, *arguments)
        if "holds" in str(query):
            looked.append(len(found))
        return found

    monkeypatch.setattr(type(rows.database), "rows", counted)
    await eraser.erase(ANNA)
    assert looked == [2, 2, 1, 0]


async def test_a_no_outlives_the_person_and_nobody_can_tell_whose_it_was(rows: Rows, eraser: Eraser) -> None:
    """An erased person who registers again is still left alone."""

    async def say_no(connection: Any) -> None:
        await opt_outs.add(connection, [ANNA, "anna-47112"], "news", NOW)
        await exclusions.add(connection, "staff", [ANNA, "anna-47112"], NOW)

    await rows.database.write(say_no)
    await eraser.erase(ANNA)
    async with rows.database.read() as connection:
        assert [each.category for each in await opt_outs.of(connection, ANNA)] == ["news"]
        assert [each.installation for each in await opt_outs.page(connection, None, None, 10)] == ["anna-47112"]
        assert await exclusions.page(connection, "staff", None, 10) == ["anna-47112"]
        for table in METADATA.sorted_tables:
            for row in await connection.execute(sa.select(table)):
                assert not any(each == ANNA for each in row), table.name
    assert await rows.database.write(lambda connection: opt_outs.add(connection, [ANNA], "news", NOW)) == 0
    async with rows.database.read() as connection:
        listed = await opt_outs.page(connection, "news", None, 10)
    assert [each.installation for each in listed] == [ANNA, "anna-47112"], "it was named again, and is known again"


async def test_where_a_batch_lies_no_longer_names_the_person(rows: Rows, eraser: Eraser) -> None:
    await rows.campaign(read=2)
    name = await put(rows, 1, "aa", [ANNA, "zoe"])
    bounds = sa.update(batches).values(first_key=ANNA.encode(), last_key=b"zoe")
    await rows.database.write(lambda connection: connection.execute(bounds))
    await eraser.erase(ANNA)
    (row,) = await rows.database.rows(sa.select(batches.c.first_key, batches.c.last_key).where(batches.c.id == name))
    assert bytes(row.first_key).startswith(b"erased-")
    assert bytes(row.last_key) == b"zoe"
