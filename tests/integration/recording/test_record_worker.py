"""The recorder as a role: what it cannot read or write, and several at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from stentor.config import SendingConfig
from stentor.errors import StoreUnavailable
from stentor.queue.contract import Lease
from stentor.recording.tidings import encode_tidings
from stentor.recording.worker import RecordWorker
from stentor.store.tables import batches
from tests.integration.queue.rig import LANE, PATIENCE, Rig, rig_on, until, until_recorded
from tests.integration.recording.rows import Rows, fresh_rows
from tests.integration.recording.test_relay import recorded, settlement

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
    return Lease(id=name, lane=LANE, campaign_id="c1", payload=b"", deliveries=1, token="")


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
    await rig.outbox.send(lease_of(name), encode_tidings(settlement(lease_of(name), "aar"), 1.0))
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
    (message,) = encode_tidings(settlement(lease_of(name), "aar"), 1.0)
    more = msgspec.msgpack.encode(msgspec.msgpack.decode(message) | {"colour": "blue"})
    await rig.outbox.send(lease_of(name), [more])
    async with at_work(RecordWorker(rows.database, rig.outbox, SETTINGS)):
        await until_recorded(rig)
    assert await recorded(rows, name) == "aar"


async def test_while_the_store_is_away_messages_are_held(rig: Rig, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    name = await rows.batch(1, "ppp", task=None)
    worker = RecordWorker(rows.database, rig.outbox, SETTINGS)
    tries = 0
    write = rows.database.write

    async def away(change: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries < 6:  # longer than a lease
            raise StoreUnavailable
        return await write(change)

    monkeypatch.setattr(rows.database, "write", away)
    await rig.outbox.send(lease_of(name), encode_tidings(settlement(lease_of(name), "aar"), 1.0))
    async with at_work(worker):
        await until(lambda: worker.problem is not None)
        await until_recorded(rig)
    assert worker.problem is None
    assert worker.tally.commits == 1
    assert await recorded(rows, name) == "aar"


async def test_two_at_once_write_everything(rig: Rig, rows: Rows) -> None:
    names = [await rows.batch(number, "pppp", task=None) for number in range(40)]
    for column in ("appp", "parp", "aarx"):
        await asyncio.gather(
            *(
                rig.outbox.send(lease_of(name), encode_tidings(settlement(lease_of(name), column), 1.0))
                for name in names
            )
        )
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
        await rig.outbox.send(lease_of(name), encode_tidings(settlement(lease_of(name), "a"), 1.0))

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
