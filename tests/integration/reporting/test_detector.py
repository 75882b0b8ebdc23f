"""What is found in the store, and written down once, whoever looks."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from sqlalchemy import update

from stentor.account import Waiting
from stentor.audience.contract import Selection
from stentor.recording.report import LaneProblem, Progress, Report
from stentor.reporting import facts, outbox
from stentor.reporting.detector import AGAIN, FEW, SETTLED_WITHIN, Detector
from stentor.reporting.events import EventKind, ToldCampaign
from stentor.reporting.outbox import ReportDelivery
from stentor.states import CampaignState
from stentor.store.tables import batches, campaigns, lanes
from tests.integration.recording.rows import NOW, Rows
from tests.integration.reporting.scene import Clock, campaign, detector, kinds, move, set_problem, targets

ENDS = {
    CampaignState.COMPLETED: EventKind.COMPLETED,
    CampaignState.FAILED: EventKind.FAILED,
    CampaignState.CANCELLED: EventKind.CANCELLED,
}


async def told(rows: Rows) -> list[ReportDelivery]:
    return await rows.database.ask(outbox.deliveries)


@pytest.mark.parametrize(("state", "kind"), ENDS.items())
async def test_an_end_is_found_once(rows: Rows, state: CampaignState, kind: EventKind) -> None:
    clock = Clock()
    looking = detector(rows, clock)
    await looking.look()
    await campaign(rows)
    await rows.batch(1, "aaarxm")
    assert await looking.look() == []
    await move(rows, state, problem="too large" if state is CampaignState.FAILED else None)
    (event,) = await looking.look()
    assert (event.id, event.kind, event.at) == (f"{kind}/c1", kind, NOW + 1)
    assert event.link == "https://push.example.com/campaigns/c1"
    found = event.campaign
    assert found is not None
    assert (found.title, found.message_title, found.audience) == ("Spring sale", "Hello", "users")
    assert (found.installations, found.accepted, found.failed, found.pending) == (6, 3, 3, 0)
    assert [(each.reason, each.count) for each in found.reasons] == [
        ("Unregistered", 1),
        ("ambiguous", 1),
        ("expired", 1),
    ]
    assert found.reasons[0].meaning
    assert await looking.look() == []
    assert [(each.event_id, each.target) for each in await told(rows)] == [(event.id, "team")]


async def test_two_detectors_at_once_write_it_down_once(rows: Rows) -> None:
    clock = Clock()
    both = [detector(rows, clock), detector(rows, clock)]
    for each in both:
        await each.look()
    for number in range(5):
        await campaign(rows, f"c{number}", CampaignState.COMPLETED)
    found = await asyncio.gather(*(each.look() for each in both))
    assert sorted(event.id for each in found for event in each) == [f"completed/c{number}" for number in range(5)]
    assert len(await told(rows)) == 5


async def test_an_end_before_the_first_look_is_nobodys_business(rows: Rows) -> None:
    await campaign(rows, state=CampaignState.COMPLETED, finished_at=NOW - 1)
    looking = detector(rows, Clock())
    assert await looking.look() == []
    assert await told(rows) == []


async def test_what_ended_while_nobody_looked_is_found_by_the_next(rows: Rows) -> None:
    await detector(rows, Clock()).look()
    await campaign(rows, state=CampaignState.COMPLETED)
    (event,) = await detector(rows, Clock(NOW + 500_000)).look()
    assert event.id == "completed/c1"
    assert [each.target for each in await told(rows)] == ["team"]


async def test_a_target_that_is_new_is_not_told_of_old_campaigns(rows: Rows) -> None:
    await detector(rows, Clock()).look()
    await campaign(rows, state=CampaignState.COMPLETED)
    new = targets(team=(), ops=())
    later = detector(rows, Clock(NOW + 10), new)
    assert kinds(await later.look()) == [EventKind.COMPLETED]
    await campaign(rows, "c2", CampaignState.COMPLETED, finished_at=NOW + 20)
    await later.look()
    assert sorted((each.event_id, each.target) for each in await told(rows)) == [
        ("completed/c1", "team"),
        ("completed/c2", "ops"),
        ("completed/c2", "team"),
    ]


async def test_what_happened_while_there_was_no_target_is_not_told_later(rows: Rows) -> None:
    """Also not to one that had been there before."""
    await detector(rows, Clock()).look()
    without = detector(rows, Clock(NOW + 5), targets())
    await campaign(rows, state=CampaignState.COMPLETED, finished_at=NOW + 6)
    assert kinds(await without.look()) == [EventKind.COMPLETED]
    assert await detector(rows, Clock(NOW + 10)).look() == []
    assert await told(rows) == []


async def test_a_target_is_told_what_it_wants(rows: Rows) -> None:
    looking = detector(rows, Clock(), targets(all=(), bad=("failed",)))
    await looking.look()
    await campaign(rows, "c1", CampaignState.COMPLETED)
    await campaign(rows, "c2", CampaignState.FAILED)
    await looking.look()
    assert sorted((each.event_id, each.target) for each in await told(rows)) == [
        ("completed/c1", "all"),
        ("failed/c2", "all"),
        ("failed/c2", "bad"),
    ]


async def test_an_end_waits_for_the_last_outcomes_but_not_for_ever(rows: Rows) -> None:
    clock = Clock()
    looking = detector(rows, clock)
    await looking.look()
    await campaign(rows, state=CampaignState.FAILED, problem="too large")
    await rows.batch(1, "ap")
    assert await looking.look() == []
    clock.now += SETTLED_WITHIN + 1
    (event,) = await looking.look()
    assert event.campaign is not None
    assert event.campaign.pending == 1


async def test_a_test_and_a_draft_are_not_reported_unless_the_test_fails(rows: Rows) -> None:
    looking = detector(rows, Clock())
    await looking.look()
    test = msgspec.json.encode(Selection(source="users", only=["4711"]))
    await campaign(rows, "c1", CampaignState.COMPLETED, audience=test)
    await campaign(rows, "c2", CampaignState.FAILED, audience=test, problem="too large")
    await campaign(rows, "c3", CampaignState.CANCELLED, expires_at=None)
    await looking.look()
    assert [each.event_id for each in await told(rows)] == ["failed/c2"]


async def test_a_pause_is_told_if_nobody_asked_for_it_and_again_if_it_comes_again(rows: Rows) -> None:
    clock = Clock()
    looking = detector(rows, clock)
    await looking.look()
    await campaign(rows)
    await move(rows, CampaignState.PAUSED, paused_at=NOW + 1)
    assert await looking.look() == []
    await move(rows, CampaignState.PAUSED, paused_at=NOW + 1, problem="the column `n` cannot be read")
    (event,) = await looking.look()
    assert (event.kind, event.campaign and event.campaign.problem) == (
        EventKind.PAUSED,
        "the column `n` cannot be read",
    )
    assert await looking.look() == []
    await move(rows, CampaignState.RUNNING, paused_at=None, problem=None)
    assert await looking.look() == []
    await move(rows, CampaignState.PAUSED, paused_at=NOW + 9, problem="again")
    assert kinds(await looking.look()) == [EventKind.PAUSED]


async def test_one_that_cannot_be_put_into_words_keeps_no_other_from_being_told(
    rows: Rows, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looking = detector(rows, Clock())
    await looking.look()
    await campaign(rows, "c1", CampaignState.COMPLETED)
    await campaign(rows, "c2", CampaignState.COMPLETED)
    await campaign(rows, "c3", CampaignState.COMPLETED)
    await rows.change(update(campaigns).where(campaigns.c.id == "c3").values(content=b"of a newer version"))
    real = facts.told_campaign

    def told_campaign(found: Report, message_title: str | None) -> ToldCampaign:
        if found.campaign.id == "c1":
            raise ZeroDivisionError
        return real(found, message_title)

    monkeypatch.setattr(facts, "told_campaign", told_campaign)
    for _ in range(2):
        await looking.look()
    assert {each.event_id for each in await told(rows)} == {"completed/c2", "completed/c3"}
    assert caplog.text.count("the report completed/c1 could not be made") == 1


# -- standing still ---------------------------------------------------------------------------------------------------


async def test_a_campaign_that_stands_still_is_told_once_with_what_keeps_it(rows: Rows) -> None:
    clock = Clock()

    async def missing(_: Progress) -> dict[str, LaneProblem]:
        return {"fcm/android": LaneProblem(problem="no sender takes the work", remedy="start one")}

    looking = Detector(rows.database, targets(team=()), ["apns/ios"], clock, missing, passing=clock.passing)
    await campaign(rows)
    name = await rows.batch(1, "app")
    assert await looking.look() == []
    clock.now += 200
    await rows.change(update(batches).where(batches.c.id == name).values(pending=1, accepted=2))
    assert await looking.look() == []  # it moves
    clock.now += 290
    assert await looking.look() == []
    await set_problem(rows, "the provider is down")
    clock.now += 20
    (event,) = await looking.look()
    assert event.kind is EventKind.STALLED
    assert event.still_for == pytest.approx(310, abs=1)
    assert [each.lane for each in event.problems] == ["apns/ios", "fcm/android"]
    clock.now += 400
    assert EventKind.STALLED not in kinds(await looking.look())
    clock.now += AGAIN
    assert EventKind.STALLED in kinds(await looking.look())


async def test_two_detectors_tell_one_stall(rows: Rows) -> None:
    clock = Clock()
    both = [detector(rows, clock), detector(rows, clock)]
    await campaign(rows)
    await rows.batch(1, "app")
    for each in both:
        await each.look()
    clock.now += 301
    found = [kinds(each) for each in await asyncio.gather(*(each.look() for each in both))]
    assert sorted(found) == [[], [EventKind.STALLED]]
    clock.now += 60
    assert [await each.look() for each in both] == [[], []]


async def test_one_that_is_paused_or_waits_for_a_retry_does_not_stand_still(rows: Rows) -> None:
    clock = Clock()
    looking = detector(rows, clock)
    await campaign(rows, planned=True)
    await rows.batch(1, "ap", waiting=[Waiting(1, 1, NOW + 600, "ServiceUnavailable")])
    await campaign(rows, "c2", CampaignState.PAUSED)
    await rows.batch(2, "pp", campaign="c2")
    for _ in range(3):
        assert await looking.look() == []
        clock.now += 400


async def test_a_slow_campaign_is_not_called_still(rows: Rows) -> None:
    clock = Clock()
    looking = detector(rows, clock)
    await campaign(rows, max_rate=0.01)
    await rows.batch(1, "pp")
    await looking.look()
    clock.now += 900
    assert await looking.look() == []
    clock.now += 200
    assert kinds(await looking.look()) == [EventKind.STALLED]


async def test_one_that_should_have_started_stands_still(rows: Rows) -> None:
    clock = Clock()
    looking = detector(rows, clock)
    await campaign(rows, state=CampaignState.SCHEDULED, starts_at=NOW + 100)
    assert await looking.look() == []
    clock.now += 101
    assert await looking.look() == []
    clock.now += 301
    assert kinds(await looking.look()) == [EventKind.STALLED]


# -- lanes ------------------------------------------------------------------------------------------------------------


async def watch(looking: Detector, clock: Clock, seconds: int) -> list[EventKind]:
    """What is found in so many seconds, a look each."""
    found = []
    for _ in range(seconds):
        clock.now += 1
        found += kinds(await looking.look())
    return found


async def test_a_lane_that_stops_and_sends_again(rows: Rows) -> None:
    clock = Clock()
    looking = detector(rows, clock)
    await campaign(rows)
    await rows.batch(1, "app")
    await set_problem(rows, "ExpiredProviderToken")
    assert await watch(looking, clock, 60) == []
    clock.now += 2
    (event,) = await looking.look()
    assert (event.id, event.kind) == ("lane_stopped/apns/ios/1", EventKind.LANE_STOPPED)
    assert [(each.lane, each.problem, each.remedy) for each in event.problems] == [
        ("apns/ios", "ExpiredProviderToken", "fix it")
    ]
    assert event.waiting == ["Spring sale"]
    assert await watch(looking, clock, 20) == []
    await set_problem(rows, None)
    assert await watch(looking, clock, 70) == [EventKind.LANE_RESUMED]
    await set_problem(rows, "ExpiredProviderToken")
    assert await watch(looking, clock, 70) == [EventKind.LANE_STOPPED]
    assert {each.event_id for each in await told(rows)} == {
        "lane_stopped/apns/ios/1",
        "lane_resumed/apns/ios/1",
        "lane_stopped/apns/ios/2",
    }


async def test_silent_hosts_are_an_alarm_if_more_than_a_few_wait_for_them(rows: Rows) -> None:
    clock = Clock()
    looking = detector(rows, clock)
    await set_problem(rows, "a.example is silent")
    await rows.change(update(lanes).values(waiting=FEW))
    assert await watch(looking, clock, 200) == []
    await rows.change(update(lanes).values(waiting=FEW + 1))
    assert await watch(looking, clock, 70) == [EventKind.LANE_STOPPED]


async def test_a_flapping_lane_is_one_alarm_for_two_detectors(rows: Rows) -> None:
    clock = Clock()
    both = [detector(rows, clock), detector(rows, clock)]
    found: list[EventKind] = []
    for second in range(150):
        clock.now += 2
        if second % 10 == 0:
            await set_problem(rows, None if second % 20 else "the provider is down")
        for each in await asyncio.gather(*(each.look() for each in both)):
            found += kinds(each)
    assert found == [EventKind.LANE_STOPPED]


async def test_a_detector_that_is_new_knows_that_an_alarm_is_open(rows: Rows) -> None:
    clock = Clock()
    await set_problem(rows, "down")
    assert await watch(detector(rows, clock), clock, 70) == [EventKind.LANE_STOPPED]
    another = detector(rows, clock)
    assert await watch(another, clock, 100) == []
    await set_problem(rows, None)
    assert await watch(detector(rows, clock), clock, 70) == [EventKind.LANE_RESUMED]


async def test_lanes_that_are_no_longer_configured_are_left_alone(rows: Rows) -> None:
    clock = Clock()
    await set_problem(rows, "down", "fcm/old")
    assert await watch(detector(rows, clock), clock, 70) == []
