"""A budget that many senders share, on real databases: what all of them together send, second by second.

The hands of the clocks are moved by the tests, so a minute of sending takes no minute and no machine is too slow.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack

import pytest

from stentor.errors import StoreUnavailable
from stentor.pace.board import Board, SqlBoard
from stentor.pace.budget import PERIOD, Budget, PlaceInLine
from stentor.pace.pacing import KEPT, LEASE, Sheet, decode_sheet
from stentor.store.database import Database
from stentor.store.migrate import migrate
from stentor.testing.board import MemoryBoard

LANE = "fcm/android"
STEP = 1 / 128
"""Seconds between two moments at which senders may send: not a divisor of anything else here."""
NOTICED = LEASE + 2 * PERIOD
"""Seconds after which a dead sender's slice is in use again."""
SETTLED = 3 * PERIOD
"""The same after one came or left."""


class Sender:
    """A sender with a clock of its own, that has always something to send, or never."""

    def __init__(self, board: Board, rate: float, world: World, name: str) -> None:
        self.offset = 1000.0 * len(world.senders)
        self.budget = Budget(board, LANE, rate, clock=lambda: world.now + self.offset, name=name)
        self.quiet: list[float] = []
        self.budget.attach(self.quiet.append, self._has_work)
        self.next_look = world.now
        self.stopped = False
        self.idle = True
        self._stack = ExitStack()

    def want(self) -> None:
        """Have it send whatever it may, from now on."""
        self.idle = False
        self._stack.enter_context(self.budget.line())

    async def _has_work(self) -> bool:
        return not self.idle


class World:
    """Some senders, and what all of them sent: how many in each moment."""

    def __init__(self, boards: Callable[[], Board], rate: float) -> None:
        self.now = 0.0
        self.rate = rate
        self.senders: list[Sender] = []
        self.sent: list[int] = []
        self._boards = boards

    def join(self, *, wants: bool = True) -> Sender:
        sender = Sender(self._boards(), self.rate, self, f"sender {len(self.senders)}")
        if wants:
            sender.want()
        self.senders.append(sender)
        return sender

    async def run(self, seconds: float) -> int:
        """Let so many seconds pass; returns how many were sent in them."""
        began = len(self.sent)
        for _ in range(round(seconds / STEP)):
            self.now += STEP
            awake = [each for each in self.senders if not each.stopped]
            due = [each for each in awake if each.next_look <= self.now]
            await asyncio.gather(*(each.budget.look() for each in due))  # at once, so that they are in each other's way
            for number, each in enumerate(due):
                each.next_look = self.now + PERIOD * (0.85 + 0.03 * (number % 5))
            self.sent.append(sum(each.budget.draw(10**6) for each in awake if not each.idle))
        return sum(self.sent[began:])

    def fullest(self, since: float = 0.0) -> int:
        """The most that were sent in any second."""
        window, moments = round(1 / STEP), self.sent[round(since / STEP) :]
        return max(sum(moments[start : start + window]) for start in range(max(1, len(moments) - window)))


@pytest.fixture
async def board(database_url: str) -> AsyncIterator[Board]:
    database = Database.open(database_url)
    await migrate(database)
    yield SqlBoard(database)
    await database.aclose()


@pytest.mark.parametrize("count", [1, 3, 8])
async def test_the_budget_holds_and_is_used_while_senders_come_and_die(board: Board, count: int) -> None:
    world = World(lambda: board, 10_000.0)
    for _ in range(count):
        world.join()
    await world.run(SETTLED)
    assert await world.run(4.0) == pytest.approx(40_000, rel=0.05)
    late = world.join()
    await world.run(SETTLED)
    assert await world.run(2.0) == pytest.approx(20_000, rel=0.05)
    late.stopped = True
    await world.run(NOTICED)
    assert await world.run(4.0) == pytest.approx(40_000, rel=0.05)
    assert world.fullest() <= 1.05 * 10_000


@pytest.mark.parametrize("count", [1, 3, 8])
async def test_thirty_a_second_stay_thirty_among_any_number(board: Board, count: int) -> None:
    world = World(lambda: board, 30.0)
    for _ in range(count):
        world.join()
    await world.run(SETTLED)
    assert await world.run(10.0) == pytest.approx(300, rel=0.05)
    assert world.fullest(since=SETTLED) <= 1.05 * 30
    late = world.join()
    await world.run(SETTLED)
    late.stopped = True
    await world.run(NOTICED)
    assert await world.run(4.0) == pytest.approx(120, rel=0.05)
    assert world.fullest() <= 30 + count + 1  # while shares change, each may be one ahead


@pytest.fixture
def memory() -> MemoryBoard:
    return MemoryBoard()


async def test_who_was_stopped_sends_nothing_when_it_goes_on(memory: MemoryBoard) -> None:
    world = World(lambda: memory, 1000.0)
    stopped, other = world.join(), world.join()
    await world.run(SETTLED)
    stopped.stopped = True
    await world.run(NOTICED + 1)
    assert other.budget.rate == 1000.0
    assert stopped.budget.draw(1000) == 0
    stopped.stopped = False
    await world.run(SETTLED)
    assert (stopped.budget.rate, other.budget.rate) == (500.0, 500.0)
    assert world.fullest() <= 1050


async def test_who_cannot_reach_the_board_stops_before_its_slice_is_given_away(memory: MemoryBoard) -> None:
    world = World(lambda: memory, 1000.0)
    cut, other = world.join(), world.join()
    await world.run(SETTLED)
    cut.next_look = float("inf")
    await world.run(KEPT + PERIOD)
    assert (cut.budget.rate, other.budget.rate) == (0.0, 500.0)
    await world.run(LEASE - KEPT + PERIOD)
    assert other.budget.rate == 1000.0
    assert world.fullest() <= 1050


async def test_who_leaves_gives_its_slice_back_at_once(memory: MemoryBoard) -> None:
    world = World(lambda: memory, 1000.0)
    leaving, other = world.join(), world.join()
    await world.run(SETTLED)
    leaving.stopped = True
    await leaving.budget.leave()
    assert leaving.budget.rate == 0.0
    await world.run(PERIOD)
    assert other.budget.rate == 1000.0


async def test_who_has_nothing_to_send_leaves_its_slice_to_the_others(memory: MemoryBoard) -> None:
    world = World(lambda: memory, 1000.0)
    busy, idle = world.join(), world.join(wants=False)
    await world.run(SETTLED)
    assert busy.budget.rate == 1000.0
    assert await world.run(2.0) == pytest.approx(2000, rel=0.05)
    idle.want()
    await world.run(SETTLED)
    assert (busy.budget.rate, idle.budget.rate) == (500.0, 500.0)


async def test_an_idle_lanes_budget_lies_ready(memory: MemoryBoard) -> None:
    world = World(lambda: memory, 1000.0)
    senders = [world.join(wants=False) for _ in range(4)]
    assert await world.run(SETTLED) == 0
    assert [each.budget.rate for each in senders] == [250.0] * 4


# -- quiet -------------------------------------------------------------------------------------------------------------


async def sheet_of(board: Board) -> Sheet:
    return decode_sheet((await board.read(LANE))[0])


@pytest.mark.parametrize("rate", [None, 30.0])
async def test_a_call_for_quiet_reaches_all_others_once(board: Board, rate: float | None) -> None:
    heard: dict[str, list[float]] = {}
    now = 0.0

    async def nothing() -> bool:
        return False

    def sender(name: str) -> Budget:
        budget = Budget(board, LANE, rate, clock=lambda: now, name=name)
        budget.attach(heard.setdefault(name, []).append, nothing)
        return budget

    asked, other = sender("asked"), sender("other")
    await asyncio.gather(asked.look(), other.look())
    asked.be_quiet(30.0)
    await asked.look()
    await other.look()
    now += 12.0
    late = sender("late")
    for budget in (asked, other, late, asked):
        await budget.look()
    assert heard["asked"] == []
    assert heard["other"] == [pytest.approx(30.0)]
    assert len(heard["late"]) == 1
    assert heard["late"][0] == pytest.approx(18.0)  # the rest of it
    now += 31.0
    for budget in (asked, other, late):
        await budget.look()
    assert (await sheet_of(board)).quiet is None
    assert sum(map(len, heard.values())) == 2


async def test_an_unpaced_lane_costs_one_read_and_no_write(memory: MemoryBoard) -> None:
    budget = Budget(memory, LANE, None, clock=lambda: 0.0)
    for _ in range(5):
        await budget.look()
    await budget.leave()
    assert (memory.reads, memory.writes) == (5, 0)
    assert (budget.is_paced, budget.rate) == (False, float("inf"))


async def test_run_looks_again_and_again_whatever_befalls_the_board(memory: MemoryBoard) -> None:
    pauses: list[float] = []
    enough = asyncio.Event()
    trouble = [True, False]

    class Flaky(MemoryBoard):
        async def read(self, lane: str) -> tuple[bytes | None, int]:
            if trouble.pop(0) if trouble else False:
                raise StoreUnavailable
            return await memory.read(lane)

        async def write(self, lane: str, document: bytes, revision: int) -> bool:
            return await memory.write(lane, document, revision)

    async def pause(_event: asyncio.Event, seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            enough.set()
        await asyncio.sleep(0)

    budget = Budget(Flaky(), LANE, 100.0, pause=pause)
    task = asyncio.create_task(budget.run())
    await enough.wait()
    task.cancel()
    await asyncio.wait([task])
    assert budget.rate == 100.0
    assert all(0.5 < seconds <= PERIOD < 1.0 for seconds in pauses)
    await budget.leave()
    assert (await sheet_of(memory)).claims == {}


async def test_a_hint_or_a_call_for_quiet_has_it_look_at_once(memory: MemoryBoard) -> None:
    looked: asyncio.Queue[None] = asyncio.Queue()

    async def pause(event: asyncio.Event, _seconds: float) -> None:
        looked.put_nowait(None)
        await event.wait()

    budget = Budget(memory, LANE, None, pause=pause)
    task = asyncio.create_task(budget.run())
    for number in range(3):
        if number == 1:
            budget.hint()
        elif number == 2:
            budget.be_quiet(5.0)
        async with asyncio.timeout(30):
            await looked.get()
    task.cancel()
    await asyncio.wait([task])
    quiet = (await sheet_of(memory)).quiet
    assert quiet is not None
    assert 4.0 < quiet.seconds <= 5.0


# -- the line ----------------------------------------------------------------------------------------------------------


async def in_time(wait: Awaitable[int]) -> int:
    async with asyncio.timeout(30):
        return await wait


async def test_the_first_in_the_line_sends_alone_until_it_leaves(memory: MemoryBoard) -> None:
    budget = Budget(memory, LANE, 4000.0)
    await budget.look()
    with ExitStack() as first_stack, budget.line() as second:
        first = first_stack.enter_context(budget.line())
        assert await in_time(budget.take(second, 1)) == 1  # it came first
        waits = asyncio.create_task(budget.take(first, 1))
        assert await in_time(budget.take(second, 1)) == 1
        assert not waits.done()
        waits.cancel()
        await asyncio.wait([waits])


def first_of(budget: Budget) -> PlaceInLine | None:
    return budget._first()


def has_first_tries(budget: Budget) -> bool:
    return budget.has_first_tries


async def test_who_steps_aside_lets_other_groups_go_first_and_keeps_its_place(memory: MemoryBoard) -> None:
    budget = Budget(memory, LANE, 1000.0)
    await budget.look()
    with budget.line("a") as first, budget.line("a") as second, budget.line("b") as third:
        with budget.aside(first):
            assert third.changed.is_set()
            async with asyncio.timeout(30):
                assert await budget.take(third, 1) == 1
            waits = asyncio.create_task(budget.take(second, 1))
            third.left = True
            async with asyncio.timeout(30):
                assert await budget.take(third, 1) == 0
            with budget.aside(third):
                assert first_of(budget) is None
        async with asyncio.timeout(30):
            assert await budget.take(first, 1) == 1
        assert not waits.done()
        first.aside = False
        second.leave()
        await waits


async def test_first_tries_go_before_repeated_ones_and_are_remembered_for_a_moment(memory: MemoryBoard) -> None:
    now = 0.0

    async def pass_by(_event: asyncio.Event, seconds: float) -> None:
        nonlocal now
        now += seconds
        await asyncio.sleep(0)

    budget = Budget(memory, LANE, 1000.0, clock=lambda: now, pause=pass_by)
    await budget.look()
    now = 0.5
    with budget.line("a", repeats=True) as repeated:
        assert first_of(budget) is repeated
        assert not has_first_tries(budget)
        with budget.line("a") as first:
            assert first_of(budget) is first
            assert has_first_tries(budget)
            with budget.aside(first):
                assert first_of(budget) is repeated
                assert not has_first_tries(budget), "it can't use what may be sent"
            assert await budget.take(first, 50) == 50
        assert not has_first_tries(budget), "it did not have to wait"
        with budget.line("a") as first:
            assert await budget.take(first, 50) > 0
        assert has_first_tries(budget), "there may be more in the queue"
        now += 1.1
        assert not has_first_tries(budget)
        assert await budget.take(repeated, 1) == 1
        assert await budget.take(repeated, 1000) > 0
        assert await budget.take(repeated, 1000) > 0
        assert not has_first_tries(budget)


async def test_who_leaves_the_line_is_let_go_and_the_next_one_sends(memory: MemoryBoard) -> None:
    budget = Budget(memory, LANE, 0.001)  # nothing comes for a quarter of an hour
    await budget.look()

    places: list[PlaceInLine] = []

    async def fly() -> int:
        with budget.line() as place:
            places.append(place)
            return await budget.take(place, 5)

    flights = [asyncio.create_task(fly()) for _ in range(2)]
    await asyncio.sleep(0)
    for place, flight in zip(places, flights, strict=True):
        assert not flight.done()
        place.leave()
        assert await in_time(flight) == 0


async def test_a_slice_that_comes_wakes_who_waits_for_it(memory: MemoryBoard) -> None:
    budget = Budget(memory, LANE, 5000.0)
    with budget.line() as place:
        waits = asyncio.create_task(budget.take(place, 100))
        await asyncio.sleep(0)
        await budget.look()
        assert 0 < await in_time(waits) <= 100
