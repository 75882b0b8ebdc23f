"""`stentor campaign undo` and `edit`: counted, asked about, then run as campaigns of their own."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from stentor.model import Message
from stentor.planning.content import Content
from stentor.states import CampaignState
from tests.unit.cli.fake_stentor import PREVIEW, Command, FakeStentor
from tests.unit.cli.moments import campaign

ID = "7k2m9x1qabcdefgh"
BETTER = Content(message=Message(title="Sunday, not Saturday"))


@pytest.fixture
def message(tmp_path: Path) -> str:
    file = tmp_path / "better.toml"
    file.write_text('title = "Sunday, not Saturday"')
    return str(file)


@pytest.fixture(autouse=True)
def ended(fake: FakeStentor) -> None:
    fake.known = [campaign(state=CampaignState.COMPLETED)]


def test_an_undo_is_counted_asked_about_and_run(stentor: Command, fake: FakeStentor) -> None:
    done = stentor("campaign", "undo", "last", answer="y\n")
    assert done.exit_code == 0, done.output
    assert f"To everybody reached by {ID}:" in done.output
    assert "Take 'Spring sale' back from 1,000,000 recipients?" in done.stderr
    assert fake.done[:4] == [("prepare_undo", ID, None), ("undo", ID, None), ("start", "new"), ("run", "new")]


def test_a_no_changes_nothing(stentor: Command, fake: FakeStentor) -> None:
    done = stentor("campaign", "undo", "last", answer="n\n")
    assert done.exit_code != 0
    assert fake.verbs() == ["prepare_undo", "close"]


def test_a_better_message_takes_its_place(stentor: Command, fake: FakeStentor, message: str) -> None:
    assert stentor("campaign", "undo", "last", "--message", message, "--yes").exit_code == 0
    assert fake.done[1] == ("undo", ID, BETTER)


def test_it_has_values_of_its_own(stentor: Command, fake: FakeStentor, tmp_path: Path) -> None:
    file = tmp_path / "better.toml"
    file.write_text('title = "{{ day }}, not Saturday"')
    options = ("--message", str(file), "--set", "day={{ Sunday }}", "--yes")
    assert stentor("campaign", "edit", "last", *options).exit_code == 0
    assert stentor("campaign", "undo", fake.known[1].id, *options).exit_code == 0
    for verb in ("edit", "undo"):
        (better,) = [each[2] for each in fake.done if each[0] == verb]
        assert better.render(0, {}).title == "{{ Sunday }}, not Saturday"
    done = stentor("campaign", "undo", "last", "--set", "day=Sunday")
    assert (done.exit_code, "--message FILE" in done.stderr) == (2, True)


@pytest.mark.parametrize(("verb", "options"), [("undo", []), ("edit", ["--message"])])
def test_a_dry_run_only_counts(
    verb: str, options: list[str], stentor: Command, fake: FakeStentor, message: str
) -> None:
    given = [*options, message] if options else []
    done = stentor("campaign", verb, "last", *given, "--dry-run")
    assert done.exit_code == 0
    assert "nothing was changed, as this was a dry run" in done.output
    assert fake.verbs() == [f"prepare_{verb}", "close"]
    found = json.loads(stentor("campaign", verb, "last", *given, "--dry-run", "--json").stdout)
    assert found["recipients"] == fake.preview.recipients


@pytest.mark.parametrize(("verb", "options"), [("undo", []), ("edit", ["--message"])])
def test_a_dry_run_that_has_something_to_say_calls_nothing_in_order(
    verb: str, options: list[str], stentor: Command, fake: FakeStentor, message: str
) -> None:
    given = [*options, message] if options else []
    assert "All is in order" in stentor("campaign", verb, "last", *given, "--dry-run").stdout
    fake.preview = replace(PREVIEW, warnings=["telegram/bot: sending this costs 7 Stars"])
    said = " ".join(stentor("campaign", verb, "last", *given, "--dry-run").stdout.split())
    assert "Note: telegram/bot: sending this costs 7 Stars" in said
    assert "See the notes above; nothing was changed" in said
    assert "in order" not in said


@pytest.mark.parametrize(("verb", "options"), [("undo", []), ("edit", ["--message"])])
def test_ctrl_c_gives_up_a_count_that_takes_long(
    verb: str, options: list[str], stentor: Command, fake: FakeStentor, message: str
) -> None:
    fake.counting = lambda: os.kill(os.getpid(), signal.SIGINT)
    given = [*options, message] if options else []
    done = stentor("campaign", verb, "last", *given, "--dry-run")
    assert done.exit_code == 130
    assert "Stopped waiting; nothing was sent." in done.output
    assert fake.verbs() == [f"prepare_{verb}", "close"]


def test_an_edit_is_run_too(stentor: Command, fake: FakeStentor, message: str) -> None:
    done = stentor("campaign", "edit", "last", "--message", message, "--yes", "--json")
    assert done.exit_code == 0, done.output
    assert fake.done[:4] == [("prepare_edit", ID, BETTER), ("edit", ID, BETTER), ("start", "new"), ("run", "new")]
    assert json.loads(done.stdout)["campaign"]["id"] == "new"


def test_a_message_that_is_none_is_found_out_before_anything(
    stentor: Command, fake: FakeStentor, tmp_path: Path
) -> None:
    done = stentor("campaign", "edit", "last", "--message", str(tmp_path / "none.toml"))
    assert done.exit_code == 2
    assert "none.toml cannot be read" in done.stderr
    assert fake.verbs() == []


def test_what_is_being_sent_is_cancelled_before_anything_is_counted(stentor: Command, fake: FakeStentor) -> None:
    fake.known = [campaign(state=CampaignState.RUNNING)]
    done = stentor("campaign", "undo", "last", answer="y\n")
    assert done.exit_code == 0, done.output
    before, after = done.stderr.split("[y/N]")
    assert "'Spring sale' is running. It is cancelled first, for good: " in before
    assert "Cancel it for good, and then take back what it has sent?" in before
    assert f"Campaign {ID} is completed: 999,000 accepted, 0 not sent to." in after
    assert fake.verbs()[:6] == ["cancel", "run", "prepare_undo", "undo", "start", "run"]


def test_it_goes_on_where_that_is_not_wanted(stentor: Command, fake: FakeStentor) -> None:
    fake.known = [campaign(state=CampaignState.RUNNING)]
    assert stentor("campaign", "undo", "last", answer="n\n").exit_code != 0
    assert stentor("campaign", "undo", "last", "--dry-run").exit_code == 0
    assert fake.verbs() == ["close", "prepare_undo", "close"]


@pytest.mark.parametrize(
    ("options", "when"), [(["--yes", "--json"], "It is"), (["--dry-run"], "Without --dry-run it is")]
)
def test_that_it_is_cancelled_is_said_where_nobody_is_asked(
    options: list[str], when: str, stentor: Command, fake: FakeStentor
) -> None:
    fake.known = [campaign(state=CampaignState.PAUSED)]
    done = stentor("campaign", "undo", "last", *options)
    assert done.exit_code == 0, done.output
    assert f"'Spring sale' is paused. {when} cancelled first, for good: " in done.stderr
