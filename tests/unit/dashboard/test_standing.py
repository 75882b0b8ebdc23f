"""The reconciling line of a campaign's page, and what stands still, at fixed moments."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from stentor.dashboard.standing import ENDINGS, line_of, line_of_totals, standing
from stentor.recording.rates import LaneRates
from stentor.recording.report import LaneCounts, Totals
from stentor.states import CampaignState
from tests.unit.cli.moments import ANDROID, IOS, campaign, progress

COUNTS = st.integers(min_value=0, max_value=10**9)


@given(st.builds(LaneCounts, **dict.fromkeys((*ENDINGS, "queued", "in_flight", "retrying"), COUNTS)), COUNTS)
def test_the_parts_always_add_up_to_the_audience(counts: LaneCounts, to_read: int) -> None:
    line = line_of(counts, to_read)
    assert line.audience == sum(each.count for each in line.parts)
    assert [each.name for each in line.parts] == [*ENDINGS, "waiting"]
    assert line.settled == counts.settled
    assert line.count("waiting") == counts.pending + to_read
    if line.audience:
        assert abs(sum(each.width for each in line.parts) - 100) < 0.1


def test_who_is_not_read_yet_waits() -> None:
    found = standing(progress(200_000, 4), LaneRates())
    assert found.line.audience == 1_000_000
    assert found.to_read == 1_000_000 - 2 * 205_000
    assert {each.lane: each.line.audience for each in found.lanes} == {IOS: 400_000, ANDROID: 600_000}


def test_who_was_never_read_is_no_part_of_the_line() -> None:
    now = progress(200_000, 4)
    over = replace(now, campaign=campaign(state=CampaignState.CANCELLED, planning_over=True))
    found = standing(over, LaneRates())
    assert (found.line.audience, found.to_read, found.unread) == (410_000, 0, 590_000)
    assert (found.rate, found.left) == (0.0, None)


def test_what_stands_still_is_told_as_the_command_line_tells_it() -> None:
    found = standing(progress(200_000, 4, problem=True), LaneRates())
    [trouble] = found.troubles
    assert trouble.text.startswith("apns/ios doesn't send. The key was refused (InvalidProviderToken). Check `key_id`")
    assert trouble.since is not None
    assert [each.stands_still for each in found.lanes] == [True, False]
    [still] = standing(replace(progress(200_000, 4), still=True), LaneRates()).troubles
    assert "Nothing has moved for some seconds." in still.text


def test_rate_and_time_left() -> None:
    pace = LaneRates()
    moments = [progress(50_000 + 25_000 * seconds, seconds) for seconds in range(0, 10, 2)]
    for each in moments:
        pace.add(each)
    now = moments[-1]
    found = standing(now, pace)
    assert found.rate == 50_000
    assert found.left == (600_000 - 250_000) / 25_000
    paused = replace(now, campaign=campaign(state=CampaignState.PAUSED))
    assert (standing(paused, pace).rate, standing(paused, pace).left) == (0.0, None)


def test_a_line_of_a_list() -> None:
    line = line_of_totals(Totals(accepted=90, failed=5, cancelled=3, pending=2))
    assert (line.audience, line.settled) == (100, 98)
    assert line_of_totals(Totals()).audience == 0
