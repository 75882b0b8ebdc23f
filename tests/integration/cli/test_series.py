"""`stentor series` and `stentor send --pause-above` as commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli.commands import Cluster
from tests.integration.runtime.rehearsal import AUDIENCE, Facts, change, providers, write


@pytest.fixture(scope="module")
def facts() -> Iterator[Facts]:
    with providers() as found:
        yield found


ADD = ("series", "add", "Evening news", "--cron", "0 18 * * mon-fri", "--zone", "Europe/Berlin", "--title", "News")


async def test_a_series_is_shown_saved_listed_paused_and_deleted(tmp_path: Path, facts: Facts) -> None:
    cluster = Cluster(write(tmp_path, facts))
    add = (*ADD, "--audience", AUDIENCE)
    code, out, err = await cluster.run(*add, "--dry-run")
    assert code == 0, err
    assert "At 18:00 on Monday through Friday (Europe/Berlin). The next runs are due:\n" in out
    assert len([line for line in out.splitlines() if " 18:00 CE" in line]) == 5
    assert out.endswith("Nothing was saved, as this was a dry run.\n")
    assert await cluster.run("series", "list") == (0, "There is no series yet.\n", "")
    made = await cluster.json(*add, "--pause-above", "20%", "--yes", "--json")
    assert (made["name"], made["paused"]) == ("Evening news", False)
    code, out, _ = await cluster.run("series", "show", "Evening news")
    assert code == 0
    for line in (
        "Due:          At 18:00 on Monday through Friday (0 18 * * mon-fri, Europe/Berlin)\n",
        "Missed runs:  are left out\n",
        "Pauses above: 20 % failures on a lane\n",
    ):
        assert line in out
    assert (await cluster.json("series", "list", "--json"))["series"][0]["last_run"] is None
    assert (await cluster.run("series", "runs", "Evening news"))[1] == "It has had no run yet.\n"
    file = tmp_path / "better.toml"
    file.write_text('title = "Better"\n')
    change = ("series", "change", "Evening news", "--cron", "0 19 * * *", "--message", str(file), "--yes")
    code, out, err = await cluster.run(*change)
    assert (code, out.splitlines()[0], out.splitlines()[-1]) == (
        *(0, "At 19:00 every day (Europe/Berlin). The next runs are due:"),
        "Changed Evening news.",
    ), err
    shown = (await cluster.run("series", "show", "Evening news"))[1]
    assert "Message:      Better\n" in shown
    assert "Pauses above: 20 % failures on a lane\n" in shown
    assert (await cluster.run("series", "pause", "Evening news"))[1] == (
        f"Evening news is paused. `stentor series resume {made['id']}` goes on.\n"
    )
    assert "paused" in (await cluster.run("series", "list"))[1]
    assert (await cluster.json("series", "resume", made["id"], "--json"))["paused"] is False
    assert (await cluster.run("series", "delete", "Evening news", "--yes"))[1] == "Deleted Evening news.\n"
    code, _, err = await cluster.run("series", "show", "Evening news")
    assert (code, err) == (
        2,
        "stentor: there is no series 'Evening news'; `stentor series list` shows all series\n",
    )
    code, _, err = await cluster.run(*add[:3], "--cron", "18:00", *add[5:], "--yes")
    assert code == 2
    assert "cron: has 1 field instead of 5; write minute, hour, day, month and weekday" in err


async def test_a_campaign_of_which_too_much_fails_pauses_and_is_told(tmp_path: Path, facts: Facts) -> None:
    """Half of the recipients lack a value of the message; all others take their time."""
    cluster = Cluster(write(tmp_path, facts, more="pause_after = 10\n"))
    change(tmp_path, "UPDATE devices SET language = CASE WHEN id % 4 < 2 THEN 'de' END")
    sent = ("send", "--title", "Hallo {{ language }}", "--audience", AUDIENCE, "--max-rate", "0.5", "--yes")
    code, _, err = await cluster.run(*sent, "--pause-above", "50")
    assert (code, err) == (
        2,
        "stentor: --pause-above: '50' is not a share above 0 % and at most 100 %; write e.g. 20%\n",
    )
    code, _, err = await cluster.run(*sent, "--pause-above", "20%")
    assert code == 1
    assert " is paused: " in err
    assert "more than the 20 % above which it pauses; most often TemplateError (" in err
    found = await cluster.json("campaign", "show", "last", "--json")
    assert (found["campaign"]["state"], found["campaign"]["pause_above"]) == ("paused", 0.2)
