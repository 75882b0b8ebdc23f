"""The view of a campaign at fixed moments, drawn 80 columns wide, with and without a terminal."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest
from rich.console import Console, RenderableType

from stentor.audience.contract import NO_LANE, Selection
from stentor.cli.live import LINE_EVERY, LiveView, account, line, view
from stentor.recording.rates import LaneRates, expected, remaining
from stentor.recording.report import LaneCounts, LaneProblem, Progress
from stentor.states import CampaignState
from stentor.store.letters import DeadLetter
from tests.unit.cli.moments import ANDROID, IOS, NOW, progress, report


def drawn(what: RenderableType, width: int = 80) -> str:
    console = Console(record=True, width=width, force_terminal=True, file=io.StringIO())
    console.print(what)
    return console.export_text()


def pace(*moments: Progress) -> LaneRates:
    made = LaneRates()
    for moment in moments:
        made.add(moment)
    return made


def test_a_campaign_in_the_middle() -> None:
    now = progress(200_000, 4, retrying=50)
    text = drawn(view(now, pace(progress(50_000, -2), progress(100_000, 0), progress(150_000, 2), now)))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["Spring", "sale", "7k2m9x1qabcdefgh", "running", "1:34"]
    ios = next(each for each in lines if each.startswith(IOS))
    assert ios.split()[-5:] == ["50.0", "%", "200,000/400,000", "25,000/s", "0:08"]
    assert "━━━━" in ios
    android = next(each for each in lines if each.startswith(ANDROID))
    assert android.split()[-5:] == ["33.3", "%", "200,000/600,000", "25,000/s", "0:16"]
    assert text.count("198,000 accepted, 2,000 failed, 50 retrying") == 2
    assert lines[-1] == "396,000 accepted, 4,000 failed, 100 retrying, 50,000/s, about 0:16 left"


def test_ten_million_fit_80_columns() -> None:
    now = progress(10_000_000, 2, expected={IOS: 10_000_000, ANDROID: 12_345_678})
    text = drawn(view(now, pace(progress(8_000_000, -2), progress(9_000_000, 0), now)))
    assert "10,000,000/12,345,678" in text
    assert "500,000/s" in text
    assert max(map(len, text.splitlines())) <= 80


def test_one_lane_has_no_lines_of_its_own() -> None:
    now = replace(progress(200_000, 4, expected={IOS: 400_000}), lanes={IOS: LaneCounts(read=1000, accepted=1000)})
    assert len(drawn(view(now, pace(now))).splitlines()) == 3


def test_a_sick_lane_is_told_with_its_remedy() -> None:
    now = progress(200_000, 4, problem=True)
    text = " ".join(drawn(view(now, pace(now))).split())
    assert "apns/ios doesn't send. The key was refused (InvalidProviderToken). Check `key_id`" in text
    assert "It is tried again at " in text
    assert "0/s" in text
    assert "left" not in text


def test_a_lane_some_of_whose_hosts_are_silent_is_not_said_to_stand_still() -> None:
    sick = LaneProblem(problem="the push service a.example answers nothing", remedy="wait", since=NOW, waiting=7)
    now = replace(progress(200_000, 4), problems={IOS: sick})
    text = " ".join(drawn(view(now, pace(now))).split())
    assert "A part of apns/ios waits. The push service a.example answers nothing. Wait." in text
    assert "doesn't send" not in text


def test_a_campaigns_own_problem_and_a_note_are_shown() -> None:
    now = progress(0, 1, state=CampaignState.FAILED)
    now = replace(now, campaign=replace(now.campaign, problem="The message was refused: BadTopic."))
    text = drawn(view(now, pace(now), note="Pausing …"))
    assert "The message was refused: BadTopic." in text
    assert text.rstrip().endswith("Pausing …")


def test_square_brackets_in_a_title_are_a_title() -> None:
    now = progress(0, 1, title="[red]Sale[/red] [x")
    assert "[red]Sale[/red] [x" in drawn(view(now, pace(now)))


def test_before_its_time_it_says_when() -> None:
    now = replace(progress(0, 0, state=CampaignState.SCHEDULED, starts_at=NOW + 3661), lanes={})
    assert "scheduled, starts in 1:01:01" in drawn(view(now, pace(now)))


def test_how_many_a_lane_will_have() -> None:
    now = progress(100_000, 0)
    assert expected(now, IOS) == 400_000  # as counted
    assert expected(progress(500_000, 0), IOS) == 505_000  # more were read
    assert expected(progress(100_000, 0, planned=True), IOS) == 105_000  # there were fewer


def test_a_lane_says_when_it_ends() -> None:
    moments = [progress(50_000, -2), progress(100_000, 0), progress(150_000, 2), progress(200_000, 4)]
    now = moments[-1]
    assert remaining(now, pace(*moments), IOS) == 200_000 / 25_000
    assert remaining(now, pace(*moments), ANDROID) == 400_000 / 25_000
    assert remaining(now, pace(moments[0], now), IOS) is None  # it may be the end of its only batch
    assert remaining(now, pace(now), IOS) is None
    done = replace(progress(600_000, 4, expected={}, planned=True), lanes={IOS: LaneCounts(read=5, accepted=5)})
    assert remaining(done, pace(done), IOS) == 0


def test_nothing_is_said_of_the_time_left_in_the_first_seconds() -> None:
    first, now = progress(0, 0), progress(100, 2)
    text = line(now, pace(first, now))
    assert text.endswith(" 100/s")
    assert "left" not in text
    shown = drawn(view(now, pace(first, now)))
    assert "left" not in shown
    assert shown.splitlines()[1].split()[-1] == "50/s"


def test_a_lane_that_began_late_is_not_slow() -> None:
    """The audience was read for 20 seconds, then everything goes fast."""
    moments = [progress(0, at) for at in range(20)] + [progress(100_000 * at, 19 + at) for at in (1, 2, 3)]
    assert pace(*moments).rate(IOS) == 100_000
    assert line(moments[-1], pace(*moments)).endswith("about 0:03 left")


def test_a_lane_that_stands_still_leaves_the_time_open() -> None:
    def moment(done: int, at: float) -> Progress:
        now = progress(done, at)
        return replace(now, lanes={**now.lanes, ANDROID: LaneCounts(read=5000, queued=5000)})

    moments = [moment(10_000 * at, at) for at in range(6)]
    assert remaining(moments[-1], pace(*moments), IOS) == 35.0
    assert "left" not in line(moments[-1], pace(*moments))


def test_neither_a_pause_nor_who_was_cancelled_is_in_a_rate() -> None:
    moments = [progress(0, 0), progress(10_000, 4), progress(10_000, 6, state=CampaignState.PAUSED)]
    moments += [progress(10_000, 100), progress(14_000, 101), progress(26_000, 104)]
    assert pace(*moments[:3]).rate(IOS) == 0
    assert pace(*moments).rate(IOS) == 4000
    now = progress(10_000, 4)
    cancelled = {name: replace(lane, queued=0, cancelled=500_000) for name, lane in now.lanes.items()}
    assert pace(progress(0, 0), replace(now, lanes=cancelled)).rate(IOS) == 2500


def looks(
    *, sent_from: float, rate: float, recorded: Sequence[float], until: float, in_flight: int = 1000, watched: float = 0
) -> list[Progress]:
    """Of a lane that sends at a rate, and whose answers are recorded at some moments: four looks a second."""
    found = []
    for at in (watched + number / 4 for number in range(int(4 * (until - watched)) + 1)):
        told = max((moment for moment in recorded if moment <= at), default=sent_from)
        done = round(rate * (told - sent_from))
        lane = LaneCounts(read=10_000, in_flight=in_flight if at >= sent_from else 0, accepted=done)
        found.append(replace(progress(0, at), lanes={IOS: lane}))
    return found


@pytest.mark.parametrize("in_flight", [1000, 0])  # 0: the queue isn't in the store
@pytest.mark.parametrize("watched", [0.0, 5.1])  # from its start, or by somebody who comes later
@pytest.mark.parametrize("rate", [2.0, 100.0])
def test_a_rate_is_never_of_more_than_was_sent(in_flight: int, watched: float, rate: float) -> None:
    """What was sent in a second or two is recorded at once."""
    recorded = [2.3 + number for number in range(20)]
    moments = looks(sent_from=0.6, rate=rate, recorded=recorded, until=20.0, in_flight=in_flight, watched=watched)
    shown = LaneRates()
    for moment in moments:
        shown.add(moment)
        assert shown.rate(IOS) <= 1.05 * rate, moment.at - NOW
    assert shown.rate(IOS) > 0.9 * rate


def test_a_rate_is_of_the_last_seconds() -> None:
    moments = [progress(0, 0), progress(10_000, 10), progress(10_000, 14), progress(10_000, 20)]
    assert pace(*moments[:2]).rate(IOS) == 1000
    assert pace(*moments).rate(IOS) == 0
    assert pace(*moments[:1]).rate(IOS) == 0
    assert pace(moments[0], replace(moments[1], at=moments[0].at)).rate(IOS) == 0


def test_a_line_for_a_log() -> None:
    first, before, between = progress(50_000, -2), progress(100_000, 0), progress(150_000, 2)
    now = progress(200_000, 4, retrying=7)
    text = line(now, pace(first, before, between, now))
    assert text[2] == text[5] == ":"
    assert text[9:] == "running: 400,000 of 1,000,000 (40.0 %), 4,000 failed, 14 retrying, 50,000/s, about 0:16 left"
    paused = progress(200_000, 4, state=CampaignState.PAUSED)
    assert line(paused, pace(before, paused))[9:] == "paused: 400,000 of 1,000,000 (40.0 %), 4,000 failed"


class Log:
    """A view where there is no terminal."""

    def __init__(self) -> None:
        self.file = io.StringIO()
        self.view = LiveView(Console(file=self.file, width=80))

    def lines(self) -> list[str]:
        return self.file.getvalue().splitlines()


def test_without_a_terminal_a_line_comes_now_and_then() -> None:
    log = Log()
    with log.view:
        log.view.show(progress(0, 0))
        for step in range(1, 10):
            log.view.show(progress(step * 1000, step * LINE_EVERY / 5))
    lines = log.lines()
    assert len(lines) == 3
    assert [each.split(": ")[1].split(" of ")[0] for each in lines] == ["0", "10,000", "18,000"]  # and the last of all


def test_without_a_terminal_news_come_at_once() -> None:
    log = Log()
    with log.view:
        log.view.show(progress(0, 0))
        log.view.show(progress(1000, 0.5, problem=True))
        log.view.show(progress(1000, 1, problem=True))
        log.view.show(progress(1000, 1.5, problem=True, state=CampaignState.PAUSED))
    lines = log.lines()
    assert len(lines) == 4
    assert lines[1].startswith("apns/ios doesn't send. The key was refused")
    assert "paused" in lines[3]


def test_a_note_is_a_line_of_its_own() -> None:
    log = Log()
    with log.view:
        log.view.show(progress(0, 0))
        log.view.note("Pausing [now]")
    assert log.lines()[1] == "Pausing [now]"


def test_on_a_terminal_it_is_drawn_in_place() -> None:
    file = io.StringIO()
    with LiveView(Console(file=file, width=80, force_terminal=True)) as live:
        live.note("nothing to see yet")
        live.show(progress(100_000, 0))
        live.note("Pausing …")
        live.show(progress(200_000, 4))
    text = file.getvalue()
    assert "\x1b[" in text
    assert text.count("Spring sale") >= 3
    assert "200,000/400,000" in text
    assert "Pausing …" in text.partition("200,000/400,000")[2]


def test_the_report() -> None:
    text = drawn(account(report()))
    assert max(map(len, text.splitlines())) <= 80
    told = " ".join(text.split())
    for words in (
        "campaign 7k2m9x1qabcdefgh",
        "title Spring sale",
        "state completed",
        "audience users, country = de or at",
        "installations 1,000,000",
        "accepted 999,000 (99.9 %)",
        "failed 1,000 (0.1 %)",
        "dead addresses 900",
        "took 80.0 s, 12,500 a second",
        "900 Unregistered apns/ios The app was removed.",
        "100 UNAVAILABLE fcm/android Google's servers are overloaded. The message's",
    ):
        assert words in told, words
    assert "pending" not in told


def test_a_report_of_an_undo() -> None:
    told = report()
    whom = msgspec.json.encode(Selection(source="users", reached_by="7k2m9x1qabcdefgh"))
    text = " ".join(drawn(account(replace(told, campaign=replace(told.campaign, audience=whom)))).split())
    assert "audience everybody reached by 7k2m9x1qabcdefgh" in text
    assert "accepted 999,000 (99.9 %) Providers took the pushes. Whether a device removed" in text
    assert "changed" not in text
    chats = {"telegram/bot": LaneCounts(read=10, accepted=9, rejected=1), "discord/bot": LaneCounts(read=1, accepted=1)}
    told = replace(told, campaign=replace(told.campaign, audience=whom), lanes=chats)
    text = " ".join(drawn(account(told)).split())
    assert "changed 10 (90.9 %)" in text
    assert "accepted" not in text
    text = " ".join(drawn(account(replace(told, lanes={**chats, IOS: LaneCounts(read=1, rejected=1)}))).split())
    assert "changed 10 (83.3 %)" in text, "no push was accepted"


def test_a_report_of_what_is_not_done() -> None:
    told = report(state=CampaignState.FAILED, problem="The message was refused.")
    letter = DeadLetter(id="c/apns/ios/0.0.1", lane=IOS, campaign_id="c", reason="not a batch", deliveries=5, at=NOW)
    told = replace(told, lanes={NO_LANE: LaneCounts(read=3, queued=2, cancelled=1)}, dead_letters=1, put_aside=[letter])
    text = " ".join(drawn(account(replace(told, reasons={}))).split())
    for words in ("failed: The message was refused.", "cancelled 1", "pending 2", "c/apns/ios/0.0.1: not a batch"):
        assert words in text, words


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_any_width_will_do(width: int) -> None:
    now = progress(200_000, 4, problem=True)
    for what in (view(now, pace(now)), account(report())):
        assert max(map(len, drawn(what, width).splitlines())) <= width
