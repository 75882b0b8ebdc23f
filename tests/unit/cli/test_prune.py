"""`stentor campaign prune`: shown, asked about, deleted."""

from __future__ import annotations

import json

from tests.unit.cli.fake_stentor import Command, FakeStentor


def test_what_would_be_deleted_is_shown_and_asked_about(stentor: Command, fake: FakeStentor) -> None:
    done = stentor("campaign", "prune", "--older-than", "90d", answer="n\n")
    assert done.exit_code == 1
    assert "2 campaigns, the first of which ended on 2027-01-1" in done.stdout
    assert "30 recipients, 4 failures." in done.stdout
    assert "Delete 2 campaigns for good?" in done.stderr
    assert fake.done == [("prunable", 90 * 86_400.0), ("close",)]
    done = stentor("campaign", "prune", "--older-than", "90d", answer="y\n")
    assert (done.exit_code, "Deleted." in done.stdout) == (0, True)
    assert ("prune", 90 * 86_400.0) in fake.done


def test_a_dry_run_deletes_nothing(stentor: Command, fake: FakeStentor) -> None:
    done = stentor("campaign", "prune", "--older-than", "90d", "--dry-run", "--json")
    assert json.loads(done.stdout) | {"oldest": 0} == {
        "campaigns": ["a", "b"],
        "recipients": 30,
        "failures": 4,
        "oldest": 0,
        "deleted": False,
    }
    assert fake.verbs() == ["prunable", "close"]


def test_from_cron(stentor: Command, fake: FakeStentor) -> None:
    done = stentor("campaign", "prune", "--older-than", "30d", "--yes", "--quiet")
    assert (done.exit_code, done.output) == (0, "")
    assert fake.verbs() == ["prunable", "prune", "close"]


def test_an_age_must_be_said(stentor: Command, fake: FakeStentor) -> None:
    assert stentor("campaign", "prune").exit_code == 2
    assert stentor("campaign", "prune", "--older-than", "soon").exit_code == 2
    for little in ("90", "23h"):  # 90 what? seconds
        done = stentor("campaign", "prune", "--older-than", little)
        assert done.exit_code == 2
        assert f"--older-than: {little} is less than a day; campaigns are kept for 1d at least" in done.stderr
    assert "at least 1d" in " ".join(stentor("campaign", "prune", "--help").stdout.split())
    assert fake.done == []
