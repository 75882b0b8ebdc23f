"""JetStream lost, late or emptied under a queue: what it holds stays held, what it promised is kept, and it goes on."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.js import JetStreamContext

from stentor.clock import steady
from stentor.config import QueueConfig
from stentor.errors import LeaseLost, QueueUnavailable
from stentor.queue.bells import INTERVAL
from stentor.queue.contract import PLAN, Lease, Task
from stentor.queue.nats import Nats
from stentor.queue.notes import FLYING, WAITING
from stentor.queue.pulling import Puller
from stentor.queue.streams import Address, Streams, text_of, token
from stentor.store.database import Database
from stentor.store.migrate import migrate
from stentor.testing.nats import RunningNats, run_nats
from stentor.testing.ports import LOOPBACK
from stentor.testing.proxy import Proxy, Way
from tests.integration.queue.rig import HOLD, LANE, PATIENCE, Rig, again, rig_on, until


def task(number: int = 1, payload: bytes = b"payload", lane: str = LANE) -> Task:
    return Task(id=f"c1/{lane}/{number}", lane=lane, campaign_id="c1", payload=payload)


def ids(tasks: Iterable[Task | Lease]) -> list[str]:
    return sorted(each.id for each in tasks)


ADDRESS = Address(task().id, LANE, "c1")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database.open(f"sqlite:///{tmp_path / 'stentor.db'}")
    await migrate(database)
    yield database
    await database.aclose()


@pytest.fixture
async def rig(nats_url: str, queue_name: str, database: Database) -> AsyncIterator[Rig]:
    async with rig_on(nats_url, queue_name, database) as rig:
        yield rig


@pytest.fixture
async def other(nats_url: str, queue_name: str, database: Database) -> AsyncIterator[Rig]:
    async with rig_on(nats_url, queue_name, database) as rig:
        yield rig


@pytest.fixture
async def proxy(nats_server: RunningNats) -> AsyncIterator[Proxy]:
    async with Proxy(LOOPBACK, nats_server.nodes[0].port) as proxy:
        yield proxy


@pytest.fixture
async def far(proxy: Proxy, queue_name: str, database: Database) -> AsyncIterator[Rig]:
    """A rig behind the proxy."""
    async with rig_on(f"nats://{LOOPBACK}:{proxy.port}", queue_name, database) as rig:
        yield rig


async def messages_in(server: RunningNats) -> int:
    """What clients have sent to it so far, by its own count."""
    page = await asyncio.to_thread(server.nodes[0].ask, "/varz")
    assert page is not None
    return int(page["in_msgs"])


# Connections


@pytest.mark.parametrize("step", ["take", "put", "ack", "release", "extend"])
async def test_a_connection_cut_under_a_step(
    far: Rig, rig: Rig, proxy: Proxy, nats_server: RunningNats, step: str
) -> None:
    await far.queue.settle(put=[task(1)])
    held = await far.take_one()
    await far.queue.settle(put=[task(2)])
    proxy.halve(Way.BACK)  # what we say arrives, what the server answers doesn't
    steps: dict[str, Callable[[], Awaitable[object]]] = {
        "take": far.take,
        "put": lambda: far.queue.settle(put=[task(3)]),
        "ack": lambda: far.queue.settle(ack=[held]),
        "release": lambda: far.queue.settle(release=[(held, 0.0)]),
        "extend": lambda: far.queue.extend([held], HOLD),
    }
    before = await messages_in(nats_server)
    doing = asyncio.ensure_future(steps[step]())

    async def has_arrived() -> bool:
        return await messages_in(nats_server) > before

    await again(has_arrived)
    await proxy.cut()
    proxy.thaw()
    await proxy.mend()
    async with asyncio.timeout(HOLD):  # sooner than the answers were given up
        await asyncio.wait([doing])
    if doing.exception() is not None:
        assert isinstance(doing.exception(), QueueUnavailable)
        assert step not in ("put", "ack")  # these are tried again
    expected = {"put": [1, 2, 3], "ack": [2]}.get(step, [1, 2])
    assert await rig.queue.queued("c1") == set(ids(task(number) for number in expected))
    everything: dict[str, Lease] = {}

    async def all_back() -> bool:
        everything.update({lease.id: lease for lease in await far.take()})
        return len(everything) == len(expected)

    await again(all_back)


async def test_a_lease_that_the_server_hears_too_late_to_renew_is_lost(far: Rig, rig: Rig, proxy: Proxy) -> None:
    """It renews what another has by then."""
    await far.queue.settle(put=[task()])
    held = await far.take_one()
    proxy.halve(Way.THERE)
    extending = asyncio.ensure_future(far.queue.extend([held], PATIENCE))
    others = await again(rig.take)
    proxy.thaw()
    await extending
    with pytest.raises(LeaseLost):
        await far.queue.remember(held, b"mine")
    await far.queue.settle(release=[(held, 0.0)])
    assert await far.take() == []
    await rig.queue.remember(others[0], b"another's")


async def test_the_server_is_restarted_under_everything(nats_server: RunningNats, rig: Rig, other: Rig) -> None:
    await rig.queue.settle(put=[task(1), task(2)])
    held = await rig.take(1)
    assert await other.outbox.take(1, HOLD) == []
    await rig.bell.wait()
    heard = asyncio.ensure_future(_heard(rig))
    node = nats_server.nodes[0]
    await asyncio.to_thread(node.kill)
    try:
        await until(lambda: rig.nats.problem is not None)
    finally:
        await asyncio.to_thread(node.start)
    await again(lambda: _done(rig.queue.extend(held, HOLD)))
    assert len(await again(rig.take)) == 1
    await rig.outbox.send(held[0], [b"told"])
    assert [lease.payload for lease in await again(lambda: other.outbox.take(1, HOLD))] == [b"told"]
    async with asyncio.timeout(PATIENCE):
        while not heard.done():
            await other.bell.ring()
            await asyncio.wait([heard], timeout=0.2)
    assert rig.nats.problem is None


async def test_a_server_that_stands_still_is_given_up_and_comes_back(database: Database) -> None:
    with run_nats() as server:
        async with rig_on(server.url, "stentor", database) as rig:
            await rig.queue.settle(put=[task(1), task(2)])
            held = await rig.take(1, lease=30.0)
            server.nodes[0].suspend()
            doing = [
                rig.take(1, lease=30.0),
                rig.queue.settle(ack=held),
                rig.outbox.take(1, HOLD),
                rig.queue.depths([LANE]),
            ]
            async with asyncio.timeout(30):
                ends = await asyncio.gather(*doing, return_exceptions=True)
            assert [type(end) for end in ends] == [QueueUnavailable] * 4
            assert "doesn't answer" in str(ends[0])
            server.nodes[0].go_on()
            await again(lambda: _done(rig.queue.settle(ack=held)))
            assert ids(await again(lambda: rig.take(lease=30.0))) == ids([task(2)])


async def test_a_client_that_is_closed_for_good_is_replaced(rig: Rig, other: Rig) -> None:
    await rig.queue.settle(put=[task(1), task(2)])
    held = await rig.take(1)
    await rig.bell.wait()
    await (await rig.nats.client()).close()
    await rig.queue.settle(ack=held)
    assert ids(await rig.take()) == ids([task(2)])
    await rig.bell.wait()
    heard = asyncio.ensure_future(_heard(rig))
    async with asyncio.timeout(PATIENCE):
        while not heard.done():
            await other.bell.ring()
            await asyncio.wait([heard], timeout=0.2)


async def _done(doing: Awaitable[object]) -> bool:
    await doing
    return True


async def _heard(rig: Rig) -> None:
    """Returns when the bell was rung, and not just when it is time to look."""
    while True:
        began = time.monotonic()
        await rig.bell.wait()
        if time.monotonic() < began + INTERVAL * 0.9:
            return


async def test_whoever_gives_up_connecting_does_not_keep_others_from_it(proxy: Proxy, far: Rig) -> None:
    proxy.freeze()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await far.nats.client()
    waiting = asyncio.ensure_future(far.nats.client())
    await far.bell.wait()  # gives up after half a second
    proxy.thaw()
    assert (await waiting).is_connected


async def test_what_comes_late_is_given_to_the_next_pull(far: Rig, rig: Rig, proxy: Proxy) -> None:
    await far.queue.settle(put=[task(number) for number in range(3)])
    assert await far.take(lane=PLAN) == []
    await far.streams.consumer(LANE, 60.0)
    puller = Puller(far.nats, far.streams.batches, "apns_ios", 60.0)
    proxy.halve(Way.BACK)
    pulling = asyncio.ensure_future(puller.pull(3))
    await again(lambda: _leased(rig, 3))
    pulling.cancel()
    await asyncio.wait([pulling])
    proxy.thaw()
    found = await again(lambda: puller.pull(3))
    assert len(found) + len(await puller.pull(3)) == 3


async def _leased(rig: Rig, count: int) -> bool:
    return (await rig.queue.depths([LANE]))[LANE].leased == count


async def test_what_comes_too_late_is_left_to_others(far: Rig, rig: Rig, proxy: Proxy) -> None:
    await rig.queue.settle(put=[task()])
    await rig.streams.consumer(LANE, HOLD)
    puller = Puller(far.nats, far.streams.batches, "apns_ios", HOLD)
    assert await puller.pull(0) == []
    await far.nats.client()
    proxy.halve(Way.BACK)
    pulling = asyncio.ensure_future(puller.pull(1))
    await again(lambda: _leased(rig, 1))
    pulling.cancel()
    await asyncio.wait([pulling])
    await asyncio.sleep(HOLD * 0.6)  # so late: no more than half of its lease is left
    proxy.thaw()
    async with asyncio.timeout(PATIENCE):
        while not (found := await puller.pull(1)):  # when its lease has ended, delivered anew
            pass
    (pulled,) = found
    assert pulled.message.metadata.num_delivered == 2
    assert pulled.since > steady() - HOLD / 2


async def test_takers_of_one_lane_at_once(rig: Rig) -> None:
    await rig.queue.settle(put=[task(number) for number in range(20)])
    taken = await asyncio.gather(*(rig.take(3) for _ in range(10)))
    assert ids(lease for leases in taken for lease in leases) == ids(task(number) for number in range(20))
    assert [len(leases) for leases in taken].count(3) >= 6


async def test_the_largest_batches(rig: Rig) -> None:
    tasks = [task(number, bytes([number]) * (512 * 1024)) for number in range(20)]
    await rig.queue.settle(put=tasks)
    found = await again(lambda: rig.take(100))
    assert {lease.id: lease.payload for lease in found} == {each.id: each.payload for each in tasks}


# What is deleted


async def test_a_consumer_that_is_deleted_is_made_again(rig: Rig) -> None:
    await rig.queue.settle(put=[task()])
    assert await rig.take(0) == []
    assert await rig.outbox.take(1, HOLD) == []
    jetstream = await rig.jetstream()
    await jetstream.delete_consumer(rig.streams.batches, "apns_ios")
    await jetstream.delete_consumer(rig.streams.outcomes, "recorders")
    held = await rig.take_one()
    await rig.outbox.send(held, [b"told"])
    (told,) = await again(lambda: rig.outbox.take(1, HOLD))
    assert told.payload == b"told"


@pytest.mark.parametrize("stream", ["batches", "plan", "outcomes", "dead", "notes"])
async def test_a_stream_that_is_deleted_is_made_again(rig: Rig, stream: str) -> None:
    await rig.queue.settle(put=[task(), task(lane=PLAN)])
    held = await rig.take_one()
    names = {"notes": f"KV_{rig.streams.notes}"}
    await (await rig.jetstream()).delete_stream(names.get(stream, getattr(rig.streams, stream)))

    async def everything() -> bool:
        await rig.queue.settle(put=[task(2), task(2, lane=PLAN)])
        await rig.queue.remember(held, b"note")
        await rig.outbox.send(held, [b"told"])
        await rig.queue.settle(bury=[(held, "why")])
        return True

    await again(everything)
    assert task(2).id in ids(await again(rig.take))
    assert task(2, lane=PLAN).id in ids(await again(lambda: rig.take(lane=PLAN)))
    assert [lease.payload for lease in await again(lambda: rig.outbox.take(1, HOLD))] == [b"told"]


async def test_what_was_held_of_a_stream_that_is_gone_is_done_with(rig: Rig, other: Rig) -> None:
    """The stream that was made in its place has fewer messages than the one that this is of, and the server says
    nothing at all of one that it never delivered."""
    await rig.queue.settle(put=[task(number) for number in range(5)])
    held = await again(lambda: rig.take(5, lease=30.0))
    assert len(held) == 5
    await (await rig.jetstream()).delete_stream(rig.streams.batches)
    await again(lambda: _done(other.queue.settle(put=[task(number) for number in (10, 11)])))
    (first,) = await again(lambda: other.take(1, lease=30.0))
    last = max(held, key=lambda lease: int(lease.token.split(".")[5]))
    await rig.queue.settle(ack=[last])
    assert await other.queue.queued("c1") == set(ids(task(number) for number in (10, 11)))
    await other.queue.settle(ack=[first])
    assert len(await other.queue.queued("c1")) == 1


# Names


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_as_a_token(text: str) -> None:
    made = token(text)
    assert text_of(made) == text
    assert not set(made) & set(". *>\\\t\r\n")
    assert made.isascii()


@given(
    st.tuples(*[st.text(st.characters(exclude_categories=["Cs"]), min_size=1)] * 3),
    st.from_regex(r"[a-f0-9]*", fullmatch=True),
)
def test_a_task_is_its_subject(parts: tuple[str, str, str], edition: str) -> None:
    streams = Streams(Nats(QueueConfig(url="nats://localhost:4222")), "stentor", 1)
    address = Address(*parts, edition)
    assert Streams.address(streams.subject(address)) == address


async def test_lanes_with_similar_names_are_apart(rig: Rig) -> None:
    lanes = ["apns/a_b", "apns/a-b", "apns/a.b", "apns/a=2Eb", "apns/A_b", "apns/ü"]
    await rig.queue.settle(put=[task(number, lane=lane) for number, lane in enumerate(lanes)])
    taken = [(await rig.take(lane=lane)) for lane in lanes]
    assert [[lease.lane for lease in leases] for leases in taken] == [[lane] for lane in lanes]


# Notes


async def test_a_checkpoint_after_a_release_is_known_beside_it(rig: Rig, other: Rig) -> None:
    await rig.queue.settle(put=[task()])
    await rig.queue.release(await rig.take_one(), 0.0, b"first")
    second = await rig.take_one()
    assert (second.notes, second.deliveries) == ((b"first",), 1)
    await rig.queue.remember(second, b"second")
    third = await other.take_one()  # when the lease has ended
    assert (set(third.notes), third.deliveries) == ({b"first", b"second"}, 2)
    await other.queue.release(third, 0.0, b"third")
    fourth = await rig.take_one()
    assert (set(fourth.notes), fourth.deliveries) == ({b"second", b"third"}, 1)


async def test_whatever_becomes_of_its_holders_a_task_tells_the_next_one(rig: Rig, other: Rig) -> None:
    """Deliveries are counted since the last release, and the last note that was left by who held it is there."""
    await asyncio.gather(*(_relayed(rig, other, random.Random(seed), f"apns/a{seed}") for seed in range(12)))
    assert await rig.notes() == {}


async def _relayed(rig: Rig, other: Rig, chance: random.Random, lane: str) -> None:
    await rig.queue.settle(put=[task(lane=lane)])
    note: bytes | None = None
    deliveries = 0
    lost: list[tuple[Rig, Lease]] = []
    for number in range(7):
        holder = chance.choice((rig, other))
        (held,) = await again(partial(holder.take, 1, lane, 1.5))
        deliveries += 1
        assert held.deliveries == deliveries, (lane, number)
        assert note is None or note in held.notes, (lane, number)
        for old, lease in lost:
            await old.queue.release(lease, 0.0, b"from one who lost it")
        if chance.random() < 0.5:
            note = b"%d" % number
            await holder.queue.remember(held, note)
        if chance.random() < 0.6:
            note, deliveries = b"%d released" % number, 0
            await holder.queue.release(held, chance.choice((0.0, 0.1)), note)
        else:
            lost.append((holder, held))
    (held,) = await again(partial(rig.take, 1, lane, 1.5))
    await rig.queue.settle(ack=[held])


async def test_a_task_that_is_done_leaves_no_note(rig: Rig) -> None:
    await rig.queue.settle(put=[task(1), task(2), task(3)])
    one, two, three = await rig.take()
    await rig.queue.release(one, 0.0, b"released")
    await rig.queue.remember(two, b"checkpoint")
    await rig.queue.remember(three, b"checkpoint")
    assert set(await rig.notes()) == {WAITING, FLYING}
    one = await rig.take_one()
    await rig.queue.settle(ack=[one, two], bury=[(three, "why")])
    assert await rig.notes() == {}
    assert rig.queue.held == 0


async def test_a_lost_lease_leaves_no_note(rig: Rig, other: Rig) -> None:
    await rig.queue.settle(put=[task()])
    lost = await rig.take_one()
    held = await other.take_one()
    assert held.deliveries == 2
    with pytest.raises(LeaseLost):
        await rig.queue.remember(lost, b"lost")
    await rig.queue.release(lost, 0.0, b"lost")
    assert set(await rig.notes()) == {FLYING}  # that it is the other's now
    assert await rig.take() == []


async def test_one_that_is_sure_of_a_lease_that_another_has_leaves_no_note(rig: Rig, other: Rig) -> None:
    """It stood still between its look at the clock and the note, say; or its clock stood still with it."""
    await rig.queue.settle(put=[task()])
    lost = await rig.take_one()
    await rig.queue.remember(lost, b"before")
    held = await other.take_one()
    assert (held.deliveries, held.notes) == (2, (b"before",))
    rig.queue._held[lost.token].until = math.inf
    with pytest.raises(LeaseLost):
        await rig.queue.remember(lost, b"lost")
    await other.queue.remember(held, b"held")
    rig.queue._held[lost.token].until = math.inf
    await rig.queue.release(lost, 0.0, b"lost")  # the server takes it from the other then
    third = await rig.take_one()
    assert third.inherited
    assert b"held" in third.notes
    with pytest.raises(LeaseLost):
        await other.queue.remember(held, b"late")


async def test_a_note_of_whose_arrival_nobody_was_told_is_our_own(rig: Rig) -> None:
    await rig.queue.settle(put=[task()])
    held = await rig.take_one()
    await rig.queue.remember(held, b"arrived")
    rig.queue._held[held.token].notes.clear()
    await rig.queue.remember(held, b"second")
    await rig.queue.release(held, 0.0, b"third")
    assert set((await rig.take_one()).notes) == {b"second", b"third"}


async def test_what_is_put_again_after_a_loss_is_known_to_be_with_what_was_left(rig: Rig, other: Rig) -> None:
    await rig.queue.settle(put=[task()])
    held = await rig.take_one()
    await rig.queue.remember(held, b"begun")
    await (await rig.jetstream()).delete_stream(rig.streams.batches)
    await again(lambda: _done(other.queue.settle(put=[replace(task(), again=True)])))
    restored = await other.take_one()
    assert (restored.deliveries, restored.inherited, restored.notes) == (1, True, (b"begun",))
    with pytest.raises(LeaseLost):
        await rig.queue.remember(held, b"lost")


async def test_a_note_of_a_newer_stentor_counts_as_a_release(rig: Rig) -> None:
    await rig.queue.settle(put=[task()])
    for kind in (WAITING, FLYING):
        await rig.queue.release(await rig.take_one(), 0.0, b"mine")
        (subject,) = [f"$KV.{rig.streams.notes}.{kind}.{Address(task().id, LANE, 'c1').key}"]
        await (await rig.jetstream()).publish(subject, msgspec.msgpack.encode({"version": 2}))
        lease = await rig.take_one()
        assert (lease.deliveries, lease.notes) == (1, (b"",))
        await rig.queue.release(lease, 0.0, b"mine")


async def test_withdrawing_hastens_what_waits_once(rig: Rig, other: Rig) -> None:
    await rig.queue.settle(put=[task(1), task(2)])
    one, two = await rig.take(lease=30.0)
    await rig.queue.release(one, 60.0, b"one")
    await asyncio.gather(*(each.queue.withdraw("c1", 10, HOLD) for each in (rig, other)))
    hastened = await other.take_one()
    assert (hastened.id, hastened.notes) == (one.id, (b"one",))
    await asyncio.gather(*(each.queue.withdraw("c1", 10, HOLD) for each in (rig, other)))
    assert await rig.take() == []  # both are held
    await other.queue.release(hastened, 60.0, b"again")
    await rig.queue.withdraw("c1", 10, HOLD)
    assert (await rig.take_one()).notes == (b"again",)
    await rig.queue.settle(ack=[two])


async def test_withdrawing_asks_little_at_a_time_however_much_waits(
    rig: Rig, other: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server is given only so long for each answer, also while thousands of others are before it."""
    monkeypatch.setattr("stentor.queue.notes.AT_ONCE", 3)
    anothers = replace(task(), id=f"c2/{LANE}/1", campaign_id="c2")
    await rig.queue.settle(put=[*map(task, range(10)), anothers])
    for lease in await rig.take(11, lease=30.0):
        await rig.queue.release(lease, 60.0, lease.id.encode())
    request, under_way, most = other.nats.request, 0, 0

    async def counted(subject: str, payload: bytes = b"") -> bytes:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await request(subject, payload)
        finally:
            under_way -= 1

    async def confirmed(acknowledgements: Iterable[tuple[str, bytes]]) -> None:
        await asyncio.gather(*(counted(reply, what) for reply, what in acknowledgements))

    monkeypatch.setattr(other.nats, "request", counted)
    monkeypatch.setattr(other.nats, "confirm", confirmed)
    await other.queue.withdraw("c1", 100, HOLD)
    assert 1 <= most <= 3
    hastened = await rig.take(100, lease=30.0)
    assert ids(hastened) == ids(map(task, range(10)))
    assert all(lease.notes == (lease.id.encode(),) for lease in hastened)
    assert await other.queue.withdraw("c1", 100, HOLD) == []
    assert await rig.take() == [], "what is held is nobody else's"


async def test_outcomes_are_put_aside_for_a_reason_of_any_text(rig: Rig) -> None:
    """Else each recorder in turn would die of it."""
    await rig.queue.settle(put=[task()])
    await rig.outbox.send(await rig.take_one(), [b"what nobody can read"])
    (told,) = await again(lambda: rig.outbox.take(1, HOLD))
    await rig.outbox.bury(told, "a\0b \r\n\udcff")
    assert await rig.outbox.waiting() == 0
    letter = await (await rig.jetstream()).get_last_msg(
        rig.streams.dead, f"{rig.streams.dead_subject(ADDRESS)}.outcomes"
    )
    assert letter.data == b"what nobody can read"
    assert "Stentor-Reason" in (letter.headers or {})


async def test_notes_that_cannot_be_had_keep_what_was_taken(far: Rig, proxy: Proxy) -> None:
    await far.queue.settle(put=[task()])
    await far.queue.release(await far.take_one(), 0.0, b"note")
    calls: list[int] = []
    real = far.streams.use

    @asynccontextmanager
    async def fail_once() -> AsyncIterator[JetStreamContext]:
        if not calls:
            calls.append(1)
            raise QueueUnavailable
        async with real() as jetstream:
            yield jetstream

    far.streams.use = fail_once  # type: ignore[method-assign]
    with pytest.raises(QueueUnavailable):
        await far.take()
    (lease,) = await far.take()
    assert (lease.notes, lease.deliveries) == ((b"note",), 1)
    await far.queue.settle(ack=[lease])


async def test_a_cluster_loses_its_leader(database: Database) -> None:
    with run_nats(3) as server:
        rig = Rig(server.url, "stentor", database, replicas=3)
        try:
            await rig.queue.settle(put=[task(1)])
            (held,) = await again(lambda: rig.take(1, lease=30.0))
            info = await (await rig.jetstream()).stream_info(rig.streams.batches)
            assert info.cluster is not None
            assert info.cluster.leader is not None
            await asyncio.to_thread(server.node(info.cluster.leader).kill)
            await again(lambda: _done(rig.queue.settle(put=[task(2)])))
            await again(lambda: _done(rig.queue.settle(ack=[held])))
            assert (await rig.take_one()).id == task(2).id
        finally:
            await rig.nats.aclose()
