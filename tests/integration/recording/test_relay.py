"""The relay: whatever happens between a sender's settlement and the store, nobody is sent to twice for it, and no
outcome is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence, Sized
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from sqlalchemy import delete, select, update

from stentor.account import Account, Failure, Receipt, Waiting, encode_account, merge
from stentor.clock import steady
from stentor.config import SendingConfig
from stentor.errors import LeaseLost, QueueUnavailable, StoreUnavailable
from stentor.outcome import Outcome
from stentor.queue.contract import Lease, Task
from stentor.recording.audit import audit_apart
from stentor.recording.contract import Known, Settlement, Then
from stentor.recording.losses import Losses
from stentor.recording.receipts import decode_receipts
from stentor.recording.relay import Relay
from stentor.recording.tidings import decode_tidings, encode_tidings
from stentor.recording.worker import RecordWorker
from stentor.store.tables import batches, campaigns, failures, installations
from stentor.store.tables import receipts as receipts_table
from stentor.testing.nats import RunningNats
from stentor.testing.ports import LOOPBACK
from stentor.testing.proxy import Proxy
from tests.integration.queue.rig import HOLD, LANE, PATIENCE, Rig, again, rig_on, until, until_recorded
from tests.integration.recording.rows import NOW, OUTCOMES, Rows, fresh_rows
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


def account_of(
    outcomes: str, *, waiting: tuple[Waiting, ...] = (), receipts: tuple[Receipt, ...] = (), dead: bool = False
) -> Account:
    """With a failure for each that owes one."""
    column = bytes(OUTCOMES[letter] for letter in outcomes)
    found = tuple(
        Failure(position=at, outcome=Outcome(outcome), reason="Refused", dead=dead)
        for at, outcome in enumerate(column)
        if outcome not in (Outcome.PENDING, Outcome.ACCEPTED, Outcome.CANCELLED)
    )
    return Account(outcomes=column, failures=found, waiting=waiting, receipts=receipts)


def settlement(lease: Lease, outcomes: str, then: Then = Then.KEEP, **other: Any) -> Settlement:
    account = account_of(outcomes, **other)
    return Settlement(lease=lease, batch=batch_of(lease.id, len(account)), account=account, then=then)


def messages(lease: Lease, outcomes: str) -> list[bytes]:
    """As its sender tells recorders of it."""
    return encode_tidings(account_of(outcomes), batch_of(lease.id, len(outcomes)), 1.0)


async def known(relay: Relay, lease: Lease) -> str | None:
    """The outcomes that a sender goes on from."""
    found = (await relay.known([lease])).get(lease.id)
    return None if found is None else told(found.account.outcomes)


async def go_on(relay: Relay, lease: Lease, outcomes: str, then: Then = Then.ACK, **other: Any) -> None:
    """As a sender does: tell what is new with all that the store may not know."""
    found = (await relay.known([lease]))[lease.id]
    account = merge(found.beside, account_of(outcomes, **other))
    batch = batch_of(lease.id, len(account))
    await relay.record(Settlement(lease=lease, batch=batch, account=account or None, then=then))


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
    await rig.outbox.send(first, messages(first, "apr"))  # and then it is killed
    second = await other.take_one()
    assert second.deliveries == 2
    assert await known(other.relay, second) == "apr"
    await go_on(other.relay, second, "pap")
    await record(other, rows)
    assert await recorded(rows, name) == "aar"
    assert await rig.notes() == {}


async def test_a_batch_comes_back_before_its_outcomes_are_recorded(rig: Rig, other: Rig, rows: Rows) -> None:
    await rows.campaign()
    name = await put(rig, rows)
    first = await rig.take_one()
    waits = Waiting(2, 1, 5.0, "TooManyRequests")
    await rig.relay.record(settlement(first, "app", Then.RELEASE, waiting=(waits,)))
    second = await other.take_one()
    found = (await other.relay.known([second]))[name]
    assert found.account == found.beside == account_of("app", waiting=(waits,))
    await record(rig, rows)  # the recorder writes it in between
    assert await known(other.relay, second) == "app"
    await go_on(other.relay, second, "pax", Then.RELEASE)
    third = await rig.take_one()
    assert await known(rig.relay, third) == "aax"
    assert third.deliveries == 1


async def test_a_checkpoint_is_known_to_the_next_sender(rig: Rig, other: Rig, rows: Rows) -> None:
    await rows.campaign()
    await put(rig, rows)
    first = await rig.take_one()
    await rig.relay.record(settlement(first, "app"))
    await rig.relay.record(settlement(first, "apa"))  # each is all that is known by then
    second = await other.take_one()
    assert await known(other.relay, second) == "apa"
    await other.relay.record(Settlement(lease=second, batch=None, then=Then.RELEASE))
    assert await known(rig.relay, await rig.take_one()) == "apa"


async def test_the_store_shows_what_a_checkpoint_tells(rig: Rig, rows: Rows) -> None:
    await rows.campaign()
    name = await put(rig, rows)
    lease = await rig.take_one()
    begun = (Waiting(2, 0, 5.0, "Interrupted", begun=True),)
    await rig.relay.record(settlement(lease, "arp", waiting=begun))
    await record(rig, rows)
    assert await recorded(rows, name) == "arp"


async def test_who_was_about_to_be_sent_is_known_to_the_next_sender_unless_it_was_concluded(
    rig: Rig, other: Rig, rows: Rows
) -> None:
    await rows.campaign()
    name = await put(rig, rows)
    first = await rig.take_one()
    begun = (Waiting(1, 0, 5.0, "Interrupted", begun=True), Waiting(2, 0, 5.0, "Interrupted", begun=True))
    await rig.relay.intend(settlement(first, "app", waiting=begun))  # and then it is killed
    second = await other.take_one()
    assert (await other.relay.known([second]))[name].account == account_of("app", waiting=begun)
    unsent = Waiting(2, 0, 6.0, "NotProcessed")
    await go_on(other.relay, second, "pap", Then.RELEASE, waiting=(unsent,))
    third = await rig.take_one()
    assert (await rig.relay.known([third]))[name].account == account_of("aap", waiting=(unsent,))


@pytest.mark.parametrize(("left", "then"), [("app", "paa"), ("aaa", "ppp")])
async def test_what_a_dead_sender_left_in_a_checkpoint_is_told_by_the_next(
    rig: Rig, other: Rig, rows: Rows, left: str, then: str
) -> None:
    """Nobody else can: the note goes with the batch."""
    await rows.campaign()
    name = await put(rig, rows)
    first = await rig.take_one()
    await rig.relay.record(settlement(first, left))  # and then it is killed
    second = await other.take_one()
    assert await known(other.relay, second) == left
    await go_on(other.relay, second, then)
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
        (lease,) = await again(lambda: far.take(lease=60.0))
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


# -- what is told, and by whom -----------------------------------------------------------------------------------------


async def lose_outcomes(*rigs: Rig) -> None:
    """Their stream is lost with all that is in it."""
    jetstream = await rigs[0].jetstream()
    await jetstream.delete_stream(rigs[0].streams.outcomes)
    for rig in rigs:
        rig.streams.forget()


@pytest.mark.parametrize("then", [Then.RELEASE, Then.KEEP])
async def test_of_what_the_stream_lost_the_next_sender_tells_all_with_its_reasons(
    rig: Rig, other: Rig, rows: Rows, then: Then
) -> None:
    """Whether the one before gave it back, or died after a checkpoint."""
    await rows.campaign(read=3)
    name = await put(rig, rows)
    await rows.insert(installations, {"id": "k1-0", "channel": "apns", "address": "a1-0"})
    waits = Waiting(2, 1, 5.0, "TooManyRequests")
    receipt = Receipt(1, 4.0, "7")
    first = await rig.take_one()
    await rig.relay.record(settlement(first, "rap", then, waiting=(waits,), receipts=(receipt,), dead=True))
    await lose_outcomes(rig, other)
    second = await other.take_one()
    expected = account_of("rap", waiting=(waits,), receipts=(receipt,), dead=True)
    assert (await other.relay.known([second]))[name] == Known(account=expected, beside=expected)
    await go_on(other.relay, second, "ppa")
    await record(other, rows)
    assert await recorded(rows, name) == "raa"
    (failure,) = await rows.database.rows(select(failures))
    assert (failure.installation, failure.outcome, failure.reason) == ("k1-0", Outcome.REJECTED, "Refused")
    (dead,) = await rows.database.rows(select(installations).where(installations.c.dead_at.is_not(None)))
    assert (dead.id, dead.dead_reason) == ("k1-0", "Refused")
    (kept,) = await rows.database.rows(select(receipts_table.c.receipts))
    assert decode_receipts(kept.receipts) == [receipt]
    found = await audit_apart(rows.database, Losses(rows.database, rig.queue, rig.outbox), "c1", NOW)
    assert found.exact, found.checks
    assert await rig.notes() == {}


async def test_what_is_lost_again_and_again_is_told_at_last(rig: Rig, other: Rig, rows: Rows) -> None:
    await rows.campaign(read=4)
    name = await put(rig, rows, "pppp")
    for rank, (holder, outcomes) in enumerate(((rig, "rppp"), (other, "pxpp"), (rig, "ppmp"))):
        lease = await holder.take_one()
        await go_on(holder.relay, lease, outcomes, Then.RELEASE if rank != 1 else Then.KEEP)
        await lose_outcomes(rig, other)
    await go_on(other.relay, await other.take_one(), "pppa")
    await record(other, rows)
    assert await recorded(rows, name) == "rxma"
    found = await audit_apart(rows.database, Losses(rows.database, rig.queue, rig.outbox), "c1", NOW)
    assert found.exact, found.checks


@pytest.mark.parametrize("is_taken", [True, False])
@pytest.mark.parametrize("then", [Then.ACK, Then.RELEASE, Then.BURY])
async def test_whose_lease_is_lost_tells_only_what_providers_said(
    rig: Rig, other: Rig, rows: Rows, then: Then, is_taken: bool
) -> None:
    """Another may be sending to all others; and it ends no lease."""
    await rows.campaign()
    name = await put(rig, rows, "pppppp")
    first = await rig.take_one()
    second = await other.take_one() if is_taken else None
    await until(lambda: steady() >= first.until)
    waits = Waiting(4, 1, 5.0, "Busy")
    await rig.relay.record(settlement(first, "arxcpm", then, waiting=(waits,)))
    (message,) = await rig.outbox.about(first)
    said = decode_tidings(message)
    assert (told(said.outcomes), [each.position for each in said.failures], said.waiting) == ("arpppm", [1, 5], ())
    if second is None:
        second = await other.take_one()
    assert (await other.relay.known([second]))[name].account == account_of("arpppm")
    assert await rig.queue.queued("c1") == {name}
    await go_on(other.relay, second, "ppcccp")
    await record(other, rows)
    assert await recorded(rows, name) == "arcccm"
    assert await rig.queue.dead_letters() == []


async def test_who_is_about_to_be_sent_is_not_noted_by_whom_the_lease_was_taken_from(
    rig: Rig, other: Rig, rows: Rows
) -> None:
    await rows.campaign()
    name = await put(rig, rows)
    first = await rig.take_one()
    second = await other.take_one()
    with pytest.raises(LeaseLost):
        await rig.relay.intend(settlement(first, "ppp", waiting=(Waiting(0, 0, 5.0, "Interrupted", begun=True),)))
    assert (await other.relay.known([second]))[name].account == account_of("ppp")


@pytest.mark.parametrize(("outcomes", "notes_first"), [("axc", True), ("apx", True), ("arm", False), ("app", False)])
async def test_what_was_decided_is_told_only_once_a_note_says_so(
    rig: Rig, rows: Rows, outcomes: str, notes_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Since the note is refused to whom the task was taken from; and what providers said costs no note."""
    await rows.campaign()
    await put(rig, rows)
    lease = await rig.take_one()
    done: list[str] = []
    remember, send = rig.queue.remember, rig.outbox.send

    async def remembered(whose: Lease, left: bytes) -> None:
        await remember(whose, left)
        done.append("note")

    async def sent(about: Lease, messages: Sequence[bytes]) -> None:
        await send(about, messages)
        done.append("told")

    monkeypatch.setattr(rig.queue, "remember", remembered)
    monkeypatch.setattr(rig.outbox, "send", sent)
    await rig.relay.record(settlement(lease, outcomes, Then.ACK))
    assert done == (["note", "told"] if notes_first else ["told"])
    assert await rig.queue.queued("c1") == set()


async def test_while_no_note_can_be_left_nothing_is_told_of_what_was_decided(
    rig: Rig, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rows.campaign()
    name = await put(rig, rows)
    lease = await rig.take_one()
    remember, tries = rig.queue.remember, 0

    async def away(whose: Lease, left: bytes) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            assert await rig.outbox.about(lease) == []
            raise QueueUnavailable("NATS is away")
        await remember(whose, left)

    monkeypatch.setattr(rig.queue, "remember", away)
    await rig.relay.record(settlement(lease, "acx", Then.ACK))
    assert tries == 3
    await record(rig, rows)
    assert await recorded(rows, name) == "acx"


# -- what cannot be read -----------------------------------------------------------------------------------------------


async def test_a_note_that_cannot_be_read_says_nothing(rig: Rig, rows: Rows) -> None:
    await rows.campaign()
    await put(rig, rows, "app")
    of_others = Account(outcomes=b"\1" * 9)
    beyond = Account(outcomes=b"\1\0\0", waiting=(Waiting(3, 1, 5.0, "Busy"),))
    unreadable = [b"\xc1", msgspec.msgpack.encode({"new": 1}), msgspec.msgpack.encode([b"\1\1\1", []])]
    for note in (*unreadable, *(encode_account(each, 1000) for each in (of_others, beyond))):
        lease = await rig.take_one()
        await rig.queue.release(lease, 0.0, note)
        lease = await rig.take_one()
        assert await known(rig.relay, lease) == "app"
        await rig.relay.record(Settlement(lease=lease, batch=None, then=Then.RELEASE))


async def test_a_note_with_more_in_it_is_read(rig: Rig, rows: Rows) -> None:
    await rows.campaign()
    await put(rig, rows)
    more = {"outcomes": b"\1\0\0", "waiting": [[2, 1, 5.0, "r", True, False, 0, "+"]], "colour": 7}
    await rig.queue.release(await rig.take_one(), 0.0, msgspec.msgpack.encode(more))
    lease = await rig.take_one()
    found = (await rig.relay.known([lease]))[lease.id].account
    assert found == account_of("app", waiting=(Waiting(2, 1, 5.0, "r", ambiguous=True),))


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
    await rig.outbox.send(first, messages(first, "app"))
    await rig.queue.release(first, 0.0, b"")
    assert await known(rig.relay, await rig.take_one()) == "app"


async def test_nothing_is_kept_of_batches_that_are_done(rig: Rig, rows: Rows) -> None:
    """A sender does millions in its life."""

    def kept() -> dict[str, int]:
        return {name: len(value) for name, value in vars(rig.relay).items() if isinstance(value, Sized)}

    await rows.campaign()
    before = kept()
    for number in range(10):
        await put(rig, rows, number=number)
        lease = await rig.take_one()
        assert await known(rig.relay, lease) == "ppp"
        await rig.relay.record(settlement(lease, "app"))
        await go_on(rig.relay, lease, "ara")
    assert kept() == before
    assert rig.queue.held == 0
