"""What a store cannot hold of one batch: its recipients end as told, and every other batch is recorded as told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.account import Account, Failure, Waiting
from stentor.batch import VERSION, Batch
from stentor.config import SendingConfig
from stentor.errors import StoreRefused
from stentor.outcome import Outcome
from stentor.queue.contract import Lease, Task
from stentor.queue.sql import SqlQueue
from stentor.recording.contract import Settlement, Then
from stentor.recording.recorder import Recorder
from stentor.recording.refused import UNRECORDABLE
from stentor.recording.tidings import encode_tidings
from stentor.recording.worker import RecordWorker
from stentor.states import CampaignState
from stentor.store import campaigns
from stentor.store.campaigns import Campaign
from stentor.store.database import Database
from stentor.store.migrate import migrate
from stentor.store.tables import LONGEST_KEY, batches, failures
from stentor.testing.queue import ManualClock

LANE = "apns/ios"
CLOCK = ManualClock()
KEYS = [b"k0", b"k1", b"k2", b"k3"]
LETTERS = dict(zip("parxcm", Outcome, strict=True))


class Desk:
    """A recorder, and batches of four that it records."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.queue = SqlQueue(database, CLOCK)
        self.recorder = Recorder(database, self.queue, CLOCK)

    async def lease(self, number: int, keys: Sequence[bytes] = KEYS) -> Lease:
        """A batch that was planned, and is held."""
        name = f"c1/{LANE}/0.0.0.{number}"
        row = {"id": name, "campaign_id": "c1", "lane": LANE, "size": 4, "pending": 4, "planned_at": 1.0}

        async def change(connection: AsyncConnection) -> None:
            await connection.execute(batches.insert(), row | {"recipients": msgspec.msgpack.encode(keys)})

        await self.queue.settle(change, put=[Task(id=name, lane=LANE, campaign_id="c1", payload=b"")])
        (lease,) = await self.queue.take(LANE, 1, 30.0)
        return lease

    async def outcomes(self, leases: Sequence[Lease]) -> list[str]:
        letters = {outcome: letter for letter, outcome in LETTERS.items()}
        rows = {row.id: row.outcomes or bytes(4) for row in await self.database.rows(select(batches))}
        return ["".join(letters[Outcome(byte)] for byte in rows[lease.id]) for lease in leases]

    async def failures(self) -> list[Any]:
        return list(await self.database.rows(select(failures).order_by(failures.c.batch_id, failures.c.position)))


def account(letters: str, *failed: Failure, waiting: tuple[Waiting, ...] = ()) -> Account:
    return Account(outcomes=bytes(LETTERS[letter] for letter in letters), failures=failed, waiting=waiting)


def failure(position: int, **other: Any) -> Failure:
    return Failure(**{"position": position, "outcome": Outcome.REJECTED, "reason": "Unregistered", **other})


def batch_of(lease: Lease, keys: Sequence[bytes] = KEYS, addresses: Sequence[bytes] = KEYS) -> Batch:
    return Batch(
        version=VERSION,
        id=lease.id,
        campaign_id=lease.campaign_id,
        lane=lease.lane,
        expires_at=0.0,
        recipients=list(keys),
        addresses=list(addresses),
    )


def settlement(lease: Lease, said: Account, then: Then = Then.ACK) -> Settlement:
    return Settlement(lease=lease, batch=batch_of(lease), account=said, then=then)


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    database = Database.open(database_url)
    await migrate(database)
    campaign = Campaign(
        id="c1", title="News", state=CampaignState.RUNNING, audience=b"{}", collapse_id="c1", created_at=1.0
    )
    await database.write(lambda connection: campaigns.add(connection, campaign, b"{}"))
    yield Desk(database)
    await database.aclose()


async def test_what_a_failure_says_is_made_storable(desk: Desk) -> None:
    """A key, an address and a reason that PostgreSQL cannot hold, or not in an index."""
    keys, addresses = [b"a\0", b"\xff", b"k" * 9000, b"d"], [b"\0", b"\0\xff", b"", b"address"]
    lease = await desk.lease(1, keys)
    long = "".join(map(chr, range(33, 9000)))  # a server packs what repeats, so that it might fit after all
    said = account(
        "rrrr",
        failure(0, reason="no\0reason", detail="\0", dead=True),
        failure(1, detail="\ud800"),
        failure(2, reason=long, detail=long, dead=True),
        failure(3),
    )
    batch = batch_of(lease, keys, addresses)
    await desk.recorder.commit([Settlement(lease=lease, batch=batch, account=said, then=Then.ACK)])
    assert await desk.outcomes([lease]) == ["rrrr"]
    first, second, third, fourth = await desk.failures()
    assert (first.installation, first.reason, first.detail) == ("a\ufffd", "no\ufffdreason", "\ufffd")
    assert second.installation == second.detail == "\ufffd"
    assert long.startswith(third.reason)
    assert len(third.installation) == LONGEST_KEY
    assert (fourth.installation, fourth.reason) == ("d", "Unregistered")


async def test_what_the_store_cannot_hold_keeps_nothing_else_from_being_recorded(desk: Desk) -> None:
    leases = [await desk.lease(number) for number in (1, 2, 3)]
    waiting = (Waiting(2, 1, 1.0, "later"),)
    told = [
        settlement(leases[0], account("aaar", failure(3))),
        settlement(leases[1], account("arpa", failure(1, status=2**70), waiting=waiting), Then.RELEASE),
        settlement(leases[2], account("aaar", failure(3))),
    ]
    async with asyncio.TaskGroup() as group:
        group.create_task(desk.recorder.run())
        await asyncio.gather(*map(desk.recorder.record, told))
        desk.recorder.stop()
    assert await desk.outcomes(leases) == ["aaar", "arpa", "aaar"]
    assert (await desk.recorder.known([leases[1]]))[leases[1].id].account.waiting == waiting
    first, second, third = await desk.failures()
    assert first.reason == third.reason == "Unregistered"
    assert (second.reason, second.installation) == (UNRECORDABLE, "k1")
    assert "cannot hold what it was given" in second.detail
    assert (await desk.queue.depths([LANE]))[LANE].total == 1


async def test_what_cannot_be_recorded_at_all_is_put_aside(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = [await desk.lease(number) for number in (1, 2)]
    settle = desk.queue.settle

    async def refuse(change: Any = None, **ends: Any) -> None:
        if any(lease.id == bad.id for lease in ends.get("ack", ())):
            raise StoreRefused
        await settle(change, **ends)

    monkeypatch.setattr(desk.queue, "settle", refuse)
    await desk.recorder.commit([settlement(lease, account("aaaa")) for lease in (good, bad)])
    assert await desk.outcomes([good, bad]) == ["aaaa", "pppp"]
    (letter,) = await desk.queue.dead_letters()
    assert letter.id == bad.id
    assert "cannot hold" in letter.reason


class Outbox:
    """Gives some messages once, and remembers what became of them."""

    def __init__(self, messages: Sequence[Lease]) -> None:
        self.messages = list(messages)
        self.done = asyncio.Event()
        self.buried: list[str] = []

    async def take(self, limit: int, lease: float) -> list[Lease]:
        taken, self.messages = self.messages, []
        return taken

    async def ack(self, leases: Sequence[Lease]) -> None:
        self.done.set()

    async def extend(self, leases: Sequence[Lease]) -> None: ...

    async def bury(self, lease: Lease, reason: str) -> None:
        self.buried.append(lease.id)


async def test_what_the_store_cannot_hold_stops_no_recorder(desk: Desk) -> None:
    """As a role of its own, which is told by a stream."""
    leases = [await desk.lease(number) for number in (1, 2, 3)]
    messages = []
    for lease in leases:
        said = account("aaar", failure(3, status=2**63 if lease is leases[1] else 410))
        (payload,) = encode_tidings(said, batch_of(lease), 1.0)
        told = Lease(id=lease.id, lane=LANE, campaign_id="c1", payload=payload, deliveries=1, token="", until=9e9)
        messages.append(told)
    outbox: Any = Outbox(messages)
    worker = RecordWorker(desk.database, outbox, SendingConfig(), CLOCK)
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run())
        await outbox.done.wait()
        worker.stop()
    assert await desk.outcomes(leases) == ["aaar"] * 3
    assert [row.reason for row in await desk.failures()] == ["Unregistered", UNRECORDABLE, "Unregistered"]
    assert outbox.buried == []
