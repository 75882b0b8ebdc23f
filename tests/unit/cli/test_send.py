"""`stentor send`: what it makes of its options, what it asks, and what it leaves behind when interrupted."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from stentor.audience.contract import Selection
from stentor.model import Message, Priority
from stentor.planning.content import Content
from stentor.planning.contract import ANYTIME, Timing
from stentor.planning.timing.forecast import Forecast, forecast
from stentor.providers.payload import PayloadSize
from stentor.recording.report import LaneCounts
from stentor.runtime.preview import LanePreview
from stentor.runtime.renditions import LanguageSize
from stentor.runtime.samples import Example, TagServed
from stentor.states import CampaignState
from stentor.words import clock, moment
from stentor.zones import names
from tests.unit.cli.fake_stentor import PREVIEW, Command, FakeStentor

HELLO = ("--title", "Hello", "--audience", "users")


def words(text: str) -> str:
    return " ".join(text.split())


def asked(fake: FakeStentor) -> tuple[Content, Selection, str | None, float | None]:
    """What was prepared; the same must be sent."""
    (prepared,) = [each[1:] for each in fake.done if each[0] == "prepare"]
    assert [each[1:] for each in fake.done if each[0] == "send"] in ([], [prepared])
    return prepared


def test_all_of_the_message_can_be_options(stentor: Command, fake: FakeStentor) -> None:
    texts = ("--title", "Hello", "--body", "World", "--subtitle", "all", "--image", "https://example.com/x.png")
    others = ("--sound", "default", "--badge", "0", "--data", "a=1", "--data", "b=x=y", "--silent")
    timing = ("--ttl", "1h30m", "--priority", "high", "--collapse-key", "sale")
    done = stentor("send", *texts, *others, *timing, "--audience", "users", "--yes")
    assert done.exit_code == 0, done.output
    message = asked(fake)[0].message
    assert message == Message(
        title="Hello",
        body="World",
        subtitle="all",
        image="https://example.com/x.png",
        sound="default",
        badge=0,
        data={"a": "1", "b": "x=y"},
        silent=True,
        ttl=5400,
        priority=Priority.HIGH,
        collapse_key="sale",
    )


def test_or_a_file(stentor: Command, fake: FakeStentor, tmp_path: Path) -> None:
    file = tmp_path / "sale.toml"
    file.write_text('title = "Sale"\n')
    assert stentor("send", "--message", str(file), "--audience", "users", "--yes").exit_code == 0
    assert asked(fake)[0].message.title == "Sale"


def test_a_campaign_has_values_of_its_own(stentor: Command, fake: FakeStentor, tmp_path: Path) -> None:
    file = tmp_path / "episode.toml"
    file.write_text('title = "Episode {{ episode }}"\n')
    options = ("--set", "episode=12 = {{ 6 * 2 }}", "--audience", "users", "--yes")
    assert stentor("send", "--message", str(file), *options).exit_code == 0
    content = asked(fake)[0]
    assert content.values == {"episode": "12 = {{ 6 * 2 }}"}
    assert content.render(0, {}).title == "Episode 12 = {{ 6 * 2 }}"


@pytest.mark.parametrize("how", ["options", "file"])
def test_what_is_wrong_with_a_value_is_said_of_its_option(
    stentor: Command, fake: FakeStentor, tmp_path: Path, how: str
) -> None:
    file = tmp_path / "episode.toml"
    file.write_text('title = "Episode {{ episode }}"\n')
    message = ("--title", "Episode {{ episode }}") if how == "options" else ("--message", str(file))
    for value, said in (
        ("day=1", "--set: no text of the message uses `day`"),
        ("episode=\0", "--set episode: has a NUL"),
    ):
        done = stentor("send", *message, "--set", value, "--audience", "users", "--yes")
        assert done.exit_code == 2
        assert said in done.stderr
    assert fake.done == []


def test_filters_and_test_recipients_choose_whom(stentor: Command, fake: FakeStentor) -> None:
    filters = ("--filter", "country=de", "--filter", "country=at", "--filter", "plan=pro")
    stentor("send", *HELLO, *filters, "--test-to", "1", "--test-to", "2", "--name", "Trial", "--yes")
    _, selection, name, starts_at = asked(fake)
    assert selection == Selection(source="users", filters={"country": ["de", "at"], "plan": ["pro"]}, only=["1", "2"])
    assert (name, starts_at) == ("Trial", None)


def test_a_campaign_may_go_slowly(stentor: Command, fake: FakeStentor) -> None:
    assert stentor("send", *HELLO, "--max-rate", "0.5", "--yes").exit_code == 0
    assert fake.max_rates == [0.5, 0.5]


def test_it_can_start_later(stentor: Command, fake: FakeStentor) -> None:
    before = time.time()
    stentor("send", *HELLO, "--at", "+90m", "--yes")
    starts_at = asked(fake)[3]
    assert starts_at is not None
    assert before + 5400 <= starts_at <= time.time() + 5400


def test_the_moment_that_was_understood_is_shown_before_it_asks(stentor: Command, fake: FakeStentor) -> None:
    done = stentor("send", *HELLO, "--at", "2030-01-31T18:00+01:00", answer="n\n")
    starts_at = asked(fake)[3]
    assert starts_at == datetime.fromisoformat("2030-01-31T18:00+01:00").timestamp()
    assert f"Starts {moment(starts_at)}." in done.stdout


def test_it_shows_what_will_be_done_and_then_what_was(stentor: Command, fake: FakeStentor) -> None:
    done = stentor("send", *HELLO, answer="y\n")
    assert done.exit_code == 0, done.output
    assert fake.verbs() == ["prepare", "send", "run", "close"]
    told = words(done.stdout)
    for part in (
        "To users:",
        "apns/ios 400,000 no limit 8.0 s",
        "fcm/android 600,000 10,000/s 1:01:00",
        'apns/ios, e.g.: {"aps": {"alert": "Hello"}}',
        "running: 2,000 of 1,000,000",
        "accepted 999,000 (99.9 %)",
    ):
        assert part in told, part
    assert "Send it?" in done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_warnings_are_shown_before_it_asks(stentor: Command, fake: FakeStentor) -> None:
    fake.preview = replace(PREVIEW, warnings=["The sandbox [x] is in use."])
    assert "Note: The sandbox [x] is in use." in stentor("send", *HELLO, answer="n\n").stdout


def test_no_means_nothing_is_sent(stentor: Command, fake: FakeStentor) -> None:
    done = stentor("send", *HELLO, answer="n\n")
    assert done.exit_code == 1
    assert fake.verbs() == ["prepare", "close"]


def test_with_nobody_to_ask_it_wants_yes(stentor: Command, fake: FakeStentor) -> None:
    done = stentor("send", *HELLO)
    assert done.exit_code == 2
    assert "no terminal to ask on: add --yes" in done.stderr
    assert fake.verbs() == ["prepare", "close"]


def test_for_programs_it_prints_one_object(stentor: Command, fake: FakeStentor) -> None:
    done = stentor("send", *HELLO, "--yes", "--json")
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == 1
    found = json.loads(done.stdout)
    assert (found["accepted"], found["failed"], found["seconds"], found["rate"]) == (999_000, 1_000, 80, 12_500)
    assert found["campaign"]["state"] == "completed"
    assert done.stderr == ""


def test_detached_it_only_starts(stentor: Command, fake: FakeStentor) -> None:
    done = stentor("send", *HELLO, "--detach", answer="y\n")
    assert done.exit_code == 0, done.output
    assert fake.verbs() == ["prepare", "send", "close"]
    asked(fake)
    assert f"stentor campaign watch {fake.known[0].id}" in done.stdout
    assert "`stentor serve`" in done.stdout


def test_detached_for_programs(stentor: Command, fake: FakeStentor) -> None:
    done = stentor("send", *HELLO, "--detach", "--yes", "--json")
    (found,) = map(json.loads, done.stdout.splitlines())
    assert (found["id"], found["state"]) == (fake.known[0].id, "running")


def test_detached_no_means_no(stentor: Command, fake: FakeStentor) -> None:
    assert stentor("send", *HELLO, "--detach", answer="n\n").exit_code == 1
    assert fake.verbs() == ["prepare", "close"]


def test_what_has_a_key_is_sent_once(stentor: Command, fake: FakeStentor) -> None:
    assert stentor("send", *HELLO, "--once", "news-1", "--yes").exit_code == 0
    assert fake.verbs() == ["prepare", "send", "run", "close"]
    fake.done.clear()
    fake.sent = {"news-1"}
    for more in ([], ["--detach"], ["--dry-run"]):
        done = stentor("send", *HELLO, "--once", "news-1", "--yes", *more)
        assert (done.exit_code, done.stderr) == (0, "")
        assert words(done.stdout).startswith(
            "Nothing to do: 'news-1' was sent already, as campaign other on 2027-01-15"
        )
    assert json.loads(stentor("send", *HELLO, "--once", "news-1", "--yes", "--json").stdout) == {
        "already_sent": "other"
    }
    assert set(fake.verbs()) == {"close"}


def test_of_two_at_once_one_sends(stentor: Command, fake: FakeStentor) -> None:
    fake.lost_races = {"news-1"}
    done = stentor("send", *HELLO, "--once", "news-1", "--yes")
    assert (done.exit_code, "Nothing to do" in done.stdout) == (0, True)
    assert fake.verbs() == ["prepare", "close"]


def test_quiet_it_says_nothing_unless_something_is_wrong(stentor: Command, fake: FakeStentor) -> None:
    fake.sent = {"news-1"}
    for options in ([], ["--once", "news-1"], ["--detach"], ["--dry-run"]):
        done = stentor("send", *HELLO, "--yes", "--quiet", *options)
        assert (done.exit_code, done.output) == (0, "")
    fake.ends = {"state": CampaignState.FAILED, "problem": "the column is gone"}
    done = stentor("send", *HELLO, "--yes", "--quiet")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "is failed: the column is gone" in done.stderr


def test_a_dry_run_sends_nothing_and_does_not_ask(stentor: Command, fake: FakeStentor) -> None:
    done = stentor("send", *HELLO, "--dry-run")
    assert done.exit_code == 0
    assert "All is in order; nothing was sent" in done.stdout
    assert "apns/ios 400,000" in words(done.stdout)
    assert fake.verbs() == ["prepare", "close"]


def test_a_dry_run_that_has_something_to_say_calls_nothing_in_order(stentor: Command, fake: FakeStentor) -> None:
    fake.preview = replace(PREVIEW, warnings=["apns/ios: 2 of 2 installations looked at have a malformed address"])
    said = words(stentor("send", *HELLO, "--dry-run").stdout)
    assert "Note: apns/ios: 2 of 2 installations looked at have a malformed address" in said
    assert "See the notes above; nothing was sent" in said
    assert "in order" not in said
    found = json.loads(stentor("send", *HELLO, "--dry-run", "--json").stdout)
    assert found["warnings"] == fake.preview.warnings


def test_what_somebody_would_get_who_gets_which_language_and_who_lacks_what(
    stentor: Command, fake: FakeStentor
) -> None:
    lane = LanePreview(
        recipients=400,
        ceiling=5.0,
        seconds=80.0,
        examples=[
            Example(installation="4711", language="", payload=b'{"title":"Hello Ann"}'),
            Example(installation="4712", language="de", payload=b'{"title":"Hallo Ben"}'),
        ],
        looked_at=152,
        languages={"": 100, "de": 52},
        tags=[
            TagServed(tag="en", language="", installations=70),
            TagServed(tag="de-AT", language="de", installations=52),
            TagServed(tag="", language="", installations=30),
        ],
        lacking={"name": 78},
        sizes=[
            LanguageSize(language="", installation="", size=PayloadSize(size=1204, limit=4096)),
            LanguageSize(
                language="de",
                installation="4799",
                size=PayloadSize(what="text", size=4410, limit=4096, unit="characters"),
                problem="body: is too long",
            ),
        ],
    )
    fake.preview = replace(PREVIEW, lanes={"apns/ios": lane}, seconds=90.0)
    done = stentor("send", *HELLO, "--dry-run", "--sample", "4711")
    told = words(done.stdout)
    for part in (
        "apns/ios 400 5/s 80.0 s",
        "All of it takes at least 90.0 s.",
        "Languages, of 152 looked at: the message itself 100, de 52",
        "Language tags, of 152 looked at: en → the message itself 70; de-AT → de 52; no language → the message itself",
        "Without a value, of 152 looked at: name 78",
        'apns/ios, e.g. 4711: {"title":"Hello Ann"}',
        'apns/ios, e.g. 4712 (de): {"title":"Hallo Ben"}',
        "apns/ios: payload 1,204 of 4,096 bytes, 2,892 left",
        "apns/ios, de: text 4,410 of 4,096 characters for 4799, the longest looked at: 314 TOO MANY, it would be",
    ):
        assert part in told, part
    assert fake.samples == ["4711"]
    found = json.loads(stentor("send", *HELLO, "--dry-run", "--json").stdout)["lanes"]["apns/ios"]
    assert found["examples"][1] == {"installation": "4712", "language": "de", "payload": '{"title":"Hallo Ben"}'}
    assert (found["looked_at"], found["languages"], found["lacking"]) == (152, {"": 100, "de": 52}, {"name": 78})
    assert found["tags"][1] == {"tag": "de-AT", "language": "de", "installations": 52}
    assert found["sizes"] == [
        {
            "language": "",
            "installation": "",
            "what": "payload",
            "size": 1204,
            "limit": 4096,
            "unit": "bytes",
            "left": 2892,
        },
        {
            "language": "de",
            "installation": "4799",
            "what": "text",
            "size": 4410,
            "limit": 4096,
            "unit": "characters",
            "left": -314,
        },
    ]


def test_a_dry_run_for_programs(stentor: Command, fake: FakeStentor) -> None:
    found = json.loads(stentor("send", *HELLO, "--dry-run", "--json").stdout)
    assert found["recipients"] == 1_000_000
    ios = found["lanes"]["apns/ios"]
    assert (ios["recipients"], ios["ceiling"], ios["seconds"]) == (400_000, None, 8.0)
    assert ios["examples"] == [{"installation": "", "language": "", "payload": '{"aps": {"alert": "Hello"}}'}]
    assert found["sample"]["apns/ios"] == '{"aps": {"alert": "Hello"}}'


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--audience", "users"], "there is no message: give --title and --body, or --message FILE"),
        ([*HELLO, "--message", "x.toml"], "--message FILE has the whole message, so --title can't be given"),
        ([*HELLO, "--ttl", "soon"], "--ttl: 'soon' is not a duration; write e.g. 90s"),
        ([*HELLO, "--at", "tomorrow"], "--at: 'tomorrow' is not a time; write e.g. 18:00"),
        ([*HELLO, "--at", "2001-01-01T00:00"], "--at: 2001-01-01T00:00 is in the past"),
        ([*HELLO, "--at", "+99999999999d"], "--at: +99999999999d is more than 10 years away; check the date"),
        ([*HELLO, "--data", "novalue"], "--data: 'novalue' should be NAME=VALUE"),
        ([*HELLO, "--filter", "=x"], "--filter: '=x' is not a filter; write COLUMN=VALUE"),
        (["--title", "Hello"], "--audience"),
        ([*HELLO, "--priority", "urgent"], "urgent"),
    ],
)
def test_a_wrong_option_is_said_before_anything_is_done(
    stentor: Command, fake: FakeStentor, options: list[str], message: str
) -> None:
    done = stentor("send", *options, "--yes")
    assert done.exit_code == 2
    assert message in words(done.stderr)
    assert fake.done == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{{ 'x' * 10**12 }}", "body: the template makes a value of more than 64 KB"),
        ("{{ " + "(" * 500 + "1" + ")" * 500 + " }}", "body: the template has more than 15 brackets within each other"),
        ("{% if a %}" * 500, "body: the template nests blocks or expressions more than 50 deep"),
        ("a\0b", "body: has a NUL character, which no phone shows and no database stores; remove it"),
        ("x" * 70_000, "body: is 70,000 bytes long; a text has at most 65,536"),
    ],
)
def test_a_text_that_takes_too_much_is_told_in_one_line(
    stentor: Command, fake: FakeStentor, tmp_path: Path, body: str, message: str
) -> None:
    path = tmp_path / "message.json"
    path.write_text(json.dumps({"title": "Sale", "body": body}))
    done = stentor("send", "--message", str(path), "--audience", "users", "--dry-run")
    assert done.exit_code == 2
    assert done.stderr == f"stentor: {message}\n"
    assert fake.done == []


def interrupt(*signals: signal.Signals) -> Callable[[Any], None]:
    def send(_: Any) -> None:
        for number in signals:
            os.kill(os.getpid(), number)

    return send


def test_ctrl_c_gives_up_a_count_that_takes_long(stentor: Command, fake: FakeStentor) -> None:
    fake.counting = lambda: os.kill(os.getpid(), signal.SIGINT)
    for options in (["--dry-run"], ["--yes"], ["--yes", "--detach"]):
        done = stentor("send", "--title", "Hello", "--audience", "users", *options)
        assert done.exit_code == 130
        assert "Stopped waiting; nothing was sent." in done.output
    assert set(fake.verbs()) == {"prepare", "close"}


def test_ctrl_c_pauses_and_tells_how_to_go_on(stentor: Command, fake: FakeStentor) -> None:
    fake.running, fake.waits_for_stop = interrupt(signal.SIGINT), True
    done = stentor("send", *HELLO, "--yes")
    assert done.exit_code == 130
    assert fake.verbs() == ["prepare", "send", "run", "pause", "stop", "close"], (
        "or the report leaves out what is in flight"
    )
    assert "Pausing …" in done.stdout
    assert f"stentor campaign resume {fake.known[0].id}" in done.stderr
    assert f"stentor campaign cancel {fake.known[0].id}" in done.stderr


def test_a_second_ctrl_c_does_not_wait(stentor: Command, fake: FakeStentor) -> None:
    fake.running, fake.waits_for_stop, fake.ignores_stop = interrupt(signal.SIGINT, signal.SIGINT), True, True
    done = stentor("send", *HELLO, "--yes")
    assert done.exit_code == 130
    assert fake.verbs()[-1] == "close"
    assert "stentor campaign resume" in done.stderr


def test_sigterm_stops_and_leaves_it_to_be_resumed(stentor: Command, fake: FakeStentor) -> None:
    fake.running, fake.waits_for_stop = interrupt(signal.SIGTERM), True
    done = stentor("send", *HELLO, "--yes", "--json")
    assert done.exit_code == 130
    assert fake.verbs() == ["prepare", "send", "run", "stop", "close"]
    assert fake.known[0].state is CampaignState.RUNNING
    assert json.loads(done.stdout)["campaign"]["state"] == "running"


def test_ctrl_c_at_the_very_end_changes_nothing(stentor: Command, fake: FakeStentor) -> None:
    fake.running = interrupt(signal.SIGINT)
    done = stentor("send", *HELLO, "--yes")
    assert done.exit_code == 0
    assert fake.known[0].state is CampaignState.COMPLETED


@pytest.mark.parametrize(
    ("ends", "code"),
    [(CampaignState.COMPLETED, 0), (CampaignState.FAILED, 1), (CampaignState.PAUSED, 1), (CampaignState.CANCELLED, 1)],
)
def test_the_exit_code_says_how_it_ended(stentor: Command, fake: FakeStentor, ends: CampaignState, code: int) -> None:
    fake.ends = {"state": ends}
    assert stentor("send", *HELLO, "--yes").exit_code == code


def test_a_campaign_that_reached_nobody_exits_with_a_code_of_its_own(stentor: Command, fake: FakeStentor) -> None:
    name = fake.known[0].id
    fake.lanes = {"apns/ios": LaneCounts(read=3, rejected=2, expired=1)}
    done = stentor("send", *HELLO, "--yes", "--quiet")
    assert (done.exit_code, done.stdout) == (3, "")
    why = f"`stentor campaign failures {name}` says why"
    assert done.stderr == f"stentor: campaign {name} reached nobody (3 recipients, 0 accepted); {why}\n"
    fake.lanes = {"apns/ios": LaneCounts(read=3, rejected=2, accepted=1)}
    assert stentor("send", *HELLO, "--yes").exit_code == 0
    fake.lanes = {}
    assert stentor("send", *HELLO, "--yes").exit_code == 0, "there was nobody to reach"


NOW = datetime.fromisoformat("2026-12-01T12:00:00+00:00").timestamp()
AT_SIX = ("--local-at", "2026-12-01T18:00")


def forecast_of(timing: Timing, **counts: int) -> Forecast:
    zones = {"berlin": "Europe/Berlin", "tokyo": "Asia/Tokyo", "junk": "Asia"}
    return forecast(timing, {zones[name]: count for name, count in counts.items()}, NOW, 1000.0)


def test_when_each_recipient_gets_it(stentor: Command, fake: FakeStentor) -> None:
    rules = (
        "--no-zone",
        "Europe/Berlin",
        "--past",
        "tomorrow",
        "--quiet-hours",
        "22:00-08:00",
        "--quiet-then",
        "expire",
    )
    done = stentor("send", *HELLO, *AT_SIX, *rules, "--spread", "2h", "--canary", "1%", "--yes")
    assert done.exit_code == 0, done.output
    assert fake.timings[0] == Timing(
        local_at="2026-12-01T18:00",
        no_zone="Europe/Berlin",
        past="tomorrow",
        quiet_hours="22:00-08:00",
        quiet_then="expire",
        spread=7200.0,
        canary=0.01,
    )
    stentor("send", *HELLO, *AT_SIX, "--past-share", "0.05", "--dry-run")
    assert fake.timings[-1] == Timing(local_at="2026-12-01T18:00", past_share=0.05)
    stentor("send", *HELLO, "--dry-run")
    assert fake.timings[-1] == ANYTIME


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--local-at", "18:00"), "--local-at: '18:00' is not a day and a time; write e.g. 2030-01-31T18:00"),
        (("--quiet-hours", "22-8"), "--quiet-hours: '22-8' are not quiet hours; write e.g. 22:00-08:00"),
        ((*AT_SIX, "--no-zone", "Asia"), "--no-zone: 'Asia' is not a time zone"),
        (("--past", "now"), "--past: is for campaigns at a local time; set --local-at, or leave it out"),
        (("--canary", "half"), "--canary: 'half' is not a share above 0 % and at most 100 %; write e.g. 20%"),
        (("--spread", "2"), None),
        (("--spread", "soon"), "--spread: 'soon' is not a duration"),
        (("--spread", "30d"), "--spread: must be between 0 seconds and 7 days"),
    ],
)
def test_a_timing_that_cannot_be_meant(
    stentor: Command, fake: FakeStentor, options: tuple[str, ...], says: str | None
) -> None:
    done = stentor("send", *HELLO, *options, "--yes")
    assert (done.exit_code == 0) == (says is None)
    assert says is None or says in words(done.output)
    assert says is None or not fake.done, "nothing was asked or opened"


def test_the_zones_are_shown_before_anybody_is_asked(stentor: Command, fake: FakeStentor) -> None:
    timing = Timing(local_at="2026-12-01T18:00", no_zone="skip", past="now")
    fake.preview = replace(PREVIEW, forecast=forecast_of(timing, berlin=600_000, tokyo=300_000, junk=100_000))
    done = stentor("send", *HELLO, *AT_SIX, "--no-zone", "skip", "--past", "now", "--dry-run")
    said = words(done.output)
    assert (
        "When: at 2026-12-01 18:00 on each recipient's clock, at once if that is past; without a time zone nothing"
        in said
    )
    assert f"Asia/Tokyo 300,000 {clock(NOW)} {clock(NOW + 300)} past" in said
    assert f"Europe/Berlin 600,000 {clock(NOW + 5 * 3600)} {clock(NOW + 5 * 3600 + 600)}" in said
    assert "(none known) 100,000 – – NoZone 100,000" in said


def test_only_some_of_many_zones_are_shown(stentor: Command, fake: FakeStentor) -> None:
    counts: dict[str | None, int] = dict.fromkeys(names()[:60], 10)
    timing = Timing(local_at="2026-12-03T18:00")
    fake.preview = replace(PREVIEW, forecast=forecast(timing, counts, NOW, 1000.0))
    assert "20 more 200" in words(stentor("send", *HELLO, *AT_SIX, "--dry-run").output)


def test_who_gives_no_rule_is_told_before_anybody_is_asked(stentor: Command, fake: FakeStentor) -> None:
    timing = Timing(local_at="2026-12-01T18:00", no_zone="skip")
    fake.preview = replace(PREVIEW, forecast=forecast_of(timing, berlin=600_000, tokyo=300_000))
    done = stentor("send", *HELLO, *AT_SIX, "--no-zone", "skip")
    assert done.exit_code == 2
    said = words(done.output)
    assert (
        "--past: 300,000 recipients (33.3 %) have a clock that is past 2026-12-01T18:00 (Asia/Tokyo); say what" in said
    )
    assert "Send it?" not in said
    assert not [each for each in fake.done if each[0] == "send"]
