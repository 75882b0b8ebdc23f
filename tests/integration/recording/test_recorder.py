"""The recorder: outcomes that are durable once, in order or not, by one recorder or by several."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import select

from stentor.account import Account, Failure, Waiting, unknown
from stentor.batch import VERSION, Batch
from stentor.errors import LeaseLost, StoreUnavailable
from stentor.outcome import Outcome
from stentor.queue.contract import Lease, Task
from stentor.queue.sql import SqlQueue
from stentor.recording.contract import Settlement, Then
from stentor.recording.recorder import Recorder
from stentor.store.database import Database
from stentor.store.tables import batches, failures
from stentor.testing.queue import LANE, ManualClock
from tests.integration.recording.rows import OUTCOMES, Rows

CLOCK = ManualClock()


def column(letters: str) -> bytes:
    return bytes(OUTCOMES[letter] for letter in letters)


def failure(position: int, letter: str = "r", **other: Any) -> Failure:
    return Failure(**{"position": position, "outcome": OUTCOMES[letter], "reason": "Unregistered", **other})


class Desk:
    """A recorder and what it writes to."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.queue = SqlQueue(rows.database, CLOCK)
        self.recorder = Recorder(rows.database, self.queue, CLOCK)

    async def lease(self, number: int, outcomes: str = "pppp") -> Lease:
        """A batch of the campaign `c1`, taken from the queue."""
        name = await self.rows.batch(number, outcomes, task=None)
        await self.queue.settle(put=[Task(id=name, lane=LANE, campaign_id="c1", payload=b"")])
        (lease,) = await self.queue.take(LANE, 1, 30.0)
        return lease

    async def row(self, lease: Lease) -> Any:
        async with self.rows.database.read() as connection:
            row = (await connection.execute(select(batches).where(batches.c.id == lease.id))).one()
        found = row.outcomes or bytes(row.size)
        counted = [row.pending, row.accepted, row.rejected, row.expired, row.cancelled, row.ambiguous]
        assert counted == [found.count(outcome) for outcome in Outcome]
        return row

    async def letters(self, lease: Lease) -> str:
        names = {outcome: letter for letter, outcome in OUTCOMES.items()}
        row = await self.row(lease)
        return "".join(names[Outcome(byte)] for byte in row.outcomes or bytes(row.size))

    async def failures(self) -> list[Any]:
        async with self.rows.database.read() as connection:
            return list(await connection.execute(select(failures).order_by(failures.c.batch_id, failures.c.position)))

    async def queued(self) -> int:
        return (await self.queue.depths([LANE]))[LANE].total


def batch_of(lease: Lease, size: int = 4) -> Batch:
    number = lease.id.rpartition(".")[2]
    return Batch(
        version=VERSION,
        id=lease.id,
        campaign_id=lease.campaign_id,
        lane=lease.lane,
        expires_at=0.0,
        recipients=[b"k%s-%d" % (number.encode(), position) for position in range(size)],
        addresses=[b"address-%d" % position for position in range(size)],
    )


def settlement(
    lease: Lease, letters: str, *found: Failure, waiting: tuple[Waiting, ...] = (), **other: Any
) -> Settlement:
    account = Account(outcomes=column(letters), failures=found, waiting=waiting)
    return Settlement(**{"lease": lease, "batch": batch_of(lease, len(account)), "account": account, **other})


@asynccontextmanager
async def recording(*desks: Desk) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        for desk in desks:
            group.create_task(desk.recorder.run())
        yield
        for desk in desks:
            desk.recorder.stop()


@pytest.fixture
async def desk(rows: Rows) -> Desk:
    await rows.campaign()
    return Desk(rows)


class Commits:
    """Counts a queue's settlements, and makes some fail."""

    def __init__(self, queue: SqlQueue) -> None:
        self.sizes: list[int] = []
        self.failing = 0
        self.attempted, self.go_on = asyncio.Event(), asyncio.Event()
        self._settle: Callable[..., Awaitable[None]] = queue.settle
        queue.settle = self.settle  # type: ignore[assignment, method-assign]

    async def settle(self, change: Any = None, *, ack: Sequence[Lease] = (), **named: Any) -> None:
        if self.failing:
            self.failing -= 1
            self.attempted.set()
            await self.go_on.wait()
            raise StoreUnavailable("the disk is full")
        self.sizes.append(len(ack))
        await self._settle(change, ack=ack, **named)


# -- what is recorded -----------------------------------------------------------------------------------------------


async def test_outcomes_failures_and_the_end_of_the_lease(desk: Desk) -> None:
    lease = await desk.lease(1)
    gone = failure(1, dead=True, since=5.0, status=410, detail="gone", tries=3)
    async with recording(desk):
        await desk.recorder.record(settlement(lease, "arxm", gone, failure(2, "x"), failure(3, "m"), then=Then.ACK))
        assert await desk.letters(lease) == "arxm"
    assert (await desk.row(lease)).recorded_at == CLOCK()
    assert await desk.queued() == 0
    rows = await desk.failures()
    assert [(row.position, row.outcome, row.installation) for row in rows] == [
        (1, Outcome.REJECTED, "k1-1"),
        (2, Outcome.EXPIRED, "k1-2"),
        (3, Outcome.AMBIGUOUS, "k1-3"),
    ]
    first = rows[0]
    assert (first.reason, first.status, first.detail, first.dead, first.tries) == ("Unregistered", 410, "gone", True, 3)
    assert (first.campaign_id, first.lane, first.at) == ("c1", LANE, CLOCK())


async def test_what_waits_is_known_to_whoever_goes_on(desk: Desk) -> None:
    lease = await desk.lease(1)
    again = Waiting(2, 1, CLOCK() + 5, "Busy", ambiguous=True)
    async with recording(desk):
        released = settlement(lease, "aapp", waiting=(again,), then=Then.RELEASE, delay=5.0)
        await desk.recorder.record(released)
        known = (await desk.recorder.known([lease]))[lease.id]
    assert known.account == Account(outcomes=column("aapp"), waiting=(again,))
    assert known.beside == unknown(4)  # the store has all of it
    assert (await desk.queue.depths([LANE]))[LANE].delayed == 1


async def test_a_batch_that_nobody_began_is_known_as_it_was_planned(desk: Desk) -> None:
    lease = await desk.lease(1)
    (known,) = (await desk.recorder.known([lease])).values()
    assert known.account == known.beside == unknown(4)


async def test_a_checkpoint_keeps_the_lease_and_those_who_wait(desk: Desk) -> None:
    lease = await desk.lease(1)
    both = (Waiting(1, 1, 9.0, "Busy"), Waiting(2, 1, 9.0, "Busy"))
    async with recording(desk):
        await desk.recorder.record(settlement(lease, "pppp", waiting=both))
        await desk.recorder.record(settlement(lease, "apap"))
        known = (await desk.recorder.known([lease]))[lease.id]
        assert (await desk.queue.depths([LANE]))[LANE].leased == 1
        assert known.account.waiting == both[:1]  # only pending recipients wait
        await desk.recorder.record(settlement(lease, "papa"))
    assert (await desk.row(lease)).waiting is None


async def test_the_first_terminal_outcome_is_the_last(desk: Desk) -> None:
    lease = await desk.lease(1)
    async with recording(desk):
        await desk.recorder.record(settlement(lease, "appr", failure(3)))
        await desk.recorder.record(settlement(lease, "rrap", failure(0), failure(1)))
        await desk.recorder.record(settlement(lease, "cccc"))
    assert await desk.letters(lease) == "arar"
    assert [row.position for row in await desk.failures()] == [1, 3]


async def test_twice_is_once(desk: Desk) -> None:
    lease = await desk.lease(1)
    same = settlement(lease, "arpp", failure(1), waiting=(Waiting(2, 1, 9.0, "Busy"),), then=Then.RELEASE)
    async with recording(desk):
        await desk.recorder.record(same)
        before = await desk.row(lease), await desk.failures()
        await asyncio.gather(desk.recorder.record(same), desk.recorder.record(same))
    assert (await desk.row(lease), await desk.failures()) == before


async def test_an_older_one_later_changes_nothing(desk: Desk) -> None:
    lease = await desk.lease(1)
    older = settlement(lease, "pppp", waiting=(Waiting(1, 1, 5.0, "Busy"), Waiting(2, 1, 5.0, "Busy")))
    newer = settlement(lease, "aapp", waiting=(Waiting(2, 2, 9.0, "NoAnswer", ambiguous=True),))
    async with recording(desk):
        await desk.recorder.record(newer)
        before = await desk.row(lease)
        await desk.recorder.record(older)
    assert await desk.row(lease) == before


async def test_one_group_may_hold_several_of_one_batch(desk: Desk) -> None:
    lease = await desk.lease(1)
    commits = Commits(desk.queue)
    told = [
        settlement(lease, "appp"),
        settlement(lease, "prpp", failure(1), waiting=(Waiting(2, 1, 9.0, "Busy"),)),
        settlement(lease, "aaar", failure(3), then=Then.ACK),
    ]
    tasks = [asyncio.ensure_future(desk.recorder.record(each)) for each in told]
    await asyncio.sleep(0)
    async with recording(desk):
        await asyncio.gather(*tasks)
    assert commits.sizes == [1]
    assert await desk.letters(lease) == "arar"
    assert [row.position for row in await desk.failures()] == [1, 3]
    assert (await desk.row(lease)).waiting is None


async def test_what_comes_together_is_committed_together(desk: Desk) -> None:
    leases = [await desk.lease(number) for number in range(20)]
    commits = Commits(desk.queue)
    async with recording(desk):
        await asyncio.gather(*(desk.recorder.record(settlement(lease, "aaaa", then=Then.ACK)) for lease in leases))
    assert sum(commits.sizes) == 20
    assert len(commits.sizes) <= 3
    assert [await desk.letters(lease) for lease in leases] == ["aaaa"] * 20


async def test_a_batch_that_cannot_be_read_fails_with_the_recipients_as_planned(desk: Desk) -> None:
    lease = await desk.lease(1)
    poison = settlement(
        lease, "mmpp", failure(0, "m"), failure(1, "m"), batch=None, then=Then.BURY, why="it is no batch"
    )
    async with recording(desk):
        await desk.recorder.record(poison)
    assert [row.installation for row in await desk.failures()] == ["k1-0", "k1-1"]
    assert [(letter.id, letter.reason) for letter in await desk.queue.dead_letters()] == [(lease.id, "it is no batch")]
    assert await desk.queued() == 0


async def test_a_batch_whose_campaign_was_deleted_is_let_go(desk: Desk) -> None:
    lease = await desk.lease(1)
    await desk.rows.change(batches.delete())
    async with recording(desk):
        await desk.recorder.record(settlement(lease, "arpp", failure(1), then=Then.ACK))
    assert await desk.failures() == []
    assert await desk.queued() == 0


# -- whose lease it is -----------------------------------------------------------------------------------------------


async def taken_again(desk: Desk, lease: Lease) -> Lease:
    """By another, as its time was over."""
    CLOCK.now += 31.0
    (again,) = await desk.queue.take(LANE, 1, 30.0)
    assert (again.id, again.token != lease.token) == (lease.id, True)
    return again


@pytest.mark.parametrize("then", Then)
async def test_of_a_lease_that_was_lost_only_what_providers_said_is_recorded(desk: Desk, then: Then) -> None:
    """And the lease of whoever has it now doesn't end."""
    first = await desk.lease(1, "pppppppp")
    second = await taken_again(desk, first)
    decided = failure(2, tries=0), failure(3, "x"), failure(6, "m", tries=0)
    said = failure(1), failure(5, "m")
    again = Waiting(7, 1, CLOCK() + 9, "Busy")
    async with recording(desk):
        await desk.recorder.record(settlement(first, "arrxcmmp", *said, *decided, waiting=(again,), then=then))
        assert await desk.letters(first) == "arpppmpp"
        assert (await desk.row(first)).waiting is None
        assert (await desk.queue.depths([LANE]))[LANE].leased == 1
        rest = failure(2, "x"), failure(3, "x"), failure(6, "x"), failure(7, "x")
        await desk.recorder.record(settlement(second, "ppxxcpxx", *rest, then=Then.ACK))
    assert await desk.letters(first) == "arxxcmxx"
    assert [row.position for row in await desk.failures()] == [1, 2, 3, 5, 6, 7]
    assert await desk.queued() == 0


async def test_nobody_is_put_on_record_by_whom_the_lease_was_taken_from(desk: Desk) -> None:
    first = await desk.lease(1)
    begun = Waiting(1, 0, CLOCK(), "Interrupted", begun=True), Waiting(2, 0, CLOCK(), "Interrupted", begun=True)
    async with recording(desk):
        await desk.recorder.intend(settlement(first, "pppp", waiting=begun[:1]))
        second = await taken_again(desk, first)
        with pytest.raises(LeaseLost):
            await desk.recorder.intend(settlement(first, "appp", waiting=begun))
        found = (await desk.recorder.known([second]))[second.id].account
        assert found == Account(outcomes=column("appp"), waiting=begun[:1])
        await desk.recorder.intend(settlement(second, "pppp", waiting=begun[1:]))
    assert (await desk.recorder.known([second]))[second.id].account.waiting == begun


async def test_a_lease_whose_time_is_over_is_held_until_another_takes_it(desk: Desk) -> None:
    """No clock says whose it is."""
    lease = await desk.lease(1)
    CLOCK.now += 3600.0
    begun = Waiting(1, 0, CLOCK(), "Interrupted", begun=True)
    async with recording(desk):
        await desk.recorder.intend(settlement(lease, "pppp", waiting=(begun,)))
        await desk.recorder.record(settlement(lease, "cccc", then=Then.ACK))
    assert await desk.letters(lease) == "cccc"
    assert await desk.queued() == 0


async def test_of_two_leases_of_one_batch_in_one_commit_each_counts_for_itself(desk: Desk) -> None:
    first = await desk.lease(1)
    second = await taken_again(desk, first)
    stale = settlement(first, "acxp", failure(2, "x"), then=Then.ACK)
    await desk.recorder.commit([stale, settlement(second, "pcrp", failure(2), then=Then.RELEASE)])
    assert await desk.letters(first) == "acrp"
    assert (await desk.queue.depths([LANE]))[LANE].ready == 1


# -- trouble --------------------------------------------------------------------------------------------------------


async def test_an_outage_is_ridden_out_in_order(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stentor.recording.recorder.LONGEST_PAUSE", 0.01)
    lease, other = await desk.lease(1), await desk.lease(2)
    commits = Commits(desk.queue)
    commits.failing = 3
    async with recording(desk):
        first = asyncio.ensure_future(desk.recorder.record(settlement(lease, "aapp")))
        await commits.attempted.wait()
        second = asyncio.ensure_future(
            desk.recorder.record(settlement(lease, "rrrr", *map(failure, range(4)), then=Then.ACK))
        )
        third = asyncio.ensure_future(desk.recorder.record(settlement(other, "aaaa", then=Then.ACK)))
        await asyncio.sleep(0)  # both are told while the first attempt is under way
        commits.attempted.clear()
        commits.go_on.set()
        await commits.attempted.wait()
        problems = [desk.recorder.problem]
        await asyncio.gather(first, second, third)
        problems.append(desk.recorder.problem)
    assert problems == ["the disk is full", None]
    assert await desk.letters(lease) == "aarr"
    assert await desk.queued() == 0


async def test_what_was_told_before_the_stop_is_still_recorded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stentor.recording.recorder.LONGEST_PAUSE", 0.01)
    leases = [await desk.lease(number) for number in range(3)]
    commits = Commits(desk.queue)
    commits.failing = 2
    commits.go_on.set()
    told = [asyncio.ensure_future(desk.recorder.record(settlement(lease, "aaaa", then=Then.ACK))) for lease in leases]
    await asyncio.sleep(0)
    desk.recorder.stop()
    await desk.recorder.run()
    await asyncio.wait_for(asyncio.gather(*told), 30)
    assert [await desk.letters(lease) for lease in leases] == ["aaaa"] * 3


async def test_whoever_does_not_wait_is_recorded_all_the_same(desk: Desk) -> None:
    lease = await desk.lease(1)
    leaving = asyncio.ensure_future(desk.recorder.record(settlement(lease, "aaaa", then=Then.ACK)))
    await asyncio.sleep(0)
    leaving.cancel()
    async with recording(desk):
        await desk.recorder.record(settlement(await desk.lease(2), "aaaa"))
    assert await desk.letters(lease) == "aaaa"


async def test_two_recorders_agree_about_the_batches_they_share(desk: Desk, database_url: str) -> None:
    database = Database.open(database_url)
    other = Desk(Rows(database))
    leases = [await desk.lease(number) for number in range(12)]
    try:
        async with recording(desk, other):
            mine = [settlement(lease, "aarp", failure(2), waiting=(Waiting(3, 1, 9.0, "Busy"),)) for lease in leases]
            theirs = [settlement(lease, "prrr", *map(failure, (1, 2, 3)), then=Then.ACK) for lease in leases]
            await asyncio.gather(*map(desk.recorder.record, mine), *map(other.recorder.record, reversed(theirs)))
    finally:
        await database.aclose()
    assert await desk.queued() == 0
    rejected = 0
    for lease in leases:
        letters = await desk.letters(lease)
        assert letters in ("aarr", "arrr")
        assert (await desk.row(lease)).waiting is None
        rejected += letters.count("r")
    assert len(await desk.failures()) == rejected
