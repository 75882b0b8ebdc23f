"""When a process counts as alive and as ready, by a clock that only these tests move."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import msgspec
import pytest

from stentor.errors import StoreOutdated
from stentor.runtime import health
from stentor.runtime.health import FRESH, SILENCE, Health, Lookup
from stentor.runtime.plain_http import PlainPage
from stentor.runtime.probes import pages


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeStage:
    name: str = "apns/ios"
    beat: float | None = 1000.0
    problem: str | None = None
    notice: str | None = None
    looked_at: float | None = 1000.0


@dataclass
class World:
    clock: Clock = field(default_factory=Clock)
    desk: FakeStage = field(default_factory=lambda: FakeStage("desk"))
    sender: FakeStage = field(default_factory=FakeStage)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    schema: StoreOutdated | None = None
    doubts: list[str | None] = field(default_factory=list)
    checks: int = 0

    async def check(self) -> None:
        self.checks += 1
        if self.schema is not None:
            raise self.schema

    @property
    def health(self) -> Health:
        doubts = [lambda doubt=doubt: doubt for doubt in self.doubts]
        lookup = Lookup(self.check, 0.0, self.clock)
        return Health("sender", [self.desk, self.sender], self.desk, self.stop, lookup, doubts, self.clock)


@pytest.fixture
def world() -> World:
    return World()


def test_a_process_whose_loops_go_round_is_alive(world: World) -> None:
    world.clock.now += 1.5
    found = world.health.alive()
    assert found.ok
    assert found.loops == {"desk": 1.5, "apns/ios": 1.5}
    assert found.response.status == 200


def test_a_loop_that_stands_still_is_named(world: World) -> None:
    world.clock.now += SILENCE + 1
    world.desk.beat = world.clock.now
    found = world.health.alive()
    assert found.response.status == 503
    assert found.problems == ["apns/ios gave no sign for 91 s"]


def test_a_loop_that_rests_is_alive(world: World) -> None:
    world.sender.beat = world.desk.beat = None
    world.clock.now += 1e6
    assert world.health.alive().ok


def test_loops_may_end_while_the_process_stops(world: World) -> None:
    world.stop.set()
    world.clock.now += SILENCE + 1
    assert world.health.alive().ok


async def test_who_reaches_the_store_is_ready(world: World) -> None:
    world.clock.now += FRESH
    assert (await world.health.ready()).response == PlainPage(200, b'{"role":"sender","ok":true}\n')


async def test_who_has_not_reached_the_store_lately_is_not(world: World) -> None:
    world.clock.now += FRESH + 1
    found = await world.health.ready()
    assert (found.response.status, found.problems) == (503, ["the store was last reached 6 s ago"])
    assert world.checks == 0  # asking it more would only take time
    assert world.health.alive().ok  # to be started again wouldn't help


async def test_who_has_not_reached_the_store_yet_is_not(world: World) -> None:
    world.desk.looked_at = None
    assert (await world.health.ready()).problems == ["the store was not reached yet"]


async def test_who_finds_other_tables_is_not(world: World) -> None:
    world.schema = StoreOutdated("made by a newer Stentor")
    assert (await world.health.ready()).problems == ["made by a newer Stentor"]


async def test_who_cannot_record_or_reach_the_queue_is_not(world: World) -> None:
    world.sender.problem = "the disk is full"
    world.doubts = [None, "the queue cannot be reached"]
    assert (await world.health.ready()).problems == ["the queue cannot be reached", "apns/ios: the disk is full"]


async def test_a_closed_lane_is_told_of_and_makes_nobody_unready(world: World) -> None:
    world.sender.notice = "closed: the provider is down"
    found = await world.health.ready()
    assert found.ok
    assert msgspec.json.decode(found.response.body)["notes"] == ["apns/ios: closed: the provider is down"]


async def test_who_is_stopping_is_not_ready(world: World) -> None:
    world.stop.set()
    found = await world.health.ready()
    assert (found.response.status, found.problems) == (503, ["stopping"])


async def test_the_pages(world: World) -> None:
    async def alive() -> health.ProbeResult:
        return world.health.alive()

    async def metrics() -> PlainPage:
        return PlainPage(200, b"numbers")

    answer = pages(alive, world.health.ready, metrics)
    assert [getattr(await answer(path), "status", None) for path in ("/healthz", "/readyz", "/metrics", "/")] == [
        200,
        200,
        200,
        None,
    ]


async def test_many_who_ask_are_answered_by_one_look() -> None:
    asked = 0

    async def ask() -> int:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return asked

    clock = Clock()
    lookup = Lookup(ask, 5.0, clock)
    assert await asyncio.gather(*(lookup.get() for _ in range(3))) == [1, 1, 1]
    clock.now += 4.9
    assert await lookup.get() == 1
    clock.now += 0.2
    assert await lookup.get() == 2


async def test_a_look_that_takes_long_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "ANSWER_WITHIN", 0.01)
    asked, answered = 0, asyncio.Event()

    async def ask() -> str:
        nonlocal asked
        asked += 1
        await answered.wait()
        return "at last"

    lookup = Lookup(ask, 0.0)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await lookup.get()
    answered.set()
    assert (await lookup.get(), asked) == ("at last", 1)
    await lookup.aclose()


async def test_an_error_is_everybodys_answer_and_is_asked_about_again() -> None:
    answers: list[str | Exception] = [StoreOutdated("old"), "new"]

    async def ask() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    lookup = Lookup(ask, 0.0)
    with pytest.raises(StoreOutdated):
        await lookup.get()
    assert await lookup.get() == "new"


async def test_a_look_under_way_ends_with_its_owner() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def ask() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    lookup = Lookup(ask, 0.0)
    waiting = asyncio.ensure_future(lookup.get())
    await began.wait()
    await lookup.aclose()
    assert ended.is_set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
