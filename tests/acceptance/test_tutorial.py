"""The tutorial, run as it stands: its table in a real PostgreSQL, its commands in one shell from top to bottom."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from contextlib import suppress
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]  # has no annotations
import pytest

from stentor import config
from stentor.recording.report import Report
from stentor.runtime.stentor import Stentor
from stentor.states import CampaignState

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text()
DATABASE = "postgresql://localhost/app"
BIN = Path(sys.executable).parent
LONGEST = 270.0
# In place of the page's `sleep 3`: until the new campaign is under way, however slow or fast this machine is.
SLEEP = """
sleep() {
python - <<'END'
import sqlite3, time
running = "SELECT 1 FROM stentor_campaigns c JOIN stentor_batches b ON b.campaign_id = c.id WHERE state = 'running'"
database = sqlite3.connect("file:stentor.db?mode=ro", uri=True)
while not database.execute(running).fetchone():
    time.sleep(0.05)
END
}
"""


def blocks(kind: str) -> list[str]:
    """The page's blocks of a kind, but those that it says aren't run."""
    return re.findall(rf"(?<!-->\n)^```{kind}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


async def reports(folder: Path) -> list[Report]:
    """Of all campaigns, the oldest first."""
    async with Stentor(config.load(folder / "stentor.toml", {})) as stentor:
        return [await stentor.outcomes.report(each.id) for each in reversed(await stentor.campaigns.newest())]


async def run(script: str, folder: Path) -> tuple[int, str]:
    """In a shell that stops at the first command that fails. Nothing that it started is left running."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STENTOR_")}
    environment |= {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "80"}
    with (folder / "said.txt").open("w+") as said:
        shell = await asyncio.create_subprocess_exec(
            *("bash", "-euc", script),
            cwd=folder,
            env=environment,
            start_new_session=True,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=said,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(LONGEST):
                code = await shell.wait()
        finally:
            with suppress(ProcessLookupError):  # if all of it ended by itself
                os.killpg(shell.pid, signal.SIGTERM)
        said.seek(0)
        return code, said.read()


@pytest.mark.timeout(300)  # a minute on a quiet machine, most of it the starting of some twenty processes
async def test_the_tutorial_does_what_it_says(tmp_path: Path, postgres: str) -> None:
    connection = await asyncpg.connect(postgres)
    for statement in blocks("sql"):
        await connection.execute(statement)
    before = await connection.fetch("SELECT * FROM devices ORDER BY device_id")

    commands = "\n".join(blocks("sh"))
    assert commands.count(DATABASE) == 1
    code, out = await run(SLEEP + commands.replace(DATABASE, postgres), tmp_path)
    assert code == 0, out

    assert "0 problems, 0 warnings" in out
    assert "All is in order; nothing was sent, as this was a dry run." in out
    assert "only 2 named" in out
    assert "exact: every recipient is accounted for, once" in out
    assert re.search(r"4711 in 'Sale, killed'", out)
    assert "goes on with it" in out
    assert "Traceback" not in out
    folder = tmp_path / "rehearsal"
    done = await reports(folder)
    named = [report.campaign.title for report in done]
    assert named == ["Sale", "Sale, rehearsed", "Sale, paused", "Sale, killed", "Tonight"]
    *done, held = done
    assert held.campaign.state is CampaignState.CANCELLED
    assert (held.total.read, held.total.cancelled) == (20_000, 20_000)
    assert held.campaign.released_at is not None
    assert re.search(r"America/Sao_Paulo +6,66\d", out)
    said = " ".join(out.split())  # one in a hundred is of those who go first
    assert "waits until the campaign is released" in said or "is held until its wave begins" in said
    for report in done:
        assert report.campaign.state is CampaignState.COMPLETED
        assert report.total.read == (2 if report.campaign.title == "Sale" else 20_000)
        assert report.total.pending == 0
    dead = (folder / "dead.csv").read_text().splitlines()[1:]
    failures = (folder / "failures.txt").read_text().splitlines()[1:]
    assert len(dead) == len(failures) == done[-1].total.failed == done[-1].dead
    assert 100 < len(dead) < 350

    assert await connection.fetch("SELECT * FROM devices ORDER BY device_id") == before
    await connection.close()


def test_it_is_noticed_when_nothing_is_run() -> None:
    assert len(blocks("sh")) >= 10
    assert len(blocks("sql")) == 1


@pytest.mark.parametrize("settings", blocks("toml"))
def test_the_settings_at_its_end_are_settings(tmp_path: Path, settings: str) -> None:
    (tmp_path / "stentor.toml").write_text(settings)
    assert set(config.lanes(config.load(tmp_path / "stentor.toml", {}))) == {"apns/ios", "fcm/android"}
