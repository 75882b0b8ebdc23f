"""Progress, report and failures, read from real databases."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from stentor.account import Waiting
from stentor.errors import UnknownCampaign
from stentor.outcome import Outcome
from stentor.recording.report import (
    LaneCounts,
    Progress,
    Report,
    Totals,
    progress,
    report,
    totals,
)
from stentor.states import CampaignState
from stentor.store.tables import batches, tasks
from tests.integration.recording.rows import NOW, Rows


async def look(rows: Rows, campaign: str = "c1", now: float = NOW) -> Progress:
    async with rows.database.read() as connection:
        return await progress(connection, campaign, now)


async def account(rows: Rows, campaign: str = "c1") -> Report:
    async with rows.database.read() as connection:
        return await report(connection, campaign, NOW)


def waits(*positions: int, not_before: float = NOW + 60) -> list[Waiting]:
    return [Waiting(position, 1, not_before, "ServiceUnavailable") for position in positions]


async def test_everybody_is_in_exactly_one_place(rows: Rows) -> None:
    await rows.campaign(expected={"apns/ios": 30, "fcm/android": 4})
    await rows.batch(1, "aarxcm")
    await rows.batch(2, "ppp", task="leased")
    await rows.batch(3, "ppap", waiting=waits(1))
    await rows.batch(4, "pp", task="lapsed")
    await rows.batch(1, "pa", lane="fcm/android", waiting=waits(0), task="leased")
    seen = await look(rows)
    assert seen.lanes == {
        "apns/ios": LaneCounts(
            read=15,
            queued=4,
            in_flight=3,
            retrying=1,
            accepted=3,
            rejected=1,
            expired=1,
            cancelled=1,
            ambiguous=1,
        ),
        "fcm/android": LaneCounts(read=2, in_flight=1, accepted=1),
    }
    assert seen.total.read == 17
    assert seen.total.pending == 9
    assert (seen.campaign_id, seen.state, seen.planned, seen.at) == ("c1", CampaignState.RUNNING, False, NOW)
    assert seen.expected == {"apns/ios": 30, "fcm/android": 4}


async def test_the_totals_of_several_campaigns_are_counted_at_once(rows: Rows) -> None:
    await rows.campaign()
    await rows.campaign("c2")
    await rows.campaign("c3")
    await rows.batch(1, "aarxcm")
    await rows.batch(2, "ppa", lane="fcm/android")
    await rows.batch(1, "aa", campaign="c2")
    async with rows.database.read() as connection:
        found = await totals(connection, ["c1", "c2", "c3", "c4"])
    assert found == {"c1": Totals(accepted=3, failed=3, cancelled=1, pending=2), "c2": Totals(accepted=2)}


async def test_before_anything_is_planned_there_are_no_lanes(rows: Rows) -> None:
    await rows.campaign()
    assert (await look(rows)).lanes == {}
    assert (await look(rows)).total == LaneCounts()


@pytest.mark.parametrize("count", [1, 15, 16, 300])
async def test_all_that_wait_are_counted(rows: Rows, count: int) -> None:
    """MessagePack has two forms for arrays of these lengths."""
    await rows.campaign()
    await rows.batch(1, "p" * 301, waiting=waits(*range(count)))
    counts = (await look(rows)).lanes["apns/ios"]
    assert (counts.retrying, counts.queued) == (count, 301 - count)


async def test_another_campaigns_batches_are_its_own(rows: Rows) -> None:
    await rows.campaign("c1")
    await rows.campaign("c10")
    await rows.batch(1, "ar", campaign="c1")
    await rows.batch(1, "rrp", campaign="c10")
    assert (await look(rows, "c1")).total.read == 2
    assert (await look(rows, "c10")).total.read == 3


async def test_only_problems_of_its_own_lanes_are_told(rows: Rows) -> None:
    await rows.campaign(expected={"fcm/android": 4})
    await rows.batch(1, "p")
    await rows.problem("apns/ios", None)
    await rows.problem("apns/other", "The key was revoked.")
    await rows.problem("fcm/android", "The project is unknown.", "Check `project`.")
    problems = (await look(rows)).problems
    assert list(problems) == ["fcm/android"]
    told = problems["fcm/android"]
    assert (told.problem, told.remedy) == ("The project is unknown.", "Check `project`.")
    assert (told.since, told.until) == (NOW - 30, NOW + 30)


async def test_a_campaign_that_is_not_there(rows: Rows) -> None:
    for ask in (look, account):
        with pytest.raises(UnknownCampaign):
            await ask(rows, "nobody")


async def test_the_report_groups_failures_by_reason_the_most_frequent_first(rows: Rows) -> None:
    await rows.campaign(state=CampaignState.COMPLETED, finished_at=NOW - 50, planned=True)
    await rows.batch(1, "axrrma")
    await rows.batch(2, "rx")
    await rows.batch(1, "aa", lane="fcm/android")
    await rows.bury("c1/apns/ios/0.0.7.9", "not a batch")
    told = await account(rows)
    assert {
        lane: [(each.reason, each.outcome, each.count) for each in each_lane]
        for lane, each_lane in told.reasons.items()
    } == {
        "apns/ios": [
            ("Unregistered", Outcome.REJECTED, 3),
            ("expired", Outcome.EXPIRED, 2),
            ("ambiguous", Outcome.AMBIGUOUS, 1),
        ]
    }
    assert told.reasons["apns/ios"][0].status == 410
    assert (told.dead, told.dead_letters) == (3, 1)
    assert [(letter.id, letter.reason) for letter in told.put_aside] == [("c1/apns/ios/0.0.7.9", "not a batch")]
    assert (told.total.accepted, told.total.failed, told.total.settled) == (4, 6, 10)
    assert told.seconds == 40
    assert told.rate == 10 / 40


async def test_a_campaign_that_has_not_started_has_no_rate(rows: Rows) -> None:
    await rows.campaign(state=CampaignState.DRAFT, starts_at=None)
    told = await account(rows)
    assert (told.seconds, told.rate) == (0, 0)


BATCHES = st.lists(
    st.tuples(
        st.text("parxcm", min_size=1, max_size=30),
        st.sampled_from(["queued", "leased", "lapsed"]),
        st.booleans(),
        st.sampled_from(["apns/ios", "fcm/android"]),
    ),
    max_size=6,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=BATCHES)
async def test_the_places_add_up_whatever_is_on_record(rows: Rows, drawn: list[tuple[str, str, bool, str]]) -> None:
    await rows.change(delete(tasks))
    await rows.change(delete(batches))
    if not await exists(rows):
        await rows.campaign()
    for number, (outcomes, task, waiting, lane) in enumerate(drawn):
        pending = [position for position, letter in enumerate(outcomes) if letter == "p"]
        await rows.batch(number, outcomes, task=task, lane=lane, waiting=waits(*pending[::2]) if waiting else [])
    seen = await look(rows)
    for counts in seen.lanes.values():
        assert counts.read == counts.pending + counts.settled
        assert min(counts.queued, counts.in_flight, counts.retrying) >= 0
    assert seen.total.read == sum(len(outcomes) for outcomes, *_ in drawn)


async def exists(rows: Rows) -> bool:
    try:
        await look(rows)
    except UnknownCampaign:
        return False
    return True
