"""Which events lead from one look at the store to another."""

from __future__ import annotations

from dataclasses import replace

from stentor.recording.report import LaneCounts, LaneProblem, Progress, Report
from stentor.runtime.changes import (
    AllView,
    CampaignEnded,
    CampaignsNow,
    CampaignView,
    LaneRecovered,
    LaneTrouble,
    Look,
    ProgressMade,
    ReportReady,
    Snapshot,
    StateChanged,
    StoreAway,
    View,
    changes,
)
from stentor.states import CampaignState
from stentor.store.campaigns import CampaignStanding
from tests.unit.cli.moments import campaign

IOS, ANDROID = "apns/ios", "fcm/android"
CLOSED = LaneProblem(problem="the key was refused", remedy="fix the credentials", since=1.0, until=2.0)


def moment(
    accepted: int = 0, state: CampaignState = CampaignState.RUNNING, at: float = 0.0, **problems: LaneProblem
) -> Progress:
    counts = LaneCounts(read=10, queued=10 - accepted, accepted=accepted)
    lanes = {name.replace("_", "/"): problem for name, problem in problems.items()}
    return Progress(campaign=campaign("c1", state=state), lanes={IOS: counts}, problems=lanes, at=at)


def look(number: int, progress: Progress | None, *, away: str | None = None) -> Look:
    if progress is None:
        return Look(id=number, view=None, away=away)
    over = progress.state is CampaignState.COMPLETED
    return Look(id=number, view=CampaignView(progress=progress, report=report() if over else None), away=away)


def report() -> Report:
    done = moment(10, CampaignState.COMPLETED)
    return Report(campaign=done.campaign, lanes=done.lanes, reasons={}, dead=0, dead_letters=0, at=5.0)


def test_the_first_event_is_whole() -> None:
    (event,) = changes(None, look(7, moment(3)))
    assert event == Snapshot(id=7, progress=moment(3))
    assert (event.kind, event.at) == ("snapshot", 0.007)


def test_nothing_is_told_where_only_time_has_passed() -> None:
    assert list(changes(look(1, moment(3, at=1.0)), look(2, moment(3, at=9.0)))) == []


def test_progress_is_whole_in_itself_and_comes_once_however_much_lies_between() -> None:
    assert list(changes(look(1, moment(0)), look(9, moment(8)))) == [ProgressMade(id=9, progress=moment(8))]


def test_a_state_that_changes_is_told_with_the_problem() -> None:
    paused = replace(moment(3), campaign=campaign("c1", state=CampaignState.PAUSED, problem="no key"))
    state, progress = changes(look(1, moment(3)), look(2, paused))
    assert state == StateChanged(
        id=2,
        campaign_id="c1",
        title="Spring sale",
        before=CampaignState.RUNNING,
        state=CampaignState.PAUSED,
        problem="no key",
    )
    assert progress == ProgressMade(id=2, progress=paused)


def test_a_lanes_problem_comes_changes_and_goes() -> None:
    well, ill = look(1, moment()), look(2, moment(apns_ios=CLOSED))
    later = look(3, moment(apns_ios=replace(CLOSED, until=9.0)))
    other = look(4, moment(apns_ios=replace(CLOSED, problem="the provider is down"), fcm_android=CLOSED))
    kinds = [[(e.kind, getattr(e, "lane", "")) for e in changes(a, b)] for a, b in ((well, ill), (ill, later))]
    assert kinds == [[("problem", IOS), ("progress", "")], [("progress", "")]]  # until when is no news by itself
    assert [e.lane for e in changes(later, other) if isinstance(e, LaneTrouble)] == [IOS, ANDROID]
    assert [e.lane for e in changes(other, well) if isinstance(e, LaneRecovered)] == [IOS, ANDROID]


def test_the_end_comes_last_with_the_report_before_it() -> None:
    done = look(5, moment(10, CampaignState.COMPLETED))
    told = list(changes(look(4, moment(8)), done))
    assert [type(event) for event in told] == [StateChanged, ProgressMade, ReportReady, CampaignEnded]
    assert told[-1] == CampaignEnded(id=5, campaign_id="c1", state=CampaignState.COMPLETED)
    assert [type(event) for event in changes(None, done)] == [Snapshot, ReportReady, CampaignEnded]


def test_a_stopped_campaign_isnt_over_while_recipients_have_no_outcome() -> None:
    assert [e.kind for e in changes(look(1, moment(3)), look(2, moment(3, CampaignState.FAILED)))] == [
        "state",
        "progress",
    ]


def test_an_absence_is_told_once_and_then_all_again() -> None:
    before, away = look(1, moment(3)), look(2, moment(3), away="the store cannot be reached")
    (told,) = changes(before, away)
    assert isinstance(told, StoreAway)
    assert (told.problem, "goes on by itself" in told.remedy) == ("the store cannot be reached", True)
    assert list(changes(away, replace(away, id=3))) == []
    assert list(changes(away, look(4, moment(3)))) == [Snapshot(id=4, progress=moment(3))]


def test_what_happened_while_the_store_was_away_is_told_as_well() -> None:
    away = look(2, moment(3), away="gone")
    told = list(changes(away, look(4, moment(10, CampaignState.COMPLETED))))
    assert [type(event) for event in told] == [Snapshot, StateChanged, ReportReady, CampaignEnded]


def test_a_watcher_that_comes_while_the_store_is_away() -> None:
    nothing = look(1, None, away="gone")
    assert [type(event) for event in changes(None, nothing)] == [StoreAway]
    assert [type(event) for event in changes(nothing, look(2, moment()))] == [Snapshot]
    (told,) = changes(None, look(2, moment(3), away="gone"))  # what was known before is not told as if it held now
    assert isinstance(told, StoreAway)


def standing(name: str, state: CampaignState, problem: str | None = None) -> CampaignStanding:
    return CampaignStanding(id=name, title=name.upper(), state=state, problem=problem)


def overview(number: int, *standings: CampaignStanding, **problems: LaneProblem) -> Look:
    lanes = {name.replace("_", "/"): problem for name, problem in problems.items()}
    view: View = AllView(campaigns={each.id: each for each in standings}, problems=lanes)
    return Look(id=number, view=view)


def test_starts_pauses_and_ends_of_all_campaigns() -> None:
    running, paused = standing("a", CampaignState.RUNNING), standing("a", CampaignState.PAUSED, "no key")
    (whole,) = changes(None, overview(1, running, apns_ios=CLOSED))
    assert whole == CampaignsNow(id=1, campaigns={"a": running}, problems={IOS: CLOSED})
    told = list(changes(overview(1, running), overview(2, paused, standing("b", CampaignState.COMPLETED))))
    assert [(e.campaign_id, e.title, e.before, e.state, e.problem) for e in told if isinstance(e, StateChanged)] == [
        ("a", "A", CampaignState.RUNNING, CampaignState.PAUSED, "no key"),
        ("b", "B", None, CampaignState.COMPLETED, None),
    ]
    assert len(told) == 2


def test_an_old_campaign_that_is_no_longer_shown_is_no_event() -> None:
    assert list(changes(overview(1, standing("a", CampaignState.COMPLETED)), overview(2))) == []


def test_problems_of_all_lanes() -> None:
    assert [e.kind for e in changes(overview(1), overview(2, apns_ios=CLOSED))] == ["problem"]
    assert [e.kind for e in changes(overview(2, apns_ios=CLOSED), overview(3))] == ["problem_over"]
