"""`stentor drain`: what it waits for, says, and exits with."""

from __future__ import annotations

import json
import os
import signal

import pytest

from stentor.cli import drain as commands
from stentor.runtime.queue_control import Backlog
from stentor.states import CampaignState
from tests.unit.cli.fake_stentor import Command, FakeStentor

LEFT = Backlog(campaigns={"7k2m": CampaignState.RUNNING}, recipients=4000, batches=1, unrecorded=2)
EMPTY = Backlog(campaigns={}, recipients=0, batches=0, unrecorded=0)


def test_it_waits_until_nothing_is_left(stentor: Command, fake: FakeStentor) -> None:
    fake.backlogs = [LEFT, EMPTY]
    done = stentor("drain")
    assert done.exit_code == 0, done.output
    assert fake.verbs() == ["drain", "close"]
    assert "left: 1 campaign, 4,000 recipients, 1 queued batch, 2 messages to be recorded" in done.stdout
    assert "`stentor drain --end`" in done.stdout


def test_for_programs(stentor: Command, fake: FakeStentor) -> None:
    fake.backlogs = [LEFT, EMPTY]
    done = stentor("drain", "--json")
    (found,) = map(json.loads, done.stdout.splitlines())
    assert found == {"drained": True, "campaigns": {}, "recipients": 0, "batches": 0, "unrecorded": 0}


def test_when_the_time_is_over_it_says_what_is_left(stentor: Command, fake: FakeStentor) -> None:
    fake.backlogs = [LEFT]
    done = stentor("drain", "--timeout", "0", "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert (found["drained"], found["campaigns"], found["recipients"]) == (False, {"7k2m": "running"}, 4000)
    assert "not drained: 1 campaign" in done.stderr
    assert "`stentor drain --end`" in done.stderr


def test_ctrl_c_leaves_campaigns_held_back(stentor: Command, fake: FakeStentor) -> None:
    fake.backlogs = [LEFT]
    fake.running = lambda _: os.kill(os.getpid(), signal.SIGINT)
    done = stentor("drain")
    assert done.exit_code == 130
    assert fake.verbs() == ["drain", "close"]
    assert "still held back" in done.stderr


def test_a_paused_campaign_is_named_once(stentor: Command, fake: FakeStentor) -> None:
    paused = Backlog(campaigns={"7k2m": CampaignState.PAUSED}, recipients=1, batches=1, unrecorded=0)
    fake.backlogs = [paused, paused, EMPTY]
    done = stentor("drain")
    assert done.stdout.count("`stentor campaign resume 7k2m`") == 1


def test_where_nothing_changes_it_asks_once_whether_anything_runs(
    stentor: Command, fake: FakeStentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "STILL", 0.0)
    fake.backlogs = [LEFT, LEFT, EMPTY]
    assert stentor("drain").stdout.count("is `stentor serve` running?") == 1


def test_end(stentor: Command, fake: FakeStentor) -> None:
    done = stentor("drain", "--end")
    assert done.exit_code == 0
    assert fake.verbs() == ["end_drain", "close"]
    assert "may start again" in done.stdout
    assert json.loads(stentor("drain", "--end", "--json").stdout) == {"draining": False}


def test_end_does_not_wait(stentor: Command, fake: FakeStentor) -> None:
    done = stentor("drain", "--end", "--timeout", "5m")
    assert done.exit_code == 2
    assert "--timeout can't be given" in done.stderr
    assert fake.done == []
