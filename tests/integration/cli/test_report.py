"""`stentor report` as a command: a test, the list, a replay, and what it exits with."""

from __future__ import annotations

from pathlib import Path

from stentor.config import load
from stentor.states import CampaignState
from stentor.store.database import Database
from stentor.store.migrate import migrate
from tests.integration.cli.commands import Cluster
from tests.integration.recording.rows import Rows
from tests.integration.reporting.receivers import http_receiver
from tests.integration.reporting.scene import Clock, campaign, detector

SETTINGS = """\
[store]
url = "sqlite:///stentor.db"

[reports.targets.team]
url_file = "url.txt"
"""


async def test_reports_are_tested_listed_and_sent_again(tmp_path: Path) -> None:
    file = tmp_path / "stentor.toml"
    file.write_text(SETTINGS)
    cluster, config = Cluster(file), load(file, {})
    database = Database.open(config.store.url)
    await migrate(database)
    async with http_receiver() as receiver:
        (tmp_path / "url.txt").write_text(f"json://user:hush@127.0.0.1:{receiver.port}/hook\n")
        assert await cluster.run("report", "test") == (0, "team: sent: JSON took it\n", "")
        assert receiver.got.pop().json["title"].startswith("Test: ")
        assert await cluster.run("report", "list") == (0, "There are no reports.\n", "")

        rows, clock = Rows(database), Clock()
        looking = detector(rows, clock, config.reports)
        await looking.look()
        await campaign(rows, state=CampaignState.COMPLETED)
        await looking.look()
        await database.aclose()
        (waiting,) = (await cluster.json("report", "list", "--campaign", "last", "--json"))["reports"]
        assert (waiting["report"], waiting["campaign"], waiting["target"]) == ("completed/c1", "c1", "team")
        assert (waiting["kind"], waiting["status"], waiting["tries"]) == ("completed", "waiting", 0)

        (sent,) = (await cluster.json("report", "replay", "completed/c1", "--json"))["reports"]
        assert (sent["status"], sent["tries"]) == ("sent", 1)
        assert receiver.got[0].json["title"].startswith("“Spring sale” was sent")
        code, out, _ = await cluster.run("report", "list", "--status", "sent")
        assert code == 0
        assert "completed/c1" in out
        assert await cluster.run("report", "list", "--status", "failed") == (0, "There are no reports.\n", "")

        receiver.status = 403
        code, out, err = await cluster.run("report", "test", "team")
        assert (code, err) == (1, "")
        assert out.startswith("team: not sent: ")
        assert "403" in out
        assert "hush" not in out
        code, _, err = await cluster.run("report", "replay", "nothing")
        assert (code, err) == (2, "stentor: there is no report 'nothing'; `stentor report list` shows all reports\n")
        code, _, err = await cluster.run("report", "test", "tema")
        assert (code, err) == (2, "stentor: there is no target 'tema' for reports; there are team\n")
