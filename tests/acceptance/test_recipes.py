"""The page of recipes, each run as it stands against simulators of both providers."""

from __future__ import annotations

import io
import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from stentor import BlockingStentor, load
from stentor.recording.report import Report
from stentor.store.campaigns import Campaign
from tests.acceptance.conftest import PHONES
from tests.integration.runtime.rehearsal import change

PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text("utf-8")
FEED = "<rss><channel><title>Us</title><item><title>{title}</title><link>{link}</link></item></channel></rss>"


def blocks(heading: str, kind: str) -> list[str]:
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    assert section, heading
    return re.findall(rf"^```{kind}\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250, check=False)


def campaigns() -> list[tuple[Campaign, Report]]:
    """The newest first."""
    with BlockingStentor(load()) as stentor:
        return [(each, stentor.outcomes.report(each.id)) for each in stentor.campaigns.newest()]


def test_one_device(folder: Path) -> None:
    (script,) = blocks("One device, to try it out", "sh")
    for token, code, said in (("ab" * 32, 0, "abababab…  accepted\n"), ("nonsense", 1, "nonsense  not accepted: ")):
        done = run("bash", "-euc", script, TOKEN=token)
        assert done.returncode == code
        assert done.stdout.startswith(said)
    assert not (folder / "stentor.db").exists()


def test_news_come_once_a_day(folder: Path) -> None:
    (script,) = blocks("News every morning, from cron", "sh")
    for _ in range(2):
        done = run("bash", "-euc", f"date() {{ echo 2030-01-31; }}\n{script}")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    ((campaign, report),) = campaigns()
    assert report.total.accepted == PHONES
    assert campaign.title == "News of 2030-01-31"


def test_everybody_who_reads_german_gets_it_and_nobody_else(folder: Path) -> None:
    for number, language in enumerate(("de", "de-AT", "de_CH", "den", "en", "DE"), start=1):
        change(folder, f"UPDATE devices SET language = '{language}' WHERE id = {number}")
    change(folder, "UPDATE devices SET language = 'fr' WHERE id > 6")
    (script,) = blocks("Everybody who reads German", "sh")
    done = run("bash", "-euc", script)
    assert done.returncode == 0, done.stderr
    ((campaign, report),) = campaigns()
    assert report.total.accepted == 3
    with BlockingStentor(load()) as stentor:
        reached = [stentor.outcomes.explain(campaign.id, str(number)).outcome is not None for number in range(1, 8)]
    assert reached == [True, True, True, False, False, False, False]


def test_each_item_of_a_feed_is_sent_once(folder: Path) -> None:
    (program,) = blocks("A push for each new item of a feed", "python")
    (folder / "feed.py").write_text(program)
    feed = folder / "feed.xml"
    for title, link, said in (
        ("50 % {{ off }}", "https://example.com/1", f"50 % {{{{ off }}}}: {PHONES} accepted\n"),
        ("50 % {{ off }}", "https://example.com/1", ""),
        ("Another", "https://example.com/2", f"Another: {PHONES} accepted\n"),
    ):
        feed.write_text(FEED.format(title=title, link=link))
        done = run(sys.executable, "feed.py", feed.as_uri())
        assert (done.returncode, done.stdout) == (0, said), done.stderr
    feed.write_text("<rss><channel></channel></rss>")
    assert run(sys.executable, "feed.py", feed.as_uri()).returncode == 0
    assert len(campaigns()) == 2


class Slack(BaseHTTPRequestHandler):
    posted: list[Any]

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.posted.append((self.headers["Content-Type"], json.loads(self.rfile.read(length))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Nothing is said of it."""


@pytest.fixture
def slack() -> Iterator[tuple[str, list[Any]]]:
    posted: list[Any] = []
    server = HTTPServer(("127.0.0.1", 0), type("Slack", (Slack,), {"posted": posted}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/services/T/B/X", posted
    server.shutdown()
    thread.join()
    server.server_close()


def test_slack_is_told(folder: Path, slack: tuple[str, list[Any]]) -> None:
    url, posted = slack
    change(folder, "UPDATE devices SET token = 'nonsense!' WHERE id = 1")
    assert run("stentor", "send", "--title", "Sale", "--audience", "users", "--yes", "--quiet").returncode == 0
    (program,) = blocks("A report to Slack", "python")
    (folder / "slack.py").write_text(program)
    (script,) = blocks("A report to Slack", "sh")
    done = run("bash", "-euo", "pipefail", "-c", script, SLACK_WEBHOOK=url)
    assert done.returncode == 0, done.stderr
    text = f"Sale is completed: {PHONES - 1} accepted, 1 failed\n• 1 MalformedAddress (apns/ios)"
    assert posted == [("application/json", {"text": text})]


def test_django_starts_a_campaign(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for what the command needs of Django, and the table that Django makes of the model."""
    database = sqlite3.connect(folder / "db.sqlite3")
    database.execute(
        "CREATE TABLE push_device (id integer PRIMARY KEY AUTOINCREMENT, token varchar(255) NOT NULL UNIQUE,"
        " platform varchar(10) NOT NULL, language varchar(35) NOT NULL, active bool NOT NULL)"
    )
    rows = [(f"{number:064x}", "ios", "", number != 3) for number in range(1, 6)]
    database.executemany("INSERT INTO push_device (token, platform, language, active) VALUES (?, ?, ?, ?)", rows)
    database.commit()
    database.close()
    (settings,) = blocks("From Django", "toml")
    with (folder / "stentor.toml").open("a") as file:
        file.write(f"\n{settings}")
    base: Any = ModuleType("django.core.management.base")
    base.BaseCommand = type("BaseCommand", (), {"stdout": io.StringIO()})
    base.CommandError = type("CommandError", (Exception,), {})
    monkeypatch.setitem(sys.modules, base.__name__, base)
    model, command = blocks("From Django", "python")
    compile(model, "models.py", "exec")
    names: dict[str, Any] = {}
    exec(command, names)

    names["Command"]().handle(title="50 % {{ off }}", body="")
    ((campaign, _),) = campaigns()
    assert base.BaseCommand.stdout.getvalue() == f"Campaign {campaign.id} is running"
    with BlockingStentor(load()) as stentor:
        assert stentor.roles.run(campaign.id).total.accepted == 4
    (folder / "db.sqlite3").unlink()
    with pytest.raises(base.CommandError, match="devices"):
        names["Command"]().handle(title="x", body="")
