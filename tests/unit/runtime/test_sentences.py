"""What people are told of a campaign, whichever door they ask at."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stentor.queue.contract import PLAN
from stentor.recording.report import LaneProblem
from stentor.runtime.sentences import actions, cancelled_first, standing_still, still, waits
from stentor.states import MOVES, CampaignState
from tests.unit.cli.moments import campaign, progress

S = CampaignState


def test_what_stands_still_is_told_with_what_to_do() -> None:
    problem = LaneProblem(problem="no planner takes the work", remedy="run one")
    assert standing_still(PLAN, problem) == "The audience isn't read. No planner takes the work. Run one."
    assert standing_still("apns/ios", problem).startswith("apns/ios doesn't send. No planner")


def test_a_campaign_that_nobody_moves_says_so_unless_its_problem_is_known() -> None:
    now = replace(progress(5000, 4), still=True)
    assert f"`stentor campaign resume {now.campaign_id}`" in still(now)
    assert still(replace(progress(5000, 4, problem=True), still=True)) == ""
    assert still(progress(5000, 4)) == ""


@pytest.mark.parametrize("state", list(S))
def test_only_what_a_state_allows_is_offered(state: S) -> None:
    found = set(actions(campaign(state=state), changes=False))
    assert ("pause" in found) == (S.PAUSED in MOVES[state])
    assert ("cancel" in found) == bool({S.CANCELLED, S.CANCELLING} & MOVES[state])
    assert ("start" in found) == (state is S.DRAFT)
    assert ("retry" in found) == (not MOVES[state])
    assert {"undo", "edit"}.isdisjoint(actions(campaign(state=state), changes=True))


@pytest.mark.parametrize("state", [S.DRAFT, S.SCHEDULED, S.PAUSED, S.CANCELLING])
def test_a_campaign_that_waits_says_for_what(state: S) -> None:
    assert waits(progress(5000, 4, state=state)).endswith(".")
    assert waits(progress(5000, 4)) == ""


def test_what_is_still_sent_is_cancelled_before_it_is_changed() -> None:
    assert "'Spring sale' is running. It is cancelled first, for good" in cancelled_first(campaign())
    assert cancelled_first(campaign(state=S.COMPLETED)) == ""
