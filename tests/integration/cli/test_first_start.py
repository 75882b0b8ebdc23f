"""`stentor serve` on a fresh machine: settings are offered, and a link makes the first admin; no log has a link."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.integration.cli.commands import COMMAND, Cluster

pytestmark = pytest.mark.timeout(240)  # each starts several processes, which load all they need
PASSWORD = "an owl reads at noon"
ANY_PORT = '[store]\nurl = "sqlite:///stentor.db"\n[api]\nlisten = "127.0.0.1:0"\n'
LINK = r"(https?://[\w.:-]+/link/[\w-]+)"
TOKEN = re.compile(r'name="csrf" value="([^"]+)"')


class Terminal:
    """A command at a terminal."""

    def __init__(self, side: int) -> None:
        self._side = side
        self._reader = asyncio.StreamReader()
        self.shown = ""

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._side, self._read)

    def _read(self) -> None:
        try:
            found = os.read(self._side, 4096)
        except OSError:  # how Linux says that the other side is closed
            found = b""
        if found:
            self._reader.feed_data(found)
        else:
            asyncio.get_running_loop().remove_reader(self._side)
            self._reader.feed_eof()

    async def until(self, pattern: str) -> re.Match[str]:
        """Until this is on the screen."""
        while (found := re.search(pattern, self.shown)) is None:
            more = await self._reader.read(4096)
            assert more, f"it ended, and showed only: {self.shown}"
            self.shown += more.decode()
        return found

    def type(self, text: str) -> None:
        os.write(self._side, text.encode())


@asynccontextmanager
async def at_a_terminal(folder: Path, *arguments: str) -> AsyncIterator[tuple[Terminal, asyncio.subprocess.Process]]:
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STENTOR_")}
    try:
        process = await asyncio.create_subprocess_exec(
            *COMMAND, *arguments, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
        )
    finally:
        os.close(theirs)
    terminal = Terminal(ours)
    await terminal.listen()
    try:
        yield terminal, process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        asyncio.get_running_loop().remove_reader(ours)
        os.close(ours)


async def become_admin(link: str) -> None:
    async with httpx.AsyncClient(follow_redirects=True, timeout=60) as client:
        page = await client.get(link)
        assert "You become the first admin" in page.text
        found = TOKEN.search(page.text)
        assert found is not None
        fields = {"csrf": found[1], "name": "ada", "password": PASSWORD, "again": PASSWORD}
        assert "Sign in with it" in (await client.post(link, data=fields)).text


@pytest.mark.parametrize("command", [("serve",), ("worker", "api")])
async def test_a_terminal_shows_a_link_that_works(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "stentor.toml").write_text(ANY_PORT, "utf-8")
    async with at_a_terminal(tmp_path, *command) as (terminal, process):
        link = (await terminal.until(LINK + r"\s"))[1]
        assert "become the first admin" in terminal.shown
        await become_admin(link)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    async with at_a_terminal(tmp_path, *command) as (terminal, process):
        await terminal.until("the API and the dashboard are at")
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        assert "/link/" not in terminal.shown, "there is a user now"


@pytest.mark.parametrize("command", [("serve",), ("worker", "api")])
async def test_a_log_has_no_link_but_says_how_to_get_one(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "stentor.toml").write_text(ANY_PORT, "utf-8")
    cluster = Cluster(tmp_path / "stentor.toml")
    async with cluster.running(*command) as served:
        await served.until("WARNING the dashboard has no user yet: run `stentor user link`")
        assert await served.stop() == 0
    assert not any("/link/" in line for line in served.log)


async def test_serve_offers_settings_where_there_are_none(tmp_path: Path) -> None:
    async with at_a_terminal(tmp_path, "serve", "--no-api") as (terminal, process):
        await terminal.until(r"Write one, with a database beside it, and go on\? \[Y/n\]")
        terminal.type("\n")
        await terminal.until("WARNING there is nobody to send to, so no senders run: add an app")
        await terminal.until("scheduler-1 runs as process")
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    assert {"stentor.toml", "stentor.db"} <= set(os.listdir(tmp_path))
    assert os.stat(tmp_path / "stentor.toml").st_mode & 0o077 == 0


async def test_serve_without_settings_and_without_anybody_to_ask(tmp_path: Path) -> None:
    code, _, err = await Cluster(tmp_path / "stentor.toml").run("serve")
    assert (code, "`stentor init` writes one" in err) == (2, True)
    assert os.listdir(tmp_path) == []
