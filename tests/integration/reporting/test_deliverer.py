"""Deliveries from the outbox to their targets: once, in time, and independent of each other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from stentor.reporting import outbox
from stentor.reporting.deliverer import LEASE, Deliverer
from stentor.reporting.events import EventKind
from stentor.reporting.outbox import (
    FIRST_PAUSE,
    GIVE_UP_AFTER,
    LONGEST_PAUSE,
    DeliveryStatus,
    ReportDelivery,
    TargetAnswer,
    pause,
)
from stentor.states import CampaignState
from stentor.store.tables import campaigns as campaign_rows
from tests.integration.recording.rows import NOW, Rows
from tests.integration.reporting.scene import (
    REFUSED,
    Clock,
    FakeReceiver,
    campaign,
    detector,
    set_problem,
    targets,
)

SOON = 20.0
"""Seconds for which something is waited for that must happen."""


async def happen(rows: Rows, clock: Clock, *names: str, campaigns: int = 1) -> None:
    """Write down that some campaigns have ended, for these targets."""
    settings = targets(**dict.fromkeys(names, ()))
    looking = detector(rows, clock, settings)
    await looking.look()
    for number in range(campaigns):
        await campaign(rows, f"c{number}", CampaignState.COMPLETED)
    await looking.look()


async def told(rows: Rows, target: str = "team") -> list[ReportDelivery]:
    return await rows.database.ask(lambda connection: outbox.deliveries(connection, target=target))


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(SOON):
        while not await is_so():  # noqa: ASYNC110 - a row sets no event
            await asyncio.sleep(0.01)


async def test_each_target_is_told_once_and_the_log_says_so(rows: Rows) -> None:
    clock = Clock()
    await happen(rows, clock, "team", "ops", campaigns=3)
    receivers = {"team": FakeReceiver(), "ops": FakeReceiver()}
    await Deliverer(rows.database, receivers, clock).finish(SOON)
    await Deliverer(rows.database, receivers, clock).finish(SOON)
    for name, receiver in receivers.items():
        assert sorted(receiver.told) == [f"completed/c{number}" for number in range(3)]
        for each in await told(rows, name):
            assert (each.status, each.tries, each.answer_status, each.answer) == (DeliveryStatus.SENT, 1, 200, "ok")
            assert (each.kind, each.tried_at, each.ready_at) == (EventKind.COMPLETED, NOW, None)


async def test_two_at_once_tell_each_event_once(rows: Rows) -> None:
    clock = Clock()
    await happen(rows, clock, "team", campaigns=10)
    receiver = FakeReceiver()
    both = [Deliverer(rows.database, {"team": receiver}, clock) for _ in range(2)]
    await asyncio.gather(*(each.finish(SOON) for each in both))
    await until(lambda: _all_sent(rows))
    assert sorted(receiver.told) == sorted(f"completed/c{number}" for number in range(10))


async def _all_sent(rows: Rows) -> bool:
    return all(each.status is DeliveryStatus.SENT for each in await told(rows))


async def test_a_slow_target_holds_up_no_other(rows: Rows) -> None:
    clock = Clock()
    await happen(rows, clock, "slow", "team", campaigns=3)
    slow, team = FakeReceiver(), FakeReceiver()
    slow.opened.clear()
    deliverer = Deliverer(rows.database, {"slow": slow, "team": team}, clock)
    await deliverer.look()
    await asyncio.wait_for(slow.asked.wait(), SOON)
    await until(lambda: _all_sent(rows))
    assert len(team.told) == 3
    assert slow.told == []
    slow.opened.set()
    await deliverer.finish(SOON)
    assert len(slow.told) == 3


async def test_what_is_refused_is_tried_again_later_and_later_for_a_day(rows: Rows) -> None:
    clock = Clock()
    await happen(rows, clock, "team")
    receiver = FakeReceiver(*[REFUSED] * 100)
    waits = []
    while True:
        await Deliverer(rows.database, {"team": receiver}, clock).finish(SOON)
        (found,) = await told(rows)
        if found.ready_at is None:
            break
        assert (found.answer_status, found.answer) == (500, "no")
        waits.append(found.ready_at - clock.now)
        clock.now = found.ready_at
    assert waits[:3] == [FIRST_PAUSE, 3 * FIRST_PAUSE, 9 * FIRST_PAUSE]
    assert max(waits) == LONGEST_PAUSE
    assert found.status is DeliveryStatus.FAILED
    assert GIVE_UP_AFTER <= clock.now - NOW <= GIVE_UP_AFTER + LONGEST_PAUSE


def test_a_target_that_asks_for_quiet_gets_it_within_bounds() -> None:
    assert pause(1, 60.0) == 60.0
    assert pause(1, 1.0) == FIRST_PAUSE
    assert pause(1, 1e9) == LONGEST_PAUSE


async def test_one_that_is_gone_is_not_tried_again(rows: Rows) -> None:
    clock = Clock()
    await happen(rows, clock, "team")
    gone = FakeReceiver(TargetAnswer(sent=False, status=410, final=True))
    await Deliverer(rows.database, {"team": gone}, clock).finish(SOON)
    (found,) = await told(rows)
    assert found.status is DeliveryStatus.FAILED


async def test_what_a_dead_process_had_is_told_by_another_after_its_lease(rows: Rows) -> None:
    clock = Clock()
    await happen(rows, clock, "team")
    held = await rows.database.write(lambda connection: outbox.claim(connection, "team", clock.now, LEASE))
    assert held is not None
    receiver = FakeReceiver()
    await Deliverer(rows.database, {"team": receiver}, clock).finish(SOON)
    assert receiver.told == []
    clock.now += LEASE
    await Deliverer(rows.database, {"team": receiver}, clock).finish(SOON)
    assert receiver.told == ["completed/c0"]
    late = await rows.database.write(lambda connection: outbox.settle(connection, held, REFUSED, clock.now))
    assert late is None  # its word counts no longer
    (found,) = await told(rows)
    assert (found.status, found.tries) == (DeliveryStatus.SENT, 2)


async def test_one_that_is_stopped_finishes_what_it_has_and_begins_nothing(rows: Rows) -> None:
    clock = Clock()
    await happen(rows, clock, "team", campaigns=2)
    receiver = FakeReceiver()
    receiver.opened.clear()
    deliverer = Deliverer(rows.database, {"team": receiver}, clock)
    await deliverer.look()
    await asyncio.wait_for(receiver.asked.wait(), SOON)
    stopping = asyncio.create_task(deliverer.stop(SOON))
    await asyncio.sleep(0)
    receiver.opened.set()
    await stopping
    assert len(receiver.told) == 1
    assert sorted(each.status for each in await told(rows)) == [DeliveryStatus.SENT, DeliveryStatus.WAITING]


async def test_one_that_takes_too_long_at_the_end_is_left_for_the_next(rows: Rows) -> None:
    clock = Clock()
    await happen(rows, clock, "team")
    receiver = FakeReceiver()
    receiver.opened.clear()
    await Deliverer(rows.database, {"team": receiver}, clock).finish(0.2)
    (found,) = await told(rows)
    assert (found.status, found.ready_at) == (DeliveryStatus.WAITING, NOW + LEASE)


async def test_a_trouble_is_told_until_it_is_over(rows: Rows) -> None:
    clock = Clock()
    await happen(rows, clock, "team")
    deliverer = Deliverer(rows.database, {"team": FakeReceiver(REFUSED)}, clock)
    await deliverer.deliver("team", "completed/c0")
    assert deliverer.trouble == "reports to team are late: no"
    clock.now += FIRST_PAUSE
    assert await deliverer.deliver("team", "completed/c0") is DeliveryStatus.SENT
    assert deliverer.trouble is None


async def test_a_replay_tells_again_also_one_that_was_never_told(rows: Rows) -> None:
    clock = Clock()
    await happen(rows, clock, "team")
    receivers = {"team": FakeReceiver(), "ops": FakeReceiver()}
    await Deliverer(rows.database, receivers, clock).finish(SOON)
    clock.now += GIVE_UP_AFTER * 2

    async def again(event: str) -> list[str]:
        return await rows.database.write(
            lambda connection: outbox.replay(connection, event, list(receivers), clock.now)
        )

    assert await again("completed/nothing") == []
    assert await again("completed/c0") == ["team", "ops"]
    await Deliverer(rows.database, receivers, clock).finish(SOON)
    assert receivers["team"].told == ["completed/c0"] * 2
    assert receivers["ops"].told == ["completed/c0"]


async def test_one_that_is_being_told_is_not_replayed(rows: Rows) -> None:
    clock = Clock()
    await happen(rows, clock, "team")
    await rows.database.write(lambda connection: outbox.claim(connection, "team", clock.now, LEASE))
    told_again = await rows.database.write(
        lambda connection: outbox.replay(connection, "completed/c0", ["team"], clock.now)
    )
    assert told_again == []


async def test_old_alarms_of_lanes_are_forgotten_but_for_the_newest(rows: Rows) -> None:
    clock = Clock()
    looking = detector(rows, clock)
    for problem in ("down", None, "down", None):
        await set_problem(rows, problem)
        for _ in range(70):
            clock.now += 1
            await looking.look()
    before = clock.now + 1
    assert await rows.database.write(lambda connection: outbox.forget(connection, before)) == 3
    assert {each.event_id for each in await told(rows)} == {"lane_resumed/apns/ios/2"}


async def test_what_a_campaign_was_told_of_goes_with_it(rows: Rows) -> None:
    clock = Clock()
    await happen(rows, clock, "team")
    await rows.change(campaign_rows.delete().where(campaign_rows.c.id == "c0"))
    assert await told(rows) == []


@pytest.mark.parametrize("answer", ["x" * 10_000, "ein Fehler\0mit Null"])
async def test_any_answer_can_be_kept(rows: Rows, answer: str) -> None:
    clock = Clock()
    await happen(rows, clock, "team")
    receiver = FakeReceiver(TargetAnswer(sent=False, text=answer))
    await Deliverer(rows.database, {"team": receiver}, clock).finish(SOON)
    (found,) = await told(rows)
    assert found.answer
    assert len(found.answer) <= outbox.LONGEST_ANSWER
