"""The relay: whatever happens between a sender's settlement and the store, nobody is sent to twice for it, and no
outcome is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from sqlalchemy import delete, select, update

from stentor.config import SendingConfig
from stentor.errors import StoreUnavailable
from stentor.outcome import Outcome
from stentor.queue.contract import Lease, Task
from stentor.recording.contract import Failure, Settlement, Then, Waiting
from stentor.recording.relay import Relay
from stentor.recording.tidings import encode_tidings
from stentor.recording.worker import RecordWorker
from stentor.store.tables import batches, campaigns
from stentor.testing.nats import RunningNats
from stentor.testing.ports import LOOPBACK
from stentor.testing.proxy import Proxy
from tests.integration.queue.rig import HOLD, LANE, PATIENCE, Rig, again, rig_on, until, until_recorded
from tests.integration.recording.rows import OUTCOMES, Rows, fresh_rows
from tests.integration.recording.test_writing import batch_of


@pytest.fixture
def database_url(tmp_path: Any) -> str:
    return f"sqlite:///{tmp_path / 'stentor.db'}"


@pytest.fixture
async def rows(database_url: str) -> AsyncIterator[Rows]:
    async with fresh_rows(database_url) as rows:
        yield rows


@pytest.fixture
async def rig(nats_url: str, queue_name: str, rows: Rows) -> AsyncIterator[Rig]:
    async with rig_on(nats_url, queue_name, rows.database) as rig:
        yield rig


@pytest.fixture
async def other(nats_url: str, queue_name: str, rows: Rows) -> AsyncIterator[Rig]:
    """Another sender's."""
    async with rig_on(nats_url, queue_name, rows.database) as rig:
        yield rig


async def put(rig: Rig, rows: Rows, outcomes: str = "ppp", *, edition: str = "", number: int = 1) -> str:
    """A batch that is planned and queued."""
    name = await rows.batch(number, outcomes, task=None)
    await rig.queue.settle(put=[Task(id=name, lane=LANE, campaign_id="c1", payload=b"batch", edition=edition)])
    return name


def settlement(lease: Lease, outcomes: str, then: Then = Then.KEEP, **other: Any) -> Settlement:
    column = bytes(OUTCOMES[letter] for letter in outcomes)
    failures = tuple(
        Failure(position=at, outcome=Outcome(outcome), reason="Refused")
        for at, outcome in enumerate(column)
        if outcome not in (Outcome.PENDING, Outcome.ACCEPTED, Outcome.CANCELLED)
    )
    batch = batch_of(lease.id, len(column))
    return Settlement(lease=lease, batch=batch, outcomes=column, failures=failures, then=then, **other)


async def known(relay: Relay, lease: Lease) -> str | None:
    """The outcomes that a sender goes on from."""
    standing = (await relay.standings([lease])).get(lease.id)
    if standing is None:
        return None
    return told(standing.outcomes or bytes(standing.size))


def told(outcomes: Sequence[int]) -> str:
    letters = {outcome: letter for letter, outcome in OUTCOMES.items()}
    return "".join(letters[Outcome(each)] for each in outcomes)


async def recorded(rows: Rows, name: str) -> str:
    (row,) = await rows.database.rows(select(batches).where(batches.c.id == name))
    return told(row.outcomes or bytes(row.size))


async def record(rig: Rig, rows: Rows) -> None:
    """Write all that was told to the store."""
    worker = RecordWorker(rows.database, rig.outbox, SendingConfig(lease=HOLD))
    running = asyncio.create_task(worker.run())
    await until_recorded(rig)
    worker.stop()
    await running


async def test_a_sender_that_dies_between_telling_and_release(rig: Rig, other: Rig, rows: Rows) -> None:
    await rows.campaign()
    name = await put(rig, rows)
    first = await rig.take_one()
    assert await known(rig.relay, first) == "ppp"
    await rig.outbox.send(first, encode_tidings(settlement(first, "apr"), 1.0))  # and then it is killed
    second = await other.take_one()
    assert second.deliveries == 2
    assert await known(other.relay, second) == "apr"
    await other.relay.record(settlement(second, "pap", Then.ACK))
    await record(other, rows)
    assert await recorded(rows, name) == "aar"
    assert await rig.notes() == {}


async def test_a_batch_comes_back_before_its_outcomes_are_recorded(rig: Rig, other: Rig, rows: Rows) -> None:
    await rows.campaign()
    name = await put(rig, rows)
    first = await rig.take_one()
    await rig.relay.standings([first])
    waits = Waiting(2, 1, 5.0, "TooManyRequests")
    await rig.relay.record(settlement(first, "app", Then.RELEASE, waiting=(waits,)))
    second = await other.take_one()
    standing = (await other.relay.standings([second]))[name]
    assert (told(standing.outcomes or b""), standing.waiting, standing.pending) == ("app", (waits,), 2)
    await record(rig, rows)  # the recorder writes it in between
    assert await known(other.relay, second) == "app"
    await other.relay.record(settlement(second, "pax", Then.RELEASE))
    third = await rig.take_one()
    assert await known(rig.relay, third) == "aax"
    assert third.deliveries == 1


async def test_a_checkpoint_is_known_to_the_next_sender(rig: Rig, other: Rig, rows: Rows) -> None:
    await rows.campaign()
    await put(rig, rows)
    first = await rig.take_one()
    await rig.relay.standings([first])
    await rig.relay.record(settlement(first, "app"))
    await rig.relay.record(settlement(first, "ppa"))
    second = await other.take_one()
    assert await known(other.relay, second) == "apa"
    await other.relay.record(settlement(second, "", Then.RELEASE))
    assert await known(rig.relay, await rig.take_one()) == "apa"


async def test_who_was_about_to_be_sent_is_known_to_the_next_sender_unless_it_was_concluded(
    rig: Rig, other: Rig, rows: Rows
) -> None:
    await rows.campaign()
    name = await put(rig, rows)
    first = await rig.take_one()
    await rig.relay.standings([first])
    begun = (Waiting(1, 0, 5.0, "Interrupted", begun=True), Waiting(2, 0, 5.0, "Interrupted", begun=True))
    await rig.relay.intend(settlement(first, "app", waiting=begun))  # and then it is killed
    second = await other.take_one()
    standing = (await other.relay.standings([second]))[name]
    assert (told(standing.outcomes or b""), standing.waiting) == ("app", begun)
    unsent = Waiting(2, 0, 6.0, "NotProcessed")
    await other.relay.record(settlement(second, "pap", Then.RELEASE, waiting=(unsent,)))
    third = await rig.take_one()
    standing = (await rig.relay.standings([third]))[name]
    assert (told(standing.outcomes or b""), standing.waiting) == ("aap", (unsent,))


@pytest.mark.parametrize(("left", "then"), [("app", "paa"), ("aaa", "")])
async def test_what_a_dead_sender_left_in_a_checkpoint_is_told_by_the_next(
    rig: Rig, other: Rig, rows: Rows, left: str, then: str
) -> None:
    """Nobody else can: the note goes with the batch."""
    await rows.campaign()
    name = await put(rig, rows)
    first = await rig.take_one()
    await rig.relay.standings([first])
    await rig.relay.record(settlement(first, left))  # and then it is killed
    second = await other.take_one()
    assert await known(other.relay, second) == left
    await other.relay.record(settlement(second, then, Then.ACK))
    await record(other, rows)
    assert await recorded(rows, name) == "aaa"
    assert await rig.notes() == {}


async def test_batches_of_an_edition_that_was_not_planned_are_dropped(rig: Rig, rows: Rows) -> None:
    await rows.campaign()
    name = await put(rig, rows, edition="ghost")
    ghost = await rig.take_one()
    assert await known(rig.relay, ghost) is None
    dropped = await rig.relay.unplanned(ghost)
    assert dropped.then is Then.ACK
    await rig.relay.record(dropped)
    assert await rig.queue.queued("c1") == set()
    assert await recorded(rows, name) == "ppp"


async def test_a_batch_waits_for_its_planner_and_is_found(rig: Rig, rows: Rows) -> None:
    await rows.campaign()
    name = "c1/apns/ios/0.0.7.1"
    await rig.queue.settle(put=[Task(id=name, lane=LANE, campaign_id="c1", payload=b"batch")])
    early = await rig.take_one()
    assert await known(rig.relay, early) is None
    waits = await rig.relay.unplanned(early)
    assert waits.then is Then.RELEASE
    await rows.batch(1, "ppp", task=None)
    await rig.relay.record(waits)
    assert await known(rig.relay, await rig.take_one()) == "ppp"


async def test_a_batch_that_is_committed_while_one_looks(rig: Rig, rows: Rows) -> None:
    await rows.campaign()
    await rig.queue.settle(put=[Task(id="c1/apns/ios/0.0.7.1", lane=LANE, campaign_id="c1", payload=b"batch")])
    early = await rig.take_one()
    looking = asyncio.create_task(known(rig.relay, early))
    await asyncio.sleep(0)
    await rows.batch(1, "ppp", task=None)
    assert await looking == "ppp"


@pytest.mark.parametrize("fate", ["planned", "deleted"])
async def test_a_batch_that_will_never_be_planned_is_dropped(rig: Rig, rows: Rows, fate: str) -> None:
    await rows.campaign()
    await rig.queue.settle(put=[Task(id="c1/apns/ios/0.0.7.1", lane=LANE, campaign_id="c1", payload=b"batch")])
    ghost = await rig.take_one()
    if fate == "planned":
        await rows.change(update(campaigns).values(planned=True))
    else:
        await rows.change(delete(campaigns))
    assert (await rig.relay.unplanned(ghost)).then is Then.ACK


async def test_outcomes_of_a_deleted_campaign_are_forgotten(rig: Rig, rows: Rows) -> None:
    await rows.campaign()
    await put(rig, rows)
    lease = await rig.take_one()
    await rig.relay.standings([lease])
    await rig.relay.record(settlement(lease, "aaa", Then.ACK))
    await rows.change(delete(batches))
    await rows.change(delete(campaigns))
    await record(rig, rows)
    assert await rows.database.rows(select(batches)) == []


async def test_a_settlement_waits_while_the_queue_is_away(
    nats_server: RunningNats, queue_name: str, rig: Rig, rows: Rows
) -> None:
    await rows.campaign()
    name = await put(rig, rows)
    async with (
        Proxy(LOOPBACK, nats_server.nodes[0].port) as proxy,
        rig_on(f"nats://{LOOPBACK}:{proxy.port}", queue_name, rows.database) as far,
    ):
        lease = await far.take_one()
        await far.relay.standings([lease])
        await proxy.cut()
        recording = asyncio.create_task(far.relay.record(settlement(lease, "aar", Then.ACK)))
        await until(lambda: far.relay.problem is not None)
        assert far.relay.tally.waiting == 1
        await far.relay.record(settlement(lease, "aaa"))  # a checkpoint doesn't wait for ever, nor fail
        with pytest.raises(StoreUnavailable):  # whoever isn't on record must not be sent
            await far.relay.intend(settlement(lease, "ppp", waiting=(Waiting(0, 0, 5.0, "Interrupted", begun=True),)))
        await proxy.mend()
        async with asyncio.timeout(PATIENCE):
            await recording
        assert far.relay.problem is None
    await record(rig, rows)
    assert await recorded(rows, name) == "aar"
    assert await rig.queue.queued("c1") == set()


async def test_a_note_that_cannot_be_read_says_nothing(rig: Rig, rows: Rows) -> None:
    await rows.campaign()
    await put(rig, rows, "app")
    for note in (b"\xc1", msgspec.msgpack.encode({"new": 1}), msgspec.msgpack.encode([b"\1" * 9, []])):
        lease = await rig.take_one()
        await rig.queue.release(lease, 0.0, note)
        lease = await rig.take_one()
        assert await known(rig.relay, lease) == "app"
        await rig.relay.record(settlement(lease, "", Then.RELEASE))


async def test_a_note_with_more_in_it_is_read(rig: Rig, rows: Rows) -> None:
    await rows.campaign()
    await put(rig, rows)
    await rig.queue.release(
        await rig.take_one(), 0.0, msgspec.msgpack.encode([b"\1\0\0", [[2, 1, 5.0, "r", True, False, "+"]], [], 7])
    )
    lease = await rig.take_one()
    standing = (await rig.relay.standings([lease]))[lease.id]
    assert told(standing.outcomes or b"") == "app"
    assert standing.waiting == (Waiting(2, 1, 5.0, "r", ambiguous=True),)


async def test_what_a_newer_sender_told_is_waited_for(rig: Rig, rows: Rows) -> None:
    await rows.campaign()
    name = await put(rig, rows)
    first = await rig.take_one()
    await rig.outbox.send(first, [msgspec.msgpack.encode({"version": 2, "outcomes": "aaa"})])
    await rig.outbox.send(first, [b"nonsense"])
    await rig.queue.release(first, 0.0, b"")
    second = await rig.take_one()
    assert await known(rig.relay, second) is None
    back = await rig.relay.unplanned(second)
    assert back.then is Then.RELEASE
    await rig.relay.record(replace(back, delay=0.0))
    for message in await again(lambda: rig.outbox.take(2, HOLD)):  # the newer recorder
        await rig.outbox.ack([message])
    await rows.change(update(batches).where(batches.c.id == name).values(outcomes=bytes([1, 1, 0]), pending=1))
    assert await known(rig.relay, await rig.take_one()) == "aap"


async def test_what_is_unreadable_among_what_was_told_is_left_out(rig: Rig, rows: Rows) -> None:
    await rows.campaign()
    await put(rig, rows)
    first = await rig.take_one()
    await rig.outbox.send(first, [b"nonsense"])
    await rig.outbox.send(first, encode_tidings(settlement(first, "app"), 1.0))
    await rig.queue.release(first, 0.0, b"")
    assert await known(rig.relay, await rig.take_one()) == "app"
