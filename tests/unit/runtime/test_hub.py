"""One look for all who watch, the newest state for who is slow, and nothing left of who has gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from stentor.errors import StoreOutdated, StoreUnavailable
from stentor.recording.report import LaneCounts, Progress, Report
from stentor.runtime import hub as hubs
from stentor.runtime.changes import CampaignEvent, CampaignView, Look, ProgressMade, Snapshot, StoreAway, View
from stentor.runtime.hub import Hub
from stentor.states import CampaignState
from stentor.testing.queue import ManualClock
from tests.unit.cli.moments import campaign

IOS = "apns/ios"
WATCHERS = 500


def view(accepted: int, state: CampaignState = CampaignState.RUNNING) -> CampaignView:
    counts = LaneCounts(read=10_000, accepted=accepted, queued=10_000 - accepted)
    progress = Progress(campaign=campaign("c1", state=state), lanes={IOS: counts}, at=0.0)
    report = Report(campaign=progress.campaign, lanes={}, reasons={}, dead=0, dead_letters=0, at=0.0)
    return CampaignView(progress=progress, report=report if state is CampaignState.COMPLETED else None)


DONE = view(10_000, CampaignState.COMPLETED)


class FakeStore:
    """Answers a look when the test says so."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[View | Exception] = asyncio.Queue()
        self.asked = 0
        self.answered = 0
        self.hindrance: str | None = None
        self.clock = ManualClock()

    async def look(self) -> View:
        self.asked += 1
        answer = await self.answers.get()
        self.answered += 1
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def answer(self, *answers: View | Exception) -> None:
        """Give these to the next looks, and wait until the one after them has begun."""
        for each in answers:
            self.answers.put_nowait(each)
        wanted = self.answered + len(answers)
        while self.answered < wanted or (self.asked == wanted and not _over(answers[-1])):  # noqa: ASYNC110 - in this loop
            await asyncio.sleep(0)


def _over(answer: View | Exception) -> bool:
    return isinstance(answer, StoreOutdated) or (isinstance(answer, CampaignView) and answer.over)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    monkeypatch.setattr(hubs, "BUSY", 0.0)
    monkeypatch.setattr(hubs, "QUIET", 0.0)
    monkeypatch.setattr(hubs, "LONGEST", 0.0)
    return FakeStore()


@pytest.fixture
async def hub(store: FakeStore) -> AsyncIterator[Hub]:
    made = Hub(store.look, lambda _: store.hindrance, store.clock)
    yield made
    if made.looking is not None and made.is_looking:
        made.looking.cancel()
        await asyncio.wait({made.looking})


class Watcher:
    """Takes what it is told when the test says so."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._seen: Look | None = None
        hub.enter()

    async def told(self) -> Sequence[CampaignEvent]:
        now = await self._hub.next(self._seen)
        assert now is not None
        events = self._hub.events(self._seen, now)
        self._seen = now
        return events


async def test_however_many_watch_one_look_is_taken(store: FakeStore, hub: Hub) -> None:
    watchers = [Watcher(hub) for _ in range(WATCHERS)]
    for number in range(4):
        await store.answer(view(number))
        told = await asyncio.gather(*(watcher.told() for watcher in watchers))
        assert [[event.kind for event in each] for each in told] == [["progress" if number else "snapshot"]] * WATCHERS
        assert len({id(event) for each in told for event in each}) == 1  # made once for all of them
        assert store.asked == number + 2  # and the next one is under way


async def test_who_is_slow_gets_the_newest_state_and_no_list(store: FakeStore, hub: Hub) -> None:
    watcher = Watcher(hub)
    await store.answer(view(0))
    await watcher.told()
    for number in range(1, 301):
        await store.answer(view(number))
    (event,) = await watcher.told()
    assert isinstance(event, ProgressMade)
    assert event.progress == view(300).progress


async def test_looking_begins_with_the_first_and_ends_with_the_last(store: FakeStore, hub: Hub) -> None:
    assert not hub.is_looking
    first, _second = Watcher(hub), Watcher(hub)
    await store.answer(view(0))
    await first.told()
    hub.leave()
    looking = hub.looking
    assert looking is not None
    await asyncio.sleep(0)
    assert not looking.done()
    hub.leave()
    store.answers.put_nowait(view(1))  # the look that is under way is the last
    await looking
    assert (store.asked, hub.watchers) == (2, 0)
    again = Watcher(hub)
    await store.answer(view(2))
    assert (await again.told())[0].kind == "snapshot"


async def test_who_comes_while_the_last_look_ends_is_served(store: FakeStore, hub: Hub) -> None:
    Watcher(hub)
    await store.answer(view(0))
    hub.leave()
    anew = Watcher(hub)
    await store.answer(view(1), view(2))
    assert isinstance((await anew.told())[0], Snapshot)
    assert hub.is_looking


async def test_an_absent_store_is_told_and_looking_goes_on(store: FakeStore, hub: Hub) -> None:
    watcher = Watcher(hub)
    await store.answer(view(1))
    await watcher.told()
    gone = StoreUnavailable("the store cannot be reached; is the server running?")
    await store.answer(gone, gone, gone)
    (away,) = await watcher.told()
    assert isinstance(away, StoreAway)
    assert away.problem == str(gone)
    await store.answer(view(1))
    assert [event.kind for event in await watcher.told()] == ["snapshot"]


async def test_an_absence_is_told_while_a_look_still_tries(
    store: FakeStore, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store's own patience is half a minute."""
    monkeypatch.setattr(hubs, "AWAY_AFTER", 0.001)
    watcher = Watcher(hub)
    await store.answer(view(1))
    await watcher.told()
    store.hindrance = "the store cannot be reached"
    (away,) = await watcher.told()
    assert isinstance(away, StoreAway)
    assert store.asked == 2
    store.hindrance = None
    await store.answer(view(2))
    assert [event.kind for event in await watcher.told()] == ["snapshot"]


async def test_what_cannot_be_looked_at_is_raised_for_all(store: FakeStore, hub: Hub) -> None:
    watchers = [Watcher(hub), Watcher(hub)]
    store.answers.put_nowait(StoreOutdated())
    for found in await asyncio.gather(*(each.told() for each in watchers), return_exceptions=True):
        assert isinstance(found, StoreOutdated)
    assert hub.broken
    assert not hub.is_looking


async def test_what_is_over_is_told_to_later_ones_without_a_look(store: FakeStore, hub: Hub) -> None:
    watcher = Watcher(hub)
    await store.answer(DONE)
    assert [event.kind for event in await watcher.told()] == ["snapshot", "report", "end"]
    late = Watcher(hub)
    assert [event.kind for event in await late.told()] == ["snapshot", "report", "end"]
    assert (store.asked, hub.broken) == (1, False)
    assert await hub.next(await hub.next(None)) is None


async def test_ids_grow_with_each_look_whatever_the_clock_does(store: FakeStore, hub: Hub) -> None:
    watcher = Watcher(hub)
    ids = []
    for number in range(3):
        await store.answer(view(number))
        ids += [event.id for event in await watcher.told()]
        store.clock.move(-0.5)
    first = int(1_700_000_000.25 * 1000)
    assert ids == [first, first + 1, first + 2]


async def test_who_comes_later_sees_when_the_last_look_was(store: FakeStore, hub: Hub) -> None:
    """Also where nothing has changed for long, and so nothing was told."""
    first = Watcher(hub)
    await store.answer(view(1))
    await first.told()
    store.clock.move(100.0)
    await store.answer(view(1))
    (now,) = await Watcher(hub).told()
    assert now.at == pytest.approx(1_700_000_100.25)


async def pauses_of(monkeypatch: pytest.MonkeyPatch, views: Sequence[View], took: float) -> list[float]:
    """Seconds between looks that find these, each of which takes so long."""
    store, passing, pauses = FakeStore(), ManualClock(), list[float]()

    async def look() -> View:
        passing.move(took)
        return await store.look()

    async def rest(seconds: float, _: object) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(hubs, "rest", rest)
    monkeypatch.setattr(hubs, "steady", passing)
    hub = Hub(look, lambda _: None, store.clock)
    hub.enter()
    await store.answer(*views)
    assert hub.looking is not None
    hub.looking.cancel()
    await asyncio.wait({hub.looking})
    return pauses


async def test_looks_are_rarer_while_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    views = [view(1), view(2), *[view(2)] * 4, view(3)]
    assert await pauses_of(monkeypatch, views, 0.001) == [0.25, 0.25, 0.5, 1.0, 1.0, 1.0, 0.25]


async def test_looking_takes_a_twentieth_of_the_time_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await pauses_of(monkeypatch, [view(1), view(2)], 0.2) == pytest.approx([3.8, 3.8])


async def test_a_process_that_stood_still_looks_again_soon_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """A laptop that slept, say: then the look seems to have taken hours."""
    assert await pauses_of(monkeypatch, [view(1)], 7200.0) == [10.0]
