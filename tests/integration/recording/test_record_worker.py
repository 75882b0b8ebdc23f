"""The recorder as a role: what it cannot read or write, and several at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from stentor.config import SendingConfig
from stentor.errors import StoreUnavailable
from stentor.queue.contract import Lease
from stentor.recording.worker import RecordWorker
from stentor.recording.worker import _nothing as nothing
from stentor.store.database import Database
from stentor.store.tables import batches
from tests.integration.queue.rig import LANE, PATIENCE, Rig, again, rig_on, until, until_recorded
from tests.integration.recording.rows import Rows, fresh_rows
from tests.integration.recording.test_relay import messages, recorded

SETTINGS = SendingConfig(lease=1.0, deliveries=3)


@pytest.fixture
async def rows(tmp_path: Any) -> AsyncIterator[Rows]:
    async with fresh_rows(f"sqlite:///{tmp_path / 'stentor.db'}") as rows:
        await rows.campaign()
        yield rows


@pytest.fixture
async def rig(nats_url: str, queue_name: str, rows: Rows) -> AsyncIterator[Rig]:
    async with rig_on(nats_url, queue_name, rows.database) as rig:
        yield rig


def lease_of(name: str) -> Lease:
    return Lease(id=name, lane=LANE, campaign_id="c1", payload=b"", deliveries=1, token="", until=0.0)


@asynccontextmanager
async def at_work(*workers: RecordWorker) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(worker.run())
        try:
            yield
        finally:
            for worker in workers:
                worker.stop()


async def dead(rig: Rig) -> list[bytes]:
    jetstream = await rig.jetstream()
    info = await jetstream.stream_info(rig.streams.dead, subjects_filter=">")
    subjects = info.state.subjects or {}
    return [(await jetstream.get_last_msg(rig.streams.dead, subject)).data or b"" for subject in subjects]


async def test_what_cannot_be_read_is_put_aside(rig: Rig, rows: Rows, caplog: pytest.LogCaptureFixture) -> None:
    name = await rows.batch(1, "ppp", task=None)
    lying = msgspec.msgpack.encode(
        {"version": 1, "at": 1.0, "outcomes": b"\2", "failures": [{"position": 7, "outcome": 2, "reason": "r"}]}
    )
    for message in (b"nonsense", lying, msgspec.msgpack.encode({"version": 0})):
        await rig.outbox.send(lease_of(name), [message])
        async with at_work(RecordWorker(rows.database, rig.outbox, SETTINGS)):
            await until_recorded(rig)
        assert await dead(rig) == [message]
    (letter,) = await rig.queue.dead_letters("c1")
    assert (letter.id, letter.lane, letter.deliveries) == (f"{name}#outcomes", LANE, 3)
    assert "format 0" in letter.reason  # of the latest
    await rig.outbox.send(lease_of(name), messages(lease_of(name), "aar"))
    async with at_work(RecordWorker(rows.database, rig.outbox, SETTINGS)):
        await until_recorded(rig)
    assert await recorded(rows, name) == "aar"
    assert "are put aside" in caplog.text


async def test_what_a_newer_sender_tells_is_left_to_a_newer_recorder(rig: Rig, rows: Rows) -> None:
    name = await rows.batch(1, "ppp", task=None)
    newer = msgspec.msgpack.encode({"version": 2, "what": "ever"})
    await rig.outbox.send(lease_of(name), [newer])
    taken = 0
    take = rig.outbox.take

    async def count(limit: int, lease: float) -> list[Lease]:
        nonlocal taken
        leases = await take(limit, lease)
        taken += len(leases)
        assert all(each.deliveries <= SETTINGS.deliveries for each in leases)
        return leases

    rig.outbox.take = count  # type: ignore[method-assign]
    async with at_work(RecordWorker(rows.database, rig.outbox, SETTINGS)):
        await until(lambda: taken > SETTINGS.deliveries + 1)
    assert await dead(rig) == []
    assert await rig.outbox.about(lease_of(name)) == [newer]


async def test_a_message_with_more_in_it_is_read(rig: Rig, rows: Rows) -> None:
    name = await rows.batch(1, "ppp", task=None)
    (message,) = messages(lease_of(name), "aar")
    more = msgspec.msgpack.encode(msgspec.msgpack.decode(message) | {"colour": "blue"})
    await rig.outbox.send(lease_of(name), [more])
    async with at_work(RecordWorker(rows.database, rig.outbox, SETTINGS)):
        await until_recorded(rig)
    assert await recorded(rows, name) == "aar"


class Outage:
    """Of the store, from the next outcomes on that are written, or from now on."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_on = False
        self.comes = True
        self.refused = 0
        self._write: Callable[..., Any] = database.write
        monkeypatch.setattr(database, "write", self.write)

    async def write(self, change: Any) -> Any:
        if self.comes and change is not nothing:
            self.is_on, self.comes = True, False
        if self.is_on:
            self.refused += 1
            raise StoreUnavailable("the disk is full")
        return await self._write(change)

    async def is_noticed(self, times: int = 1) -> None:
        before = self.refused
        await until(lambda: self.refused >= before + times)


class Takes:
    """Notes how often each message was delivered, by then, that is taken."""

    def __init__(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        self.deliveries: list[int] = []
        self._take = rig.outbox.take
        monkeypatch.setattr(rig.outbox, "take", self.take)

    async def take(self, limit: int, lease: float) -> list[Lease]:
        leases = await self._take(limit, lease)
        self.deliveries += [each.deliveries for each in leases]
        return leases


async def test_while_the_store_is_away_nothing_is_held(rig: Rig, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was taken is put back as if it had not been, and nothing is taken before the store answers."""
    name = await rows.batch(1, "ppp", task=None)
    worker = RecordWorker(rows.database, rig.outbox, SETTINGS)
    outage, takes = Outage(rows.database, monkeypatch), Takes(rig, monkeypatch)
    await rig.outbox.send(lease_of(name), messages(lease_of(name), "aar"))
    async with at_work(worker):
        await outage.is_noticed(4)
        assert takes.deliveries == [1]
        problems = [worker.problem]
        assert await rig.outbox.about(lease_of(name)) == messages(lease_of(name), "aar")
        outage.is_on = False
        await until_recorded(rig)
        problems.append(worker.problem)
    assert takes.deliveries == [1, 1]
    assert problems == ["the disk is full", None]
    assert worker.tally.commits == 1
    assert await recorded(rows, name) == "aar"


async def test_recorders_that_are_killed_again_and_again_while_the_store_is_away_are_nobodys_fault(
    rig: Rig, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [await rows.batch(number, "ppp", task=None) for number in range(5)]
    for name in names:
        await rig.outbox.send(lease_of(name), messages(lease_of(name), "aar"))
    outage, takes = Outage(rows.database, monkeypatch), Takes(rig, monkeypatch)
    for number in range(2 * SETTINGS.deliveries):
        worker = RecordWorker(rows.database, rig.outbox, SETTINGS)
        running = asyncio.create_task(worker.run())
        await outage.is_noticed(2)
        if number % 2:
            running.cancel()
        else:
            worker.stop()
        await asyncio.wait([running])
    assert takes.deliveries == [1] * len(names)  # by the first one, before the outage
    outage.is_on = False
    last = RecordWorker(rows.database, rig.outbox, SETTINGS)
    async with at_work(last):
        await until_recorded(rig)
    assert takes.deliveries == [1] * 2 * len(names)
    assert [await recorded(rows, name) for name in names] == ["aar"] * len(names)
    assert await dead(rig) == []
    assert await rig.queue.dead_letters() == []


async def test_what_was_put_back_counts_the_deaths_it_had(
    rig: Rig, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage doesn't acquit either."""
    name = await rows.batch(1, "ppp", task=None)
    await rig.outbox.send(lease_of(name), messages(lease_of(name), "aar"))
    takes = Takes(rig, monkeypatch)
    (held,) = await again(lambda: rig.outbox.take(1, SETTINGS.lease))  # and then it dies
    (held,) = await again(lambda: rig.outbox.take(1, SETTINGS.lease))
    await rig.outbox.put_back([held])
    assert await again(lambda: rig.outbox.take(1, SETTINGS.lease))
    assert takes.deliveries == [1, 2, 2]


async def test_two_at_once_write_everything(rig: Rig, rows: Rows) -> None:
    names = [await rows.batch(number, "pppp", task=None) for number in range(40)]
    for column in ("appp", "parp", "aarx"):
        await asyncio.gather(*(rig.outbox.send(lease_of(name), messages(lease_of(name), column)) for name in names))
    workers = [RecordWorker(rows.database, rig.outbox, SETTINGS) for _ in range(2)]
    async with at_work(*workers):
        await until_recorded(rig)
    assert {await recorded(rows, name) for name in names} == {"aarx"}
    (counts,) = {
        (row.accepted, row.rejected, row.expired, row.pending) for row in await rows.database.rows(select(batches))
    }
    assert counts == (2, 1, 1, 0)


async def test_a_message_that_kills_its_recorder_is_written_alone_and_at_last_put_aside(
    rig: Rig, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [await rows.batch(number, "p", task=None) for number in range(5)]
    for name in names:
        await rig.outbox.send(lease_of(name), messages(lease_of(name), "a"))

    class Dead(BaseException):
        """As when the process is gone."""

    async def mortal(self: RecordWorker, settlements: Any) -> bool:
        if any(each.lease.id == names[2] for each in settlements):
            raise Dead
        return await write(self, settlements)

    write = RecordWorker._write
    monkeypatch.setattr(RecordWorker, "_write", mortal)
    settings = SendingConfig(lease=1.0, deliveries=3)  # one alone is the last: it must not be an innocent one
    async with asyncio.timeout(PATIENCE * 2):
        while await rig.outbox.tasks("c1"):
            worker = RecordWorker(rows.database, rig.outbox, settings)
            running = asyncio.create_task(worker.run())
            done = asyncio.create_task(until_recorded(rig))
            await asyncio.wait([running, done], return_when=asyncio.FIRST_COMPLETED)
            done.cancel()
            worker.stop()
            await asyncio.wait([running, done])
            assert isinstance(running.exception(), Dead | None)
    assert len(await dead(rig)) == 1
    assert [await recorded(rows, name) for name in names] == ["a", "a", "p", "a", "a"]
    (letter,) = await rig.queue.dead_letters("c1")
    assert (letter.id, letter.deliveries) == (f"{names[2]}#outcomes", 1)
    assert letter.reason == "3 recorders died while they held it"


async def test_while_the_store_is_away_nothing_is_put_aside(
    rig: Rig, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its batch would be sent again and again, as nobody knew how often that had been so."""
    name = await rows.batch(1, "ppp", task=None)
    outage, takes = Outage(rows.database, monkeypatch), Takes(rig, monkeypatch)
    await rig.outbox.send(lease_of(name), [b"nonsense"])
    async with at_work(RecordWorker(rows.database, rig.outbox, SETTINGS)):
        await outage.is_noticed(2)
        assert takes.deliveries == [1]
        assert (await dead(rig), await rig.outbox.tasks("c1")) == ([], {name})
        outage.is_on = False
        await until_recorded(rig)
    assert await dead(rig) == [b"nonsense"]
    assert [(each.id, each.deliveries) for each in await rig.queue.dead_letters()] == [(f"{name}#outcomes", 1)]
