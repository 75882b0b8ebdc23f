"""`stentor campaign …`: what each command asks for, shows, and exits with."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import re
import signal
from pathlib import Path

import pytest

from stentor.cli import campaign as commands
from stentor.cli import start as start_command
from stentor.cli import waiting
from stentor.runtime.confirmation import Expectation
from stentor.states import CampaignState
from tests.unit.cli.fake_stentor import Command, FakeStentor
from tests.unit.cli.moments import NOW, campaign

ID = "7k2m9x1qabcdefgh"


def words(text: str) -> str:
    return " ".join(text.split())


def test_list(stentor: Command, fake: FakeStentor) -> None:
    ended = campaign("aaa", state=CampaignState.COMPLETED, finished_at=NOW - 10)
    fake.known = [campaign("bbb", title="Second [x]"), ended]
    fake.unread = "bbb"
    done = stentor("campaign", "list")
    assert done.exit_code == 0
    told = [words(line).split(" ") for line in done.stdout.splitlines()]
    assert told[0] == ["campaign", "state", "created", "accepted", "failed", "took", "title"]
    assert [told[1][0], *told[1][4:]] == ["bbb", "0", "0", "Second", "[x]"]
    assert [told[2][0], *told[2][4:]] == ["aaa", "999,000", "1,000", "80.0", "s", "Spring", "sale"]
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert fake.done == [("close",)]


def test_list_of_a_state_for_programs(stentor: Command, fake: FakeStentor) -> None:
    fake.known = [campaign("bbb"), campaign("aaa", state=CampaignState.COMPLETED, finished_at=NOW - 10)]
    done = stentor("campaign", "list", "--state", "completed", "--json")
    (found,) = json.loads(done.stdout)["campaigns"]
    assert (found["id"], found["state"]) == ("aaa", "completed")
    assert found["audience"] == {"source": "users", "filters": {"country": ["de", "at"]}}
    assert (found["accepted"], found["failed"], found["pending"], found["seconds"]) == (999_000, 1000, 0, 80)


def test_an_empty_list_says_so(stentor: Command, fake: FakeStentor) -> None:
    fake.known = []
    assert "There is no campaign yet." in stentor("campaign", "list").stdout
    assert json.loads(stentor("campaign", "list", "--json").stdout) == {"campaigns": []}


@pytest.mark.parametrize("name", [ID, "7k2m", "last"])
def test_a_campaign_is_found_by_what_it_is_called(stentor: Command, fake: FakeStentor, name: str) -> None:
    """The store knows what else may mean it."""
    fake.known = [campaign(), campaign("6aaa")]
    assert stentor("campaign", "pause", name).exit_code == 0
    assert fake.done[0] == ("pause", ID)


def test_a_name_that_means_none(stentor: Command, fake: FakeStentor) -> None:
    done = stentor("campaign", "pause", "7x")
    assert done.exit_code == 2
    assert "there is no campaign of the id or title '7x'" in done.stderr
    assert fake.verbs() == ["close"]


def test_last_of_none(stentor: Command, fake: FakeStentor) -> None:
    fake.known = []
    done = stentor("campaign", "show", "last")
    assert done.exit_code == 2
    assert "there is no campaign yet" in done.stderr


def test_the_settings_file_is_passed_on(stentor: Command) -> None:
    stentor("campaign", "list", "--config", "other.toml")
    stentor("campaign", "list")
    assert stentor.files == [Path("other.toml"), None]


def test_show_of_a_running_one(stentor: Command) -> None:
    done = stentor("campaign", "show", "last")
    assert done.exit_code == 0
    told = words(done.stdout)
    assert "apns/ios doesn't send. The key was refused" in told
    assert "900 Unregistered apns/ios The app was removed." in told


def test_show_for_programs(stentor: Command) -> None:
    found = json.loads(stentor("campaign", "show", "last", "--json").stdout)
    assert (found["accepted"], found["failed"], found["installations"]) == (999_000, 1_000, 1_000_000)
    assert found["lanes"]["apns/ios"]["rejected"] == 900
    assert found["problems"]["apns/ios"]["remedy"].startswith("Check `key_id`")
    assert found["reasons"][0]["meaning"].startswith("The app was removed.")


def test_show_of_one_that_nobody_seems_to_send(stentor: Command, fake: FakeStentor) -> None:
    told = words(stentor("campaign", "show", "last").stdout)
    assert "Nothing has moved" not in told
    fake.sick, fake.still = False, True
    told = words(stentor("campaign", "show", "last").stdout)
    assert (
        f"Nothing has moved for some seconds. If the process that sends it was killed, `stentor campaign resume {ID}`"
        in told
    )
    assert json.loads(stentor("campaign", "show", "last", "--json").stdout)["still"] is True


def test_watch_looks_until_the_end(stentor: Command, fake: FakeStentor) -> None:
    done = stentor("campaign", "watch", "last")
    assert done.exit_code == 0
    assert fake.verbs() == ["watch", "close"]
    assert "running: 2,000 of 1,000,000" in words(done.stdout)
    assert "state completed" in words(done.stdout)


def test_watch_for_programs(stentor: Command, fake: FakeStentor) -> None:
    fake.ends = {"state": CampaignState.FAILED}
    done = stentor("campaign", "watch", "last", "--json")
    assert done.exit_code == 1
    (found,) = map(json.loads, done.stdout.splitlines())
    assert (found["campaign"]["state"], found["accepted"]) == ("failed", 999_000)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_looking_changes_nothing(stentor: Command, fake: FakeStentor, sign: signal.Signals) -> None:
    fake.running, fake.waits_for_stop = (lambda _: os.kill(os.getpid(), sign)), True
    done = stentor("campaign", "watch", "last")
    assert done.exit_code == 130
    assert fake.verbs() == ["watch", "close"]
    assert fake.known[0].state is CampaignState.RUNNING
    assert f"Campaign {ID} is running, and goes on." in done.stderr


def test_a_script_says_what_it_means_to_start(stentor: Command, fake: FakeStentor) -> None:
    fake.known = [campaign(state=CampaignState.DRAFT)]
    lone = stentor("campaign", "start", "last", "--tolerance", "0.1", "--yes")
    assert lone.exit_code == 2
    assert "--tolerance" in lone.stderr
    assert fake.verbs() == []
    few = ("--expect-recipients", "120", "--tolerance", "0.02")
    assert stentor("campaign", "start", "last", *few, "--yes").exit_code == 0
    assert fake.expected == Expectation(confirmation=fake.confirms, recipients=120, tolerance=0.02)
    fake.known = [campaign(state=CampaignState.DRAFT)]
    other = stentor("campaign", "start", "last", "--confirmation", "another", "--yes")
    assert other.exit_code != 0
    assert "nothing was started" in other.stderr


def test_a_draft_is_started_and_held(stentor: Command, fake: FakeStentor) -> None:
    fake.known = [campaign(state=CampaignState.DRAFT)]
    done = stentor("campaign", "start", "last", "--hold", "10s", "--yes")
    assert f"stentor campaign unschedule {ID}" in done.stdout
    assert fake.verbs() == ["start", "close"]
    again = stentor("campaign", "unschedule", "last")
    told = words(again.stdout)
    assert told.startswith(f"Campaign {ID} is a draft again. Nothing of it was sent. Its time to start is still 20")
    assert json.loads(stentor("campaign", "start", "last", "--yes", "--json").stdout)["state"] == "running"


def test_a_draft_that_changes_while_somebody_is_asked_is_not_started(
    stentor: Command, fake: FakeStentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.known = [campaign(state=CampaignState.DRAFT)]
    monkeypatch.setattr(start_command, "confirm", lambda *_, **__: setattr(fake, "confirms", "another"))
    done = stentor("campaign", "start", "last")
    assert (done.exit_code, fake.verbs()) == (1, ["close"])
    assert "nothing was started" in words(done.stderr)


def test_what_was_started_is_not_started_again(stentor: Command) -> None:
    done = stentor("campaign", "start", "last", "--yes")
    assert done.exit_code == 2
    assert "only a draft can be started" in done.stderr


def test_pause(stentor: Command, fake: FakeStentor) -> None:
    done = stentor("campaign", "pause", "last")
    assert words(done.stdout) == words(f"Campaign {ID} is paused. `stentor campaign resume {ID}` goes on with it.")
    assert json.loads(stentor("campaign", "pause", "last", "--json").stdout)["state"] == "paused"


@pytest.mark.parametrize(
    ("state", "verbs"),
    [
        (CampaignState.PAUSED, ["resume", "run", "close"]),
        (CampaignState.DRAFT, ["start", "run", "close"]),
        (CampaignState.RUNNING, ["run", "close"]),  # whoever sent it was killed
        (CampaignState.SCHEDULED, ["run", "close"]),
        (CampaignState.CANCELLING, ["run", "close"]),
    ],
)
def test_resume_runs_it_to_its_end(stentor: Command, fake: FakeStentor, state: CampaignState, verbs: list[str]) -> None:
    fake.known = [campaign(state=state)]
    done = stentor("campaign", "resume", "last")
    assert done.exit_code == 0, done.output
    assert fake.verbs() == verbs
    assert "999,000 (99.9 %)" in done.stdout


def test_resume_of_one_that_has_ended(stentor: Command, fake: FakeStentor) -> None:
    fake.known = [campaign(state=CampaignState.COMPLETED)]
    fake.pending = 0
    done = stentor("campaign", "resume", "last")
    assert done.exit_code != 0
    assert f"`stentor campaign retry {ID}`" in done.stderr


def test_resume_of_one_that_failed_and_is_not_settled_yet(stentor: Command, fake: FakeStentor) -> None:
    fake.known = [campaign(state=CampaignState.FAILED)]
    fake.ends = {}
    done = stentor("campaign", "resume", "last")
    assert done.exit_code == 1
    assert fake.verbs() == ["progress", "run", "close"]


def test_resume_for_programs_prints_one_object(stentor: Command, fake: FakeStentor) -> None:
    done = stentor("campaign", "resume", "last", "--json")
    assert json.loads(done.stdout)["campaign"]["state"] == "completed"
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("state", [CampaignState.PAUSED, CampaignState.FAILED, CampaignState.CANCELLED])
def test_what_did_not_complete_is_1(stentor: Command, fake: FakeStentor, state: CampaignState) -> None:
    fake.ends = {"state": state, "problem": "The provider refuses the message."}
    done = stentor("campaign", "resume", "last")
    assert done.exit_code == 1
    assert f"campaign {ID} is {state}: The provider refuses the message." in done.stderr
    assert (f"stentor campaign resume {ID}" in done.stderr) is (state is CampaignState.PAUSED)


def test_cancel_asks_and_runs_nothing(stentor: Command, fake: FakeStentor) -> None:
    done = stentor("campaign", "cancel", "last", answer="y\n")
    assert done.exit_code == 0
    assert fake.verbs() == ["cancel", "close"]
    assert "cancelled" in done.stdout


def test_cancel_waits_for_what_others_hold(
    stentor: Command, fake: FakeStentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "LOOK_EVERY", 0)
    fake.cancelled, fake.ends = CampaignState.CANCELLING, {"state": CampaignState.CANCELLED}
    done = stentor("campaign", "cancel", "last", "--yes")
    assert done.exit_code == 0
    assert fake.verbs() == ["cancel", "progress", "cancel", "progress", "cancel", "close"]
    assert "cancelled" in done.stdout


@pytest.mark.parametrize("as_json", [False, True])
def test_a_cancel_that_takes_its_time_says_what_it_waits_for(
    stentor: Command, fake: FakeStentor, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    monkeypatch.setattr(commands, "LOOK_EVERY", 0)
    monkeypatch.setattr(commands, "HELD_UP", 0)
    fake.cancelled, fake.ends = CampaignState.CANCELLING, {"state": CampaignState.CANCELLED}
    done = stentor("campaign", "cancel", "last", "--yes", *(["--json"] if as_json else []))
    assert done.exit_code == 0
    said = words(done.stderr if as_json else done.stdout)
    assert said.count("Waiting for a process of Stentor that still holds a part of it (10,000 recipients)") == 1
    assert "`stentor serve`" in said


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (["audit", "last"], "Recounting everybody of 'Spring sale'"),
        (["explain", "last", "4711"], "Looking for 4711 in 'Spring sale'"),
    ],
)
def test_what_may_take_long_is_said(
    stentor: Command, fake: FakeStentor, monkeypatch: pytest.MonkeyPatch, command: list[str], what: str
) -> None:
    monkeypatch.setattr(waiting, "LINE_EVERY", 0.1)

    async def slowly(*_: object) -> None:
        await asyncio.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()

    monkeypatch.setattr(fake, command[0], slowly)
    done = stentor("campaign", *command)
    assert done.exit_code == 130
    assert re.search(f"{what}: 0:0[01] so far. Ctrl-C gives up.", words(done.stderr))
    assert "Stopped." in done.stdout
    assert "nothing was sent" not in done.stdout


def test_cancel_thought_better_of(stentor: Command, fake: FakeStentor) -> None:
    done = stentor("campaign", "cancel", "last", answer="n\n")
    assert done.exit_code == 1
    assert "Nothing was done." in done.stderr
    assert fake.verbs() == ["close"]


def test_cancel_with_nobody_to_ask(stentor: Command, fake: FakeStentor) -> None:
    done = stentor("campaign", "cancel", "last")
    assert done.exit_code == 2
    assert "add --yes" in done.stderr
    assert fake.verbs() == ["close"]


def test_cancel_for_programs(stentor: Command, fake: FakeStentor) -> None:
    done = stentor("campaign", "cancel", "last", "--yes", "--json")
    assert json.loads(done.stdout)["campaign"]["state"] == "cancelled"


def test_retry_makes_a_new_campaign_and_runs_it(stentor: Command, fake: FakeStentor) -> None:
    fake.known = [campaign(state=CampaignState.COMPLETED)]
    done = stentor("campaign", "retry", "last", "--reason", "UNAVAILABLE", answer="y\n")
    assert done.exit_code == 0, done.output
    assert "again to 100 recipients not reached before?" in done.stderr
    assert fake.done[:3] == [("retry", ID, ("UNAVAILABLE",)), ("start", "new"), ("run", "new")]


def test_retry_leaves_dead_addresses_out(stentor: Command, fake: FakeStentor) -> None:
    fake.known = [campaign(state=CampaignState.COMPLETED)]
    done = stentor("campaign", "retry", "last", answer="y\n")
    assert "again to 100 recipients not reached before?" in done.stderr  # 900 of the 1,000 are dead
    assert fake.done[0] == ("retry", ID, ())


def test_ctrl_c_gives_up_counting_whom_to_try_again(stentor: Command, fake: FakeStentor) -> None:
    fake.known = [campaign(state=CampaignState.COMPLETED)]
    fake.counting = lambda: os.kill(os.getpid(), signal.SIGINT)
    done = stentor("campaign", "retry", "last", "--yes")
    assert done.exit_code == 130
    assert "Stopped waiting; nothing was sent." in done.output
    assert "run" not in fake.verbs()


@pytest.mark.parametrize(
    ("state", "first"),
    [
        (CampaignState.PAUSED, f"`stentor campaign resume {ID}` goes on with it"),
        (CampaignState.RUNNING, "wait for its end"),
    ],
)
def test_what_is_not_over_is_not_tried_again(
    stentor: Command, fake: FakeStentor, state: CampaignState, first: str
) -> None:
    fake.known = [campaign(state=state)]
    done = stentor("campaign", "retry", "last", "--yes")
    assert done.exit_code == 2
    assert f"campaign {ID} is {state}; {first}, or cancel it first" in done.stderr
    assert fake.verbs() == ["close"]


def test_retry_where_there_is_nobody(stentor: Command, fake: FakeStentor) -> None:
    fake.known = [campaign(state=CampaignState.COMPLETED)]
    done = stentor("campaign", "retry", "last", "--reason", "Typo", "--yes")
    assert done.exit_code != 0
    assert done.stderr == (
        f"stentor: there is nobody to send to again: no recipient failed for Typo in campaign {ID}. The reasons are:"
        " UNAVAILABLE (100), Unregistered (900)\n"
    )
    assert fake.verbs() == ["close"]


def test_an_exact_audit_is_0_and_another_1(stentor: Command, fake: FakeStentor) -> None:
    done = stentor("campaign", "audit", "last")
    assert done.exit_code == 0
    assert "exact: every recipient is accounted for, once" in done.stdout
    fake.exact = False
    done = stentor("campaign", "audit", "last")
    assert done.exit_code == 1
    assert "WRONG" in done.stdout
    assert "not exact" in done.stdout
    done = stentor("campaign", "audit", "last", "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert not found["exact"]
    assert found["checks"][1] == {"name": "once", "ok": False, "detail": "once"}


def test_failures_as_lines(stentor: Command, fake: FakeStentor) -> None:
    done = stentor("campaign", "failures", "last", "--lane", "apns/ios", "--reason", "Unregistered", "--dead")
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    assert lines[0] == "at                   lane            installation  outcome         reason"
    assert lines[2].endswith("  apns/ios        user-1        rejected, dead  Unregistered (410)")
    assert lines[2].index("apns") == lines[0].index("lane")
    assert fake.done[0] == ("failures", ID, "apns/ios", "Unregistered", True)


@pytest.mark.parametrize("form", [[], ["--csv"], ["--json"]])
def test_where_nobody_failed_so_it_is_said_which_reasons_there_are(
    stentor: Command, fake: FakeStentor, form: list[str]
) -> None:
    done = stentor("campaign", "failures", "last", "--reason", "Nope", *form)
    assert (done.exit_code, len(done.stdout.splitlines())) == (0, 1 if "--csv" in form else 0)
    reasons = "The reasons are: UNAVAILABLE (100), Unregistered (900)."
    assert done.stderr == f"No recipient failed for Nope in campaign {ID}. {reasons}\n"
    done = stentor("campaign", "failures", "last", "--reason", "Nope", "--lane", "apns/ios", *form)
    assert done.stderr.endswith("on apns/ios. The reasons are: Unregistered (900).\n")
    done = stentor("campaign", "failures", "last", "--lane", "apns/nope", *form)
    there = "Failures are on: apns/ios, fcm/android."
    assert done.stderr == f"No recipient on apns/nope failed in campaign {ID}. {there}\n"
    fake.reasons = {}
    done = stentor("campaign", "failures", "last", "--reason", "Nope", *form)
    assert done.stderr == f"No recipient failed in campaign {ID}.\n"


def test_where_the_options_leave_nobody(stentor: Command) -> None:
    done = stentor("campaign", "failures", "last", "--lane", "fcm/android", "--reason", "UNAVAILABLE", "--dead")
    assert done.stderr == f"No failure in campaign {ID} on fcm/android matches these options.\n"


def test_failures_as_csv(stentor: Command, fake: FakeStentor) -> None:
    done = stentor("campaign", "failures", "last", "--csv", "--alive")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["installation"] for row in rows] == ["user-0", "user-1", "user-2"]
    assert rows[0]["outcome"] == "rejected"
    assert rows[0]["meaning"].startswith("The app was removed.")
    assert fake.done[0] == ("failures", ID, None, None, False)


def test_failures_as_csv_have_times_and_texts_that_a_spreadsheet_shows_as_they_are(stentor: Command) -> None:
    done = stentor("campaign", "failures", "last", "--csv", "--addresses")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["address"] for row in rows] == ["", "'=token-1", "'=token-2"]
    assert rows[0]["at"] == "2027-01-15T08:00:00.000Z"
    assert "address" not in stentor("campaign", "failures", "last", "--csv").stdout.splitlines()[0]


def test_failures_with_addresses_for_people_and_programs(stentor: Command) -> None:
    lines = stentor("campaign", "failures", "last", "--addresses").stdout.splitlines()
    assert lines[0].split() == ["at", "lane", "installation", "address", "outcome", "reason"]
    assert "user-0 (no address) rejected, dead" in words(lines[1])
    assert "user-1 =token-1 rejected, dead" in words(lines[2])
    told = stentor("campaign", "failures", "last", "--addresses", "--json").stdout.splitlines()
    assert [json.loads(line)["address"] for line in told] == [None, "=token-1", "=token-2"]
    assert "token" not in stentor("campaign", "failures", "last").stdout


def test_the_commands_come_in_the_order_in_which_they_are_needed(stentor: Command) -> None:
    said = words(stentor("campaign", "--help").stdout)
    order = ["list", "show", "watch", "pause", "resume", "cancel", "failures", "explain", "retry", "undo", "edit"]
    places = [said.index(f" {name} ") for name in order]
    assert places == sorted(places)


def test_failures_for_programs(stentor: Command, fake: FakeStentor) -> None:
    done = stentor("campaign", "failures", "last", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["position"] for row in rows] == [0, 1, 2]
    assert rows[0]["dead"] is True
    assert fake.done[0] == ("failures", ID, None, None, None)


def test_explain(stentor: Command) -> None:
    done = stentor("campaign", "explain", "last", "user-0")
    told = words(done.stdout)
    assert f"user-0 in 'Spring sale' ({ID}):" in told
    assert "It was read. It ended. The app was removed." in told
    found = json.loads(stentor("campaign", "explain", "last", "user-0", "--json").stdout)
    assert found["outcome"] == "rejected"
    assert found["place"]["lane"] == "apns/ios"
    assert [event["text"] for event in found["events"]] == ["It was read.", "It ended."]


def test_every_command_shows_examples(stentor: Command) -> None:
    for command in commands.app.registered_commands:
        name = command.name or command.callback.__name__  # type: ignore[union-attr]  # each has one
        text = stentor("campaign", name, "--help").stdout
        assert "Examples:" in text, name
        assert f"stentor campaign {name}" in text
        assert "--json" in text
        assert "--config" in text
